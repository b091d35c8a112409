//! Webhook rules: what a user may save as a webhook, judged before anything is written.
//!
//! Every refusal is a [`Problem`] with the path of the input field, a stable code and what would be right. The payload
//! query itself is judged by the renderer's side; here it is only measured.

mod headers;
mod secret_headers;
mod url;

pub use headers::{RESERVED_HEADERS, is_reserved_header};
pub use secret_headers::{FilledHeaders, HeaderDraft, check_kept_client_key, check_kept_headers, fill};

use crate::address::AddressRules;
use crate::catalogue;
use crate::event::EventTypeKey;
use crate::flow::{self, FlowDraft, FlowSettings};
use crate::limits::{DOCUMENT_BYTES_MAX, TIMEOUT_MS_DEFAULT, TIMEOUT_MS_MAX, TIMEOUT_MS_MIN, WEBHOOK_NAME_CHARS_MAX};
use crate::problem::Problem;
use crate::retry::{self, RETRY_DELAYS_S_DEFAULT};
use crate::webhook::{Header, HttpMethod, Webhook};

/// A webhook as a user writes it, whole: an update is the saved webhook with the given fields replaced.
#[derive(Clone, Debug, PartialEq)]
pub struct WebhookDraft {
    /// `name`.
    pub name: String,
    /// `concern`.
    pub concern: String,
    /// `event`.
    pub event: String,
    /// `method`.
    pub method: HttpMethod,
    /// `url`.
    pub url: String,
    /// `headers`, names in any case.
    pub headers: Vec<Header>,
    /// `graphqlQuery`; empty means none.
    pub graphql_query: Option<String>,
    /// `timeoutMs`; none means [`TIMEOUT_MS_DEFAULT`].
    pub timeout_ms: Option<i64>,
    /// `retryDelaysS`; none means [`RETRY_DELAYS_S_DEFAULT`].
    pub retry_delays_s: Option<Vec<i64>>,
    /// `concurrency`, `ratePerSecond`, `ordering`.
    pub flow: FlowDraft,
}

/// What of a draft may be saved, in the form in which it is.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckedWebhook {
    /// Without space around it.
    pub name: String,
    /// Of the catalogue.
    pub event_type: EventTypeKey,
    /// As drafted.
    pub method: HttpMethod,
    /// Normalised as WHATWG says.
    pub url: String,
    /// Names in lower case, each once, none of them reserved; values without space around them.
    pub headers: Vec<Header>,
    /// None where it was blank.
    pub graphql_query: Option<String>,
    /// From [`TIMEOUT_MS_MIN`] to [`TIMEOUT_MS_MAX`].
    pub timeout_ms: u32,
    /// Within the bounds of [`retry::problems`].
    pub retry_delays_s: Vec<u32>,
    /// Within the bounds of [`flow::check`].
    pub flow: FlowSettings,
}

/// Judges a draft. `path` is where it stands in the input, e.g. `input`.
///
/// # Errors
/// Every problem that the draft has, in the order of its fields.
pub fn check(draft: &WebhookDraft, address_rules: &AddressRules, path: &str) -> Result<CheckedWebhook, Vec<Problem>> {
    let mut problems = Vec::new();
    let checked = CheckedWebhook {
        name: name(&draft.name, path, &mut problems),
        event_type: event_type(draft, path, &mut problems),
        method: draft.method,
        url: url::check(&draft.url, address_rules, &format!("{path}.url"), &mut problems),
        headers: headers::check(&draft.headers, &format!("{path}.headers"), &mut problems),
        graphql_query: graphql_query(draft.graphql_query.as_deref(), path, &mut problems),
        timeout_ms: timeout_ms(draft.timeout_ms, path, &mut problems),
        retry_delays_s: retry_delays_s(draft.retry_delays_s.as_deref(), path, &mut problems),
        flow: flow::check(draft.flow, path, &mut problems),
    };
    if problems.is_empty() { Ok(checked) } else { Err(problems) }
}

