//! The queue: claim, freeze, settle, extend, release.
//!
//! A delivery is claimed in one of three ways:
//!
//! | way | when it runs | what becomes of due deliveries |
//! |---|---|---|
//! | `claim_at_once` | in every claim that a worker asks for | leased if their webhook sends, else passed over |
//! | `claim_one_by_one` | after it, if it passed over some and there is room | held, cancelled, removed or leased |
//! | [`claim_within`] | inside a recording, if a worker of this process wants it | as in the first way |
//!
//! Nearly every delivery is due for a webhook that sends, so the first way is a single statement of PostgreSQL, or two
//! of SQLite. The second reads each webhook first, which costs several round trips, and is needed only where a webhook
//! stopped. The third (`commit::along`) saves the commit and the wake-up of a separate claim.

mod aside;
mod claim;
mod claim_at_once;
mod extend;
mod freeze;
mod hand_out;
mod heads;
mod lines;
mod parts;
mod settle;
mod settle_delivered;

pub use claim_at_once::{AtOnce, claim_sql, claim_values, claim_within, look_sql};
pub use extend::{end_leases_sql, extend_sql, extend_values};
pub use heads::{DUE_WEBHOOK, IS_FIRST_IN_LINE, Retries, candidates_sql, candidates_values, next_due_sql};
pub use lines::{BEHIND, MovedUp, line_statements, move_up};
pub use settle_delivered::{arrived_values, keep_arrived_sql, settle_sql, settle_values, standing_claims_sql};

use crate::batch::query;
use crate::entities::delivery;
use crate::limits::{CLAIM_HEAD_ROWS_SPARE, CLAIM_LINED_ROWS_MAX};
use crate::micros::{from_time, to_time};
use crate::rows;
use crate::store::SqlStore;
use async_trait::async_trait;
use hookgraph_domain::delivery::DeliveryState;
use hookgraph_domain::ids::DeliveryId;
use hookgraph_domain::ports::{ClaimRequest, Claimer, Claims, DeliveryQueue, Fenced, Freeze, StoreError};
use hookgraph_domain::settle::{self as settle_decision, NextState, Settlement};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::webhook::Webhook;
use sea_orm::FromQueryResult;
use std::sync::Weak;

#[derive(FromQueryResult)]
struct NextDue {
    leased_until_us: Option<i64>,
    due_at_us: Option<i64>,
}

#[async_trait]
impl DeliveryQueue for SqlStore {
    async fn claim(&self, request: &ClaimRequest) -> Result<Claims, StoreError> {
        claim::claim(self, request).await
    }

    fn claim_with_recordings(&self, claimer: Weak<dyn Claimer>) {
        self.claimer.set(claimer);
    }

    async fn freeze(&self, freezes: &[Freeze]) -> Result<Vec<Fenced>, StoreError> {
        freeze::freeze(self, freezes).await
    }

    async fn settle(&self, settlements: &[Settlement]) -> Result<Vec<Fenced>, StoreError> {
        settle::settle(self, settlements).await
    }

    async fn extend(&self, claims: &[(DeliveryId, i64)], leased_until: Timestamp) -> Result<Vec<Fenced>, StoreError> {
        extend::extend(self, claims, leased_until).await
    }

    async fn release(&self, claims: &[(DeliveryId, i64)], now: Timestamp) -> Result<(), StoreError> {
        settle::release(self, claims, now).await
    }

    async fn next_due_at(&self, after: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let values = vec![(CLAIM_HEAD_ROWS_SPARE + CLAIM_LINED_ROWS_MAX).into(), from_time(after).into()];
        let found: Vec<NextDue> = query(self.road_reader(), &next_due_sql(), values).await?;
        let times = found.iter().flat_map(|next| [next.leased_until_us, next.due_at_us]);
        times.flatten().min().map(to_time).transpose()
    }
}

/// Whether the row is still under the claim with that token.
fn is_under(row: &delivery::Model, fencing_token: i64) -> bool {
    row.fencing_token == fencing_token && row.state == DeliveryState::InFlight.as_str()
}

/// The state to which an interrupted delivery goes back.
fn due_again(row: &delivery::Model, now: Timestamp) -> Result<NextState, StoreError> {
    Ok(settle_decision::due_again(rows::number("attempts spent", row.attempts_spent)?, now))
}

/// What a decision on the row becomes under its webhook as it stands.
fn under(row: &delivery::Model, next: NextState, webhook: &Webhook) -> NextState {
    settle_decision::under_standing_webhook(next, webhook, rows::delivery::standing(row))
}

/// Writes a decision into a row, which ends its lease. Returns whether the delivery has ended.
fn apply_next(row: &mut delivery::Model, next: NextState, now: Timestamp) -> bool {
    row.state = next.state.as_str().to_owned();
    row.state_reason = next.reason;
    let is_due = matches!(next.state, DeliveryState::Pending | DeliveryState::Retrying);
    row.due_at_us = is_due.then(|| from_time(next.due_at.unwrap_or(now)));
    row.attempts_spent = i64::from(next.attempts_spent);
    row.leased_until_us = None;
    if next.state.is_final() {
        row.cancel_requested = false;
    }
    row.updated_at_us = from_time(now);
    next.state.is_final()
}
