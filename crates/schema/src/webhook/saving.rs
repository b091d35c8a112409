//! Saving: the decisions that turn a draft into a webhook that may be stored. Nothing is written here.

use super::input::{CreateWebhookInput, UpdateWebhookInput, target_problem};
use crate::context::Core;
use async_graphql::MaybeUndefined;
use hookgraph_domain::catalogue;
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::fan_out::{cancelled_reason, held_reason};
use hookgraph_domain::ids::{TenantId, WebhookId};
use hookgraph_domain::problem::Problem;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::tls::TlsSettings;
use hookgraph_domain::webhook::{CheckedDocument, Webhook, WebhookStatus};
use hookgraph_domain::webhook_rules::{self, CheckedWebhook, WebhookDraft};
use std::sync::Arc;

/// The webhook that an input describes, at version 1. `path` is the input's place.
///
/// # Errors
/// Every problem of the input.
pub(super) fn created(
    core: &Core,
    input: &CreateWebhookInput,
    path: &str,
    (id, tenant_id): (WebhookId, TenantId),
    now: Timestamp,
) -> Result<Webhook, Refusal> {
    let mut problems: Vec<_> = target_problem(input.graphql_query_target, path).into_iter().collect();
    let filled = input.headers(path);
    problems.extend(filled.problems);
    let draft = input.draft(filled.headers);
    let document = document_verdict(core, &draft, path, &mut problems);
    let checked = noted(webhook_rules::check(&draft, &core.services.address_rules, path), &mut problems);
    let tls = tls_verdict(core, input.tls(path), (&draft.url, path), now, &mut problems);
    let Some(checked) = checked.filter(|_| problems.is_empty()) else { return Err(in_order(problems)) };
    let status = if input.enabled == Some(false) { WebhookStatus::Disabled } else { WebhookStatus::Active };
    Ok(Webhook {
        id,
        tenant_id,
        name: checked.name,
        event_type: checked.event_type,
        method: checked.method,
        url: checked.url,
        headers: checked.headers,
        graphql_query: checked.graphql_query,
        preserve_default_payload: input.preserve_default_payload.unwrap_or(false),
        document,
        signing: input.signing.map(Into::into).unwrap_or_default(),
        own_keys: None,
        tls,
        status,
        status_reason: (status == WebhookStatus::Disabled).then(|| SWITCHED_OFF.to_owned()),
        status_since: now,
        timeout_ms: checked.timeout_ms,
        retry_delays_s: checked.retry_delays_s,
        flow: checked.flow,
        breaker: Default::default(),
        draining: None,
        subscribed_at: now,
        failing_since: None,
        version: 1,
        created_at: now,
        updated_at: now,
        deleted_at: None,
    })
}

/// The status reason of a webhook that a person switched off.
const SWITCHED_OFF: &str = "switched off by a person";

/// The webhook after an update, and the change that writes it; no change where the update changes nothing. What stays as it
/// is saved is judged only where the update switches the webhook on, and TLS settings that stay not even then;
/// `switch_path` is where the caller asked for that.
///
/// # Errors
/// Every problem of the input.
pub(super) fn updated(
    core: &Core,
    saved: &Webhook,
    input: &UpdateWebhookInput,
    switch_path: &str,
    now: Timestamp,
) -> Result<(Webhook, Option<Change>), Refusal> {
    const PATH: &str = "input";
    let mut problems = input.null_problems(PATH);
    problems.extend(target_problem(input.graphql_query_target, PATH));
    let filled = input.headers(saved, PATH);
    problems.extend(filled.problems);
    let draft = input.draft(saved, filled.headers);
    let switch = input.switch(saved);
    let is_other_document = draft.graphql_query.as_deref().unwrap_or_default()
        != saved.graphql_query.as_deref().unwrap_or_default()
        || draft.concern != saved.event_type.concern
        || draft.event != saved.event_type.event;
    // A new payload query that is proven ends the status INVALID.
    let mended = saved.status == WebhookStatus::Invalid && is_other_document && switch.is_none();
    let switches_on = switch == Some(true) || mended;
    let switch_path = if mended { "input.graphqlQuery" } else { switch_path };
    let mut judged = Vec::new();
    let document = if is_other_document || switches_on {
        document_verdict(core, &draft, PATH, &mut judged)
    } else {
        saved.document.clone()
    };
    let rules = &core.services.address_rules;
    let checked = if switches_on {
        let checked = noted(webhook_rules::check(&draft, rules, PATH), &mut judged);
        let is_given = |field: &str| {
            input.gives(field) || (is_other_document && matches!(field, "concern" | "event" | "graphqlQuery"))
        };
        judged = judged.into_iter().map(|problem| placed(problem, PATH, switch_path, is_given)).collect();
        checked
    } else {
        noted(webhook_rules::check_changed(&draft, saved, rules, PATH), &mut judged)
    };
    problems.extend(judged);
    let headers_path = format!("{PATH}.headers");
    let headers_place = (headers_path.as_str(), input.gives("headers"));
    let url = checked.as_ref().map_or(saved.url.as_str(), |checked| &checked.url);
    problems.extend(webhook_rules::check_kept_headers(saved, url, &filled.kept, headers_place));
    let tls = updated_tls(core, saved, input, (&draft.url, url, PATH), now, &mut problems);
    let Some(checked) = checked.filter(|_| problems.is_empty()) else { return Err(in_order(problems)) };
    let mut webhook = Webhook {
        name: checked.name,
        method: checked.method,
        url: checked.url,
        headers: checked.headers,
        graphql_query: checked.graphql_query,
        preserve_default_payload: input.preserve_default_payload(saved),
        document,
        signing: input.signing(saved),
        tls,
        timeout_ms: checked.timeout_ms,
        retry_delays_s: checked.retry_delays_s,
        flow: checked.flow,
        ..saved.clone()
    };
    if checked.event_type != saved.event_type {
        webhook.event_type = checked.event_type;
        webhook.subscribed_at = now;
    }
    let (mut webhook, due) = switched(webhook, if mended { Some(true) } else { switch }, now);
    if webhook == *saved {
        return Ok((webhook, None));
    }
    webhook.version = saved.version + 1;
    webhook.updated_at = now;
    let mut change = Change::at(now);
    change.writes.push(Write::PutWebhook { webhook: webhook.clone(), expected: Expected::Version(saved.version) });
    change.writes.extend(due);
    Ok((webhook, Some(change)))
}

