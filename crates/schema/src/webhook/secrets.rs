//! Mutations of a webhook's own signature secret and key.

use super::audited::subject;
use super::mutations::live_webhook;
use super::object::WebhookObject;
use crate::access::{Managed, SecretsWrite};
use crate::context::ApiContext;
use async_graphql::{ID, InputObject, SimpleObject};
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::refusal::Refusal;
use hookgraph_domain::signing::{OwnKeys, Rotation};
use hookgraph_domain::webhook::Webhook;
use hookgraph_pim::{checked_overlap_s, rotation, until_committed};
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

/// Makes the webhook's own secret, its own key, or both anew.
pub(super) async fn regenerate(
    api: &ApiContext,
    id: &ID,
    input: RegenerateWebhookSecretsInput,
) -> Result<RegeneratedWebhookSecrets, Refusal> {
    let chosen = rotation(input.signature_secret, input.signature_key, input.overlap_s)?;
    let entropy = &*api.core.services.ports.entropy;
    let decide = |saved: &Webhook| -> Result<Option<KeysDecision>, Refusal> {
        let has_own = saved.own_keys.as_ref().is_some_and(OwnKeys::are_in_use);
        let rotation = if has_own { chosen } else { first(&input, chosen)? };
        let Rotation { secret, key, overlap_s } = rotation;
        let detail = json!({ "signatureSecret": secret, "signatureKey": key, "overlapS": overlap_s });
        let own_keys = OwnKeys::rotated(saved.own_keys.as_ref(), rotation, api.now(), entropy)?;
        Ok(Some(KeysDecision { own_keys: Some(own_keys), detail }))
    };
    let ChangedWebhook { before, after } = change_keys(api, id, "webhook.regenerateSecrets", decide).await?;
    let current = |webhook: &Webhook| webhook.own_keys.as_ref().map(|own| own.keys.secret.current.clone());
    let made = current(&after).filter(|made| current(&before).as_ref() != Some(made));
    let signature_secret = made.map(|made| made.expose().to_owned());
    Ok(RegeneratedWebhookSecrets { signature_secret, webhook: WebhookObject(after) })
}

/// The rotation that makes a webhook's first own secret and key. They take the place of its tenant's as a set, so an
/// input that excludes one of them is refused.
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

/// Takes the webhook's own secret and key away.
pub(super) async fn remove(api: &ApiContext, id: &ID, overlap_s: Option<i32>) -> Result<WebhookObject, Refusal> {
    let overlap_s = checked_overlap_s(overlap_s)?;
    let decide = |saved: &Webhook| -> Result<Option<KeysDecision>, Refusal> {
        // Keys that are on their way out may be ended at once, but not be kept longer.
        let ending = saved.own_keys.as_ref().filter(|own| own.are_in_use() || overlap_s == 0);
        let decided = |own: &OwnKeys| {
            let own_keys = own.removed(api.now(), overlap_s);
            KeysDecision { own_keys, detail: json!({ "overlapS": overlap_s }) }
        };
        Ok(ending.map(decided))
    };
    let changed = change_keys(api, id, "webhook.removeSecrets", decide).await?;
    Ok(WebhookObject(changed.after))
}

/// A decision on a webhook's own keys.
struct KeysDecision {
    /// The keys that the webhook has from then on.
    own_keys: Option<OwnKeys>,
    /// The entry of the audit log, without any key.
    detail: Value,
}

/// A webhook before and after a decision.
struct ChangedWebhook {
    before: Arc<Webhook>,
    after: Arc<Webhook>,
}

/// Decides on the own keys of a webhook as it is saved, and commits the decision if there is one.
async fn change_keys(
    api: &ApiContext,
    id: &ID,
    action: &'static str,
    decide: impl Fn(&Webhook) -> Result<Option<KeysDecision>, Refusal>,
) -> Result<ChangedWebhook, Refusal> {
    until_committed(async || {
        let allowed = api.may::<SecretsWrite>()?;
        let before = live_webhook(api, id).await?;
        let Some(KeysDecision { own_keys, detail }) = decide(&before)? else {
            return Ok(ChangedWebhook { after: before.clone(), before });
        };
        let now = api.now();
        let webhook = Webhook { own_keys, version: before.version + 1, updated_at: now, ..(*before).clone() };
        let mut change = Change::at(now);
        let expected = Expected::Version(before.version);
        change.writes.push(Write::PutWebhook { webhook: webhook.clone(), expected });
        let managed = Managed { action, subject: subject(before.id), before: None, after: Some(detail) };
        allowed.commit(change, managed).await?;
        Ok(ChangedWebhook { before, after: Arc::new(webhook) })
    })
    .await
}
