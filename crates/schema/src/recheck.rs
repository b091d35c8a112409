//! Checks stored payload queries again when the schema has changed.

use crate::context::Core;
use crate::limits::RECHECK_BATCH_MAX;
use hookgraph_domain::catalogue;
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::ports::StoreError;
use hookgraph_domain::problem::Problem;
use hookgraph_domain::webhook::{CheckedDocument, Webhook, WebhookStatus};

/// The result of a check of all stored payload queries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rechecked {
    /// Payload queries that were checked.
    pub checked: u32,
    /// Webhooks that became `INVALID`.
    pub invalidated: u32,
    /// Webhooks that were `INVALID` and are active again.
    pub restored: u32,
}

/// Checks every payload query that was checked against another schema.
pub(crate) async fn recheck_documents(core: &Core) -> Result<Rechecked, StoreError> {
    let store = &core.services.ports.store;
    let mut found = Rechecked::default();
    let mut after = None;
    loop {
        let page = store.webhooks_checked_otherwise(core.documents.schema_sha256(), after, RECHECK_BATCH_MAX).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.id);
        for webhook in page {
            recheck(core, webhook, &mut found).await?;
        }
    }
    if found.invalidated + found.restored > 0 {
        core.services.ports.wake_ups.due();
        core.services.ports.wake_ups.fed();
    }
    Ok(found)
}

async fn recheck(core: &Core, webhook: Webhook, found: &mut Rechecked) -> Result<(), StoreError> {
    let id = webhook.id;
    found.checked += 1;
    let verdict = verdict(core, &webhook);
    let was_invalid = webhook.status == WebhookStatus::Invalid;
    let Some(change) = decide(webhook, verdict, core.services.ports.clock.now()) else { return Ok(()) };
    let is_held = change.writes.iter().any(|write| matches!(write, Write::HoldDue { .. }));
    match core.services.ports.store.commit(change).await {
        Ok(_) if is_held => {
            tracing::warn!(
                webhook_id = %id,
                "the payload query does not fit the schema any more: the webhook is INVALID"
            );
            found.invalidated += 1;
        }
        Ok(_) => found.restored += u32::from(was_invalid),
        Err(CommitError::Store(error)) => return Err(error),
        // A save changed the webhook meanwhile, and checked its query against this schema.
        Err(error) => tracing::info!(webhook_id = %id, %error, "left as it was saved meanwhile"),
    }
    Ok(())
}

fn verdict(core: &Core, webhook: &Webhook) -> Result<CheckedDocument, Vec<Problem>> {
    let key = &webhook.event_type;
    let event_type = catalogue::find(&key.concern, &key.event).ok_or_else(|| {
        vec![Problem::new("event", "EVENT_TYPE_UNKNOWN", format!("there is no event type {key} any more"))]
    })?;
    let document = core.documents.check(webhook.graphql_query.as_deref().unwrap_or_default(), event_type)?;
    let held = webhook.document.as_ref().map(CheckedDocument::needed).unwrap_or_default();
    match held.missing(document.needed()) {
        None => Ok(document),
        Some(permission) => {
            let message = format!("it needs the permission {permission} now, which nobody vouched for: save it again");
            Err(vec![Problem::new("graphqlQuery", "PERMISSION_MISSING", message)])
        }
    }
}

/// The change that a verdict means for a webhook. A webhook that is switched off, or held for another reason, keeps its
/// status: its query is checked again before the webhook sends.
fn decide(
    webhook: Webhook,
    verdict: Result<CheckedDocument, Vec<Problem>>,
    now: hookgraph_domain::time::Timestamp,
) -> Option<Change> {
    let mut change = Change::at(now);
    let expected = Expected::Version(webhook.version);
    let mut after = None;
    let mut webhook = match verdict {
        Ok(document) => {
            let webhook = Webhook { document: Some(document), ..webhook };
            match webhook.status {
                // Its held deliveries drain without a write.
                WebhookStatus::Invalid => webhook.with_status(WebhookStatus::Active, None, now),
                _ => webhook,
            }
        }
        Err(problems) if matches!(webhook.status, WebhookStatus::Active | WebhookStatus::Suspended) => {
            let reason = reason_of(&problems);
            after = Some(Write::HoldDue { webhook_id: webhook.id, reason: reason.clone() });
            webhook.with_status(WebhookStatus::Invalid, Some(reason), now)
        }
        Err(_) => return None,
    };
    webhook.version += 1;
    webhook.updated_at = now;
    change.writes.push(Write::PutWebhook { webhook, expected });
    change.writes.extend(after);
    Some(change)
}

fn reason_of(problems: &[Problem]) -> String {
    const PROBLEMS_SHOWN_MAX: usize = 3;
    let shown: Vec<_> = problems.iter().take(PROBLEMS_SHOWN_MAX).map(|problem| problem.message.as_str()).collect();
    format!("the payload query does not fit the schema any more: {}", shown.join("; "))
}