/// The TLS settings after an update to the URL that is asked for, which is `url` as it is saved.
fn updated_tls(
    core: &Core,
    saved: &Webhook,
    input: &UpdateWebhookInput,
    (asked_url, url, path): (&str, &str, &str),
    now: Timestamp,
    problems: &mut Vec<Problem>,
) -> Option<Arc<TlsSettings>> {
    let tls = match input.tls(saved, path) {
        // Saved settings may have expired since: unchanged, they do not keep a person from changing the rest.
        Ok(tls) if tls == saved.tls && (tls.is_none() || asked_url == saved.url) => tls,
        tls => tls_verdict(core, tls, (asked_url, path), now, problems),
    };
    let has_client_key = tls.as_ref().is_some_and(|tls| tls.identity.is_some());
    if has_client_key && !input.gives_client_key() {
        for problem in problems.iter_mut().filter(|problem| problem.code == "CLIENT_KEY_MISMATCH") {
            problem.message = "the saved key is not that of the new clientCertificate: give its key too".to_owned();
        }
        problems.extend(webhook_rules::check_kept_client_key(saved, url, &format!("{path}.tls.clientKey")));
    }
    tls
}

/// Switches a webhook on or off. Returns the write that cancels its due deliveries where it is switched off; where it
/// is switched on, its held deliveries drain without a write.
fn switched(webhook: Webhook, switch: Option<bool>, now: Timestamp) -> (Webhook, Option<Write>) {
    let webhook_id = webhook.id;
    match switch {
        None => (webhook, None),
        Some(true) => (webhook.with_status(WebhookStatus::Active, None, now), None),
        Some(false) => {
            let cancel = Write::CancelDue { webhook_id, reason: cancelled_reason(false).to_owned() };
            (webhook.with_status(WebhookStatus::Disabled, Some(SWITCHED_OFF.to_owned()), now), Some(cancel))
        }
    }
}

/// The paused webhook, and the change that writes it and holds its due deliveries; no change where it is paused
/// already.
///
/// # Errors
/// Where the webhook does not send anyway: a pause would hide the reason.
pub(super) fn paused(saved: &Webhook, now: Timestamp) -> Result<(Webhook, Option<Change>), Refusal> {
    match saved.status {
        WebhookStatus::Paused => return Ok((saved.clone(), None)),
        WebhookStatus::Active | WebhookStatus::Suspended => {}
        status => {
            let message = format!("the webhook is {}: only one that sends can be paused", status.as_str());
            return Err(Refusal::new(RefusalCode::Conflict, message));
        }
    }
    let next = Webhook { version: saved.version + 1, ..saved.clone() };
    let webhook = next.with_status(WebhookStatus::Paused, Some("paused by a person".to_owned()), now);
    let mut change = Change::at(now);
    change.writes.push(Write::PutWebhook { webhook: webhook.clone(), expected: Expected::Version(saved.version) });
    change.writes.push(Write::HoldDue { webhook_id: saved.id, reason: held_reason(WebhookStatus::Paused) });
    Ok((webhook, Some(change)))
}

