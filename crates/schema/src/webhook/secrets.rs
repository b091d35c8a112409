//! Signature secrets and keys of a webhook's own.

use super::audited::subject;
use super::mutations::live_webhook;
use super::object::WebhookObject;
use crate::access::{Managed, SecretsWrite};
use crate::context::Asked;
use crate::limits::CONFLICT_RETRIES_MAX;
use async_graphql::{ID, InputObject, SimpleObject};
use hookgraph_domain::change::{Change, CommitError, Expected, Write};
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::signing::{OwnKeys, Rotation};
use hookgraph_domain::webhook::Webhook;
use hookgraph_pim::{checked_overlap_s, rotation};
use serde_json::{Value, json};
use std::sync::Arc;

/// Which of a webhook's secrets to make anew: both where nothing is said of either, else what is said to be; to choose neither
/// is refused. The first ones of its own are made together: until it has some, false is refused.
#[derive(Clone, Default, InputObject)]
pub(crate) struct RegenerateWebhookSecretsInput {
    /// For how many seconds the one before goes on signing beside the new one, up to a week; a day where nothing is said.
    /// What was replaced earlier signs until its own overlap ends, and the JWT is signed with the oldest alone. 0 ends all at
    /// once, for what has leaked.
    overlap_s: Option<i32>,
    /// The key pair that signs asymmetrically.
    signature_key: Option<bool>,
    /// The secret that signs symmetrically.
    signature_secret: Option<bool>,
}

/// A webhook whose secrets were made anew.
#[derive(SimpleObject)]
pub(crate) struct RegeneratedWebhookSecrets {
    /// The secret that signs symmetrically. Shown in this answer alone; none where it was not made anew.
    signature_secret: Option<String>,
    /// The webhook as it now stands.
    webhook: WebhookObject,
}

/// Makes them anew.
pub(super) async fn regenerate(
    asked: &Asked,
    id: &ID,
    input: RegenerateWebhookSecretsInput,
) -> Result<RegeneratedWebhookSecrets, Refusal> {
    let chosen = rotation(input.signature_secret, input.signature_key, input.overlap_s)?;
    let entropy = &*asked.core.services.ports.entropy;
    let decide = |saved: &Webhook| -> Result<Option<Decided>, Refusal> {
        let has_own = saved.own_keys.as_ref().is_some_and(OwnKeys::are_in_use);
        let rotation = if has_own { chosen } else { first(&input, chosen)? };
        let Rotation { secret, key, overlap_s } = rotation;
        let detail = json!({ "signatureSecret": secret, "signatureKey": key, "overlapS": overlap_s });
        let own_keys = OwnKeys::rotated(saved.own_keys.as_ref(), rotation, asked.now(), entropy)?;
        Ok(Some(Decided { own_keys: Some(own_keys), detail }))
    };
    let Changed { before, after } = change_keys(asked, id, "webhook.regenerateSecrets", decide).await?;
    let current = |webhook: &Webhook| webhook.own_keys.as_ref().map(|own| own.keys.secret.current.clone());
    let made = current(&after).filter(|made| current(&before).as_ref() != Some(made));
    let signature_secret = made.map(|made| made.expose().to_owned());
    Ok(RegeneratedWebhookSecrets { signature_secret, webhook: WebhookObject(after) })
}

/// The rotation that makes a webhook's first own secret and key. They take the place of its tenant's as a set: both are made,
/// and who does not want one of them is told.
fn first(input: &RegenerateWebhookSecretsInput, chosen: Rotation) -> Result<Rotation, Refusal> {
    let said = [("signatureSecret", input.signature_secret), ("signatureKey", input.signature_key)];
    match said.into_iter().find(|(_, is_wanted)| *is_wanted == Some(false)) {
        None => Ok(Rotation { secret: true, key: true, ..chosen }),
        Some((field, _)) => {
            let message = "leave it out: the webhook has no secret and key of its own yet, and its first ones are made \
                together, in place of its tenant's";
            Err(Refusal::invalid_at(format!("input.{field}"), "FIRST_SECRETS_TOGETHER", message))
        }
    }
}

/// Takes them away.
pub(super) async fn remove(asked: &Asked, id: &ID, overlap_s: Option<i32>) -> Result<WebhookObject, Refusal> {
    let overlap_s = checked_overlap_s(overlap_s)?;
    let decide = |saved: &Webhook| -> Result<Option<Decided>, Refusal> {
        // What is on its way out can be ended at once, and not be kept longer.
        let ending = saved.own_keys.as_ref().filter(|own| own.are_in_use() || overlap_s == 0);
        let decided = |own: &OwnKeys| {
            let own_keys = own.removed(asked.now(), overlap_s);
            Decided { own_keys, detail: json!({ "overlapS": overlap_s }) }
        };
        Ok(ending.map(decided))
    };
    let changed = change_keys(asked, id, "webhook.removeSecrets", decide).await?;
    Ok(WebhookObject(changed.after))
}

/// What becomes of a webhook's own keys, and what the audit log tells of it.
struct Decided {
    own_keys: Option<OwnKeys>,
    detail: Value,
}

/// A webhook as it was, and as it became.
struct Changed {
    before: Arc<Webhook>,
    after: Arc<Webhook>,
}

/// Decides on a webhook's own keys and commits that, again where it was changed meanwhile.
async fn change_keys(
    asked: &Asked,
    id: &ID,
    action: &'static str,
    decide: impl Fn(&Webhook) -> Result<Option<Decided>, Refusal>,
) -> Result<Changed, Refusal> {
    let mut tries = 0;
    loop {
        let allowed = asked.may::<SecretsWrite>()?;
        let before = live_webhook(asked, id).await?;
        let Some(Decided { own_keys, detail }) = decide(&before)? else {
            return Ok(Changed { after: before.clone(), before });
        };
        let now = asked.now();
        let webhook = Webhook { own_keys, version: before.version + 1, updated_at: now, ..(*before).clone() };
        let mut change = Change::at(now);
        let expected = Expected::Version(before.version);
        change.writes.push(Write::PutWebhook { webhook: webhook.clone(), expected });
        let managed = Managed { action, subject: subject(before.id), before: None, after: Some(detail) };
        match allowed.commit(change, managed).await {
            Ok(_) => return Ok(Changed { before, after: Arc::new(webhook) }),
            Err(CommitError::Conflict(_)) if tries < CONFLICT_RETRIES_MAX => tries += 1,
            Err(error) => return Err(error.into()),
        }
    }
}