/// Judges what an update changes of a saved webhook. What stays as it is saved is not judged: rules may have become stricter
/// since, and that must not keep anybody from switching the webhook off, or from changing the rest.
///
/// # Errors
/// Every problem of what the draft changes, in the order of its fields.
pub fn check_changed(
    draft: &WebhookDraft,
    saved: &Webhook,
    address_rules: &AddressRules,
    path: &str,
) -> Result<CheckedWebhook, Vec<Problem>> {
    let has_saved_type = draft.concern == saved.event_type.concern && draft.event == saved.event_type.event;
    let has_saved_timeout = draft.timeout_ms == Some(i64::from(saved.timeout_ms));
    let saved_delays_s: Vec<i64> = saved.retry_delays_s.iter().copied().map(i64::from).collect();
    let has_saved_delays = draft.retry_delays_s.as_ref() == Some(&saved_delays_s);
    let mut problems = Vec::new();
    let found = &mut problems;
    let checked = CheckedWebhook {
        name: if draft.name == saved.name { saved.name.clone() } else { name(&draft.name, path, found) },
        event_type: if has_saved_type { saved.event_type.clone() } else { event_type(draft, path, found) },
        method: draft.method,
        url: if draft.url == saved.url {
            saved.url.clone()
        } else {
            url::check(&draft.url, address_rules, &format!("{path}.url"), found)
        },
        headers: if draft.headers == saved.headers {
            saved.headers.clone()
        } else {
            headers::check(&draft.headers, &format!("{path}.headers"), found)
        },
        graphql_query: if draft.graphql_query == saved.graphql_query {
            saved.graphql_query.clone()
        } else {
            graphql_query(draft.graphql_query.as_deref(), path, found)
        },
        timeout_ms: if has_saved_timeout { saved.timeout_ms } else { timeout_ms(draft.timeout_ms, path, found) },
        retry_delays_s: if has_saved_delays {
            saved.retry_delays_s.clone()
        } else {
            retry_delays_s(draft.retry_delays_s.as_deref(), path, found)
        },
        flow: changed_flow(draft.flow, saved.flow, path, found),
    };
    if problems.is_empty() { Ok(checked) } else { Err(problems) }
}

/// The flow settings of an update. A setting that stays as it is saved is not judged.
fn changed_flow(draft: FlowDraft, saved: FlowSettings, path: &str, problems: &mut Vec<Problem>) -> FlowSettings {
    let as_saved = FlowDraft::from(saved);
    let judged = FlowDraft {
        concurrency: draft.concurrency.filter(|_| draft.concurrency != as_saved.concurrency),
        rate_per_second: draft.rate_per_second.filter(|_| draft.rate_per_second != as_saved.rate_per_second),
        ordering: draft.ordering,
    };
    let checked = flow::check(judged, path, problems);
    FlowSettings {
        concurrency: if draft.concurrency == as_saved.concurrency { saved.concurrency } else { checked.concurrency },
        rate_per_second: if draft.rate_per_second == as_saved.rate_per_second {
            saved.rate_per_second
        } else {
            checked.rate_per_second
        },
        ordering: checked.ordering,
    }
}

fn name(name: &str, path: &str, problems: &mut Vec<Problem>) -> String {
    let name = name.trim();
    let mut refuse = |code: &str, message: String| problems.push(Problem::new(format!("{path}.name"), code, message));
    if name.is_empty() {
        refuse("NAME_EMPTY", "a webhook needs a name".to_owned());
    }
    let chars = name.chars().count();
    if chars > WEBHOOK_NAME_CHARS_MAX {
        refuse("NAME_TOO_LONG", format!("the name has {chars} characters, {WEBHOOK_NAME_CHARS_MAX} are allowed"));
    }
    if name.contains(char::is_control) {
        refuse("NAME_INVALID", "the name holds a control character: use plain text on one line".to_owned());
    }
    name.to_owned()
}

fn event_type(draft: &WebhookDraft, path: &str, problems: &mut Vec<Problem>) -> EventTypeKey {
    problems.extend(catalogue::known(&draft.concern, &draft.event, path).err());
    EventTypeKey::new(&draft.concern, &draft.event)
}

fn graphql_query(document: Option<&str>, path: &str, problems: &mut Vec<Problem>) -> Option<String> {
    let document = document.filter(|document| !document.trim().is_empty())?;
    if document.len() > DOCUMENT_BYTES_MAX {
        let message = format!("the payload query has {} bytes, {DOCUMENT_BYTES_MAX} are allowed", document.len());
        problems.push(Problem::new(format!("{path}.graphqlQuery"), "DOCUMENT_TOO_LONG", message));
    }
    Some(document.to_owned())
}

fn timeout_ms(timeout_ms: Option<i64>, path: &str, problems: &mut Vec<Problem>) -> u32 {
    let asked = timeout_ms.unwrap_or_else(|| TIMEOUT_MS_DEFAULT.into());
    match u32::try_from(asked) {
        Ok(allowed) if (TIMEOUT_MS_MIN..=TIMEOUT_MS_MAX).contains(&allowed) => allowed,
        _ => {
            let message = format!("{asked} ms: {TIMEOUT_MS_MIN} to {TIMEOUT_MS_MAX} are allowed");
            problems.push(Problem::new(format!("{path}.timeoutMs"), "TIMEOUT_OUT_OF_RANGE", message));
            TIMEOUT_MS_DEFAULT
        }
    }
}

fn retry_delays_s(delays_s: Option<&[i64]>, path: &str, problems: &mut Vec<Problem>) -> Vec<u32> {
    let Some(delays_s) = delays_s else { return RETRY_DELAYS_S_DEFAULT.to_vec() };
    problems.extend(retry::problems(&format!("{path}.retryDelaysS"), delays_s));
    delays_s.iter().filter_map(|delay_s| u32::try_from(*delay_s).ok()).collect()
}

#[cfg(test)]
mod tests;