/// The resumed webhook with its payload query proven again, and the change that writes it; no change where it sends
/// already. Its held deliveries drain at a pace.
///
/// # Errors
/// Where the webhook is switched off, or its payload query does not fit the schema.
pub(super) fn resumed(core: &Core, saved: &Webhook, now: Timestamp) -> Result<(Webhook, Option<Change>), Refusal> {
    if saved.status == WebhookStatus::Disabled {
        let message = "the webhook is DISABLED: switch it on by webhook.update with enabled: true";
        return Err(Refusal::new(RefusalCode::Conflict, message));
    }
    let input = UpdateWebhookInput { enabled: MaybeUndefined::Value(true), ..Default::default() };
    updated(core, saved, &input, "id", now)
}

/// The change that deletes a webhook: its due deliveries are cancelled, and its history stays.
pub(super) fn deleted(saved: &Webhook, now: Timestamp) -> Change {
    let webhook = Webhook { deleted_at: Some(now), updated_at: now, version: saved.version + 1, ..saved.clone() };
    let mut change = Change::at(now);
    let reason = cancelled_reason(true).to_owned();
    change.writes.push(Write::PutWebhook { webhook, expected: Expected::Version(saved.version) });
    change.writes.push(Write::CancelDue { webhook_id: saved.id, reason });
    change
}

/// A problem of what the caller did not give is a problem of the wish to switch the webhook on: its path is that wish's.
fn placed(problem: Problem, path: &str, switch_path: &str, is_given: impl Fn(&str) -> bool) -> Problem {
    let within = problem.path.strip_prefix(path).unwrap_or_default().trim_start_matches('.');
    let field = within.split('.').next().unwrap_or_default();
    if is_given(field) {
        return problem;
    }
    let message = format!("{within} as it is saved: {}", problem.message);
    Problem { path: switch_path.to_owned(), message, ..problem }
}

/// What the rules found right. Adds what they found wrong to `problems`.
fn noted(verdict: Result<CheckedWebhook, Vec<Problem>>, problems: &mut Vec<Problem>) -> Option<CheckedWebhook> {
    match verdict {
        Ok(checked) => Some(checked),
        Err(found) => {
            // The check of the document finds some of these problems too, and with their place.
            let known: Vec<_> = problems.iter().map(|problem| (problem.path.clone(), problem.code.clone())).collect();
            problems.extend(found.into_iter().filter(|new| !known.contains(&(new.path.clone(), new.code.clone()))));
            None
        }
    }
}

/// Whether a URL, as it is given, has the scheme `https`, whatever else is wrong with it.
fn is_https(url: &str) -> bool {
    const SCHEME: &str = "https://";
    url.get(..SCHEME.len()).is_some_and(|scheme| scheme.eq_ignore_ascii_case(SCHEME))
}

/// The TLS settings, if there are any. Adds the problems of the settings, alone and with the URL, to `problems`.
fn tls_verdict(
    core: &Core,
    tls: Result<Option<Arc<TlsSettings>>, Vec<Problem>>,
    (url, path): (&str, &str),
    now: Timestamp,
    problems: &mut Vec<Problem>,
) -> Option<Arc<TlsSettings>> {
    match tls {
        Ok(None) => None,
        Ok(Some(tls)) => {
            if !is_https(url) {
                let message = "only an https URL is called over TLS";
                problems.push(Problem::new(format!("{path}.tls"), "TLS_NEEDS_HTTPS", message));
            }
            if let Err(fault) = core.services.tls.judge(&tls, now) {
                problems.push(Problem::new(format!("{path}.tls.{}", fault.field), fault.code, fault.message));
            }
            Some(tls)
        }
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

/// The checked document of the draft; none where the draft has no document, or the document has a problem.
fn document_verdict(
    core: &Core,
    draft: &WebhookDraft,
    path: &str,
    problems: &mut Vec<Problem>,
) -> Option<CheckedDocument> {
    let text = draft.graphql_query.as_deref().filter(|text| !text.trim().is_empty())?;
    let verdict = match catalogue::find(&draft.concern, &draft.event) {
        Some(event_type) => core.documents.check(text, event_type),
        None => Err(core.documents.problems_without_event(text)),
    };
    verdict
        .map_err(|found| {
            let placed = |problem: Problem| Problem { path: format!("{path}.graphqlQuery"), ..problem };
            problems.extend(found.into_iter().map(placed));
        })
        .ok()
}

fn in_order(mut problems: Vec<Problem>) -> Refusal {
    problems.sort_by(|one, other| (&one.path, one.line, one.column).cmp(&(&other.path, other.line, other.column)));
    Refusal::invalid(problems)
}
