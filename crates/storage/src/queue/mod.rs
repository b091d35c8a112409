//! The queue: claim, freeze, settle, extend, release.

mod aside;
mod claim;
mod claim_at_once;
mod extend;
mod freeze;
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
use hookgraph_domain::webhook::{Webhook, WebhookStatus};
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

/// Whether a delivery may be sent under its webhook as it stands. A test is sent whatever the status: someone asked for
/// this very request.
fn may_be_sent(row: &delivery::Model, webhook: &Webhook) -> bool {
    let is_probe =
        webhook.status == WebhookStatus::Suspended && webhook.breaker.probe_id.map(|id| id.0) == Some(row.id);
    webhook.deleted_at.is_none() && (row.is_test || is_probe || webhook.status == WebhookStatus::Active)
}

/// Whether the row is still under the claim of that token.
fn is_under(row: &delivery::Model, fencing_token: i64) -> bool {
    row.fencing_token == fencing_token && row.state == DeliveryState::InFlight.as_str()
}

/// What an interrupted delivery goes back to.
fn due_again(row: &delivery::Model, now: Timestamp) -> Result<NextState, StoreError> {
    let attempts_spent = rows::number("attempts spent", row.attempts_spent)?;
    let state = if attempts_spent == 0 { DeliveryState::Pending } else { DeliveryState::Retrying };
    Ok(NextState { state, reason: None, due_at: Some(now), attempts_spent })
}

/// A decision under the webhook as it stands.
fn under(row: &delivery::Model, next: NextState, webhook: &Webhook) -> NextState {
    if may_be_sent(row, webhook) && !row.cancel_requested {
        return settle_decision::under_sending_webhook(next);
    }
    settle_decision::under_webhook(next, Some(webhook), row.cancel_requested)
}

/// Writes a decision into a row; the lease ends with it. Says whether the delivery has ended.
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
