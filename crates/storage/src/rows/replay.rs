//! Replays.

use super::{from_json, number, to_json};
use crate::entities::replay::Model;
use crate::error::corrupt;
use crate::micros::{from_time, to_time};
use hookgraph_domain::ids::{DeliveryId, ReplayId, TenantId, WebhookId};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::replay::{Replay, ReplayPayload, ReplayState};

pub fn to_row(replay: &Replay) -> Result<Model, StoreError> {
    let states: Vec<_> = replay.states.iter().map(|state| state.as_str()).collect();
    Ok(Model {
        id: replay.id.0,
        tenant_id: replay.tenant_id.0,
        webhook_id: replay.webhook_id.0,
        from_us: from_time(replay.from),
        before_us: from_time(replay.before),
        states: to_json("replayed states", &states)?,
        rate_per_second: i64::from(replay.rate_per_second),
        payload: replay.payload.as_str().to_owned(),
        state: replay.state.as_str().to_owned(),
        reason: replay.reason.clone(),
        position_id: replay.position.map(|id| id.0),
        made_count: i64::try_from(replay.made_count).map_err(|error| corrupt("made count", error))?,
        next_at_us: from_time(replay.next_at),
        user_id: replay.user_id.clone(),
        version: replay.version,
        created_at_us: from_time(replay.created_at),
        updated_at_us: from_time(replay.updated_at),
    })
}

pub fn from_row(row: Model) -> Result<Replay, StoreError> {
    let states: Vec<String> = from_json("replayed states", &row.states)?;
    Ok(Replay {
        id: ReplayId(row.id),
        tenant_id: TenantId(row.tenant_id),
        webhook_id: WebhookId(row.webhook_id),
        from: to_time(row.from_us)?,
        before: to_time(row.before_us)?,
        states: states.iter().map(|name| super::delivery::state(name)).collect::<Result<_, _>>()?,
        rate_per_second: number("rate", row.rate_per_second)?,
        payload: ReplayPayload::from_name(&row.payload).ok_or_else(|| corrupt("replay payload", &row.payload))?,
        state: ReplayState::from_name(&row.state).ok_or_else(|| corrupt("replay state", &row.state))?,
        reason: row.reason,
        position: row.position_id.map(DeliveryId),
        made_count: number("made count", row.made_count)?,
        next_at: to_time(row.next_at_us)?,
        user_id: row.user_id,
        version: row.version,
        created_at: to_time(row.created_at_us)?,
        updated_at: to_time(row.updated_at_us)?,
    })
}
