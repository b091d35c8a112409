//! The inputs of webhooks, and how they become the domain's draft.

use super::object::{HttpMethodName, OrderingName, SigningName, WebhookPayloadQueryApi};
use async_graphql::{ID, InputObject, MaybeUndefined};
use hookgraph_domain::flow::FlowDraft;
use hookgraph_domain::problem::Problem;
use hookgraph_domain::signing::SigningScheme;
use hookgraph_domain::tls::{self, TlsDraft, TlsSettings};
use hookgraph_domain::webhook::{Header, Webhook, WebhookStatus};
use hookgraph_domain::webhook_rules::{FilledHeaders, HeaderDraft, WebhookDraft, fill};
use std::sync::Arc;

/// A webhook to create.
#[derive(Clone, InputObject)]
pub(crate) struct CreateWebhookInput {
    /// What its events are about, e.g. `orders`.
    pub concern: String,
    /// What happened, e.g. `create`.
    pub event: String,
    /// The query whose result is the payload, up to 32 KiB; without one the payload is all of the event's variables.
    pub graphql_query: Option<String>,
    /// Only `current`.
    pub graphql_query_target: Option<WebhookPayloadQueryApi>,
    /// Whether the default payload is merged beneath the query's.
    pub preserve_default_payload: Option<bool>,
    /// Headers that its requests bear: up to 50, of 16 KiB together.
    pub headers: Option<Vec<WebhookHeaderInput>>,
    /// By which method it calls.
    pub method: HttpMethodName,
    /// What you call it: 1 to 200 characters.
    pub name: String,
    /// Your own.
    pub tenant_id: Option<ID>,
    /// Which URL it calls: https or http, up to 8 KiB as normalised.
    pub url: String,
    /// Whether it is switched on, as it is unless you say otherwise.
    pub enabled: Option<bool>,
    /// The deadline of one attempt, in milliseconds: 500 to 30000, 15000 unless you say otherwise.
    pub timeout_ms: Option<i32>,
    /// The waits before the second and every later attempt, in seconds: up to 20 of 1 to 259200; empty means one attempt.
    /// Unless you say otherwise 5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000 and 86400: eleven attempts over three days.
    pub retry_delays_s: Option<Vec<i32>>,
    /// Requests to it at once, over all processes: 1 to 500, 50 unless you say otherwise.
    pub concurrency: Option<i32>,
    /// Requests to it per second of each process: 1 to 1000; as many as come where there is none.
    pub rate_per_second: Option<i32>,
    /// In which order it is called: in none unless you say otherwise.
    pub ordering: Option<OrderingName>,
    /// What signs its requests: the secret unless you say otherwise.
    pub signing: Option<SigningName>,
    /// What its connections show and trust: as the server's unless you say otherwise.
    pub tls: Option<WebhookTlsInput>,
}

/// What to change of a webhook; what is left out stays. Null clears `graphqlQuery` and `headers`, and sets the others that
/// have a default to it.
#[derive(Clone, Default, InputObject)]
pub(crate) struct UpdateWebhookInput {
    /// What its events are about, e.g. `orders`.
    pub concern: MaybeUndefined<String>,
    /// What happened, e.g. `create`.
    pub event: MaybeUndefined<String>,
    /// The query whose result is the payload, up to 32 KiB; null or empty for the default payload.
    pub graphql_query: MaybeUndefined<String>,
    /// Only `current`.
    pub graphql_query_target: Option<WebhookPayloadQueryApi>,
    /// Whether the default payload is merged beneath the query's; null for false.
    pub preserve_default_payload: MaybeUndefined<bool>,
    /// Headers that its requests bear, up to 50, of 16 KiB together: they replace those before; null for none.
    pub headers: MaybeUndefined<Vec<WebhookHeaderInput>>,
    /// By which method it calls.
    pub method: MaybeUndefined<HttpMethodName>,
    /// What you call it: 1 to 200 characters.
    pub name: MaybeUndefined<String>,
    /// Which URL it calls: https or http, up to 8 KiB as normalised.
    pub url: MaybeUndefined<String>,
    /// False switches it off and cancels what is due; true sets it to work again.
    pub enabled: MaybeUndefined<bool>,
    /// The deadline of one attempt, in milliseconds: 500 to 30000; null for the default, 15000.
    pub timeout_ms: MaybeUndefined<i32>,
    /// The waits before the second and every later attempt, in seconds: up to 20 of 1 to 259200; empty means one attempt.
    /// Null for the default, 5, 30, 300, 1800, 7200, 18000, 36000, 50400, 72000 and 86400: eleven attempts over three days.
    pub retry_delays_s: MaybeUndefined<Vec<i32>>,
    /// Requests to it at once, over all processes: 1 to 500; null for the default, 50.
    pub concurrency: MaybeUndefined<i32>,
    /// Requests to it per second of each process: 1 to 1000; null for as many as come.
    pub rate_per_second: MaybeUndefined<i32>,
    /// In which order it is called; null for `NONE`. A change holds for what is due already too.
    pub ordering: MaybeUndefined<OrderingName>,
    /// What signs its requests; null for `SYMMETRIC`.
    pub signing: MaybeUndefined<SigningName>,
    /// What its connections show and trust: it replaces what was before, but for a key that is left out; null for as the
    /// server's.
    pub tls: MaybeUndefined<WebhookTlsInput>,
}

/// A header that a webhook's requests bear beside those of the server.
#[derive(Clone, InputObject)]
pub(crate) struct WebhookHeaderInput {
    /// Kept in lower case; up to 128 bytes.
    pub name: String,
    /// The value, up to 4 KiB. In an update, none keeps that of the saved webhook, and so does an empty one where that is secret: it must
    /// be given anew when anything of the URL changes but its query.
    pub value: Option<String>,
    /// Whether the value is shown to nobody from now on; as it is in the saved webhook where nothing is said.
    pub secret: Option<bool>,
}

/// TLS settings of a webhook whose URL is https.
#[derive(Clone, Default, InputObject)]
pub(crate) struct WebhookTlsInput {
    /// What is shown to a receiver that asks for a certificate, PEM, up to 16 KiB: the own one first, then those that vouch for
    /// it.
    pub client_certificate: Option<String>,
    /// The client certificate's key, PEM, up to 16 KiB. Shown to nobody; left out it stays as it is. It must be given anew when
    /// the URL comes to lead to another origin.
    pub client_key: Option<String>,
    /// The authorities that the receiver's certificate must come from, PEM, up to 16 KiB, in place of the server's.
    pub ca_certificates: Option<String>,
}

impl WebhookTlsInput {
    fn draft(&self) -> TlsDraft {
        TlsDraft {
            client_certificate: self.client_certificate.clone(),
            client_key: self.client_key.clone(),
            ca_certificates: self.ca_certificates.clone(),
        }
    }
}

impl CreateWebhookInput {
    /// The TLS settings of the input.
    ///
    /// # Errors
    /// The problems of the settings.
    pub fn tls(&self, path: &str) -> Result<Option<Arc<TlsSettings>>, Vec<Problem>> {
        let draft = self.tls.as_ref().map(WebhookTlsInput::draft).unwrap_or_default();
        Ok(tls::fill(draft, None, &format!("{path}.tls"))?.map(Arc::new))
    }

    /// The headers of the input.
    pub fn headers(&self, path: &str) -> FilledHeaders {
        fill(&header_drafts(self.headers.as_deref().unwrap_or_default()), &[], &format!("{path}.headers"))
    }

    /// The draft for the rules of webhooks.
    pub fn draft(&self, headers: Vec<Header>) -> WebhookDraft {
        WebhookDraft {
            name: self.name.clone(),
            concern: self.concern.clone(),
            event: self.event.clone(),
            method: self.method.into(),
            url: self.url.clone(),
            headers,
            graphql_query: self.graphql_query.clone(),
            timeout_ms: self.timeout_ms.map(i64::from),
            retry_delays_s: self.retry_delays_s.as_deref().map(widened),
            flow: FlowDraft {
                concurrency: self.concurrency.map(i64::from),
                rate_per_second: self.rate_per_second.map(i64::from),
                ordering: self.ordering.map_or_else(Default::default, Into::into),
            },
        }
    }
}

impl UpdateWebhookInput {
    /// The headers of the input; the saved webhook's where the input does not give the field.
    pub fn headers(&self, saved: &Webhook, path: &str) -> FilledHeaders {
        let kept = |header: &Header| HeaderDraft { name: header.name.clone(), value: None, is_secret: None };
        let drafts = match &self.headers {
            MaybeUndefined::Undefined => saved.headers.iter().map(kept).collect(),
            MaybeUndefined::Null => Vec::new(),
            MaybeUndefined::Value(headers) => header_drafts(headers),
        };
        fill(&drafts, &saved.headers, &format!("{path}.headers"))
    }

    /// The draft of the saved webhook with the given fields replaced.
    pub fn draft(&self, saved: &Webhook, headers: Vec<Header>) -> WebhookDraft {
        WebhookDraft {
            name: given(&self.name, &saved.name),
            concern: given(&self.concern, &saved.event_type.concern),
            event: given(&self.event, &saved.event_type.event),
            method: self.method.value().copied().map_or(saved.method, Into::into),
            url: given(&self.url, &saved.url),
            headers,
            graphql_query: match &self.graphql_query {
                MaybeUndefined::Undefined => saved.graphql_query.clone(),
                MaybeUndefined::Null => None,
                MaybeUndefined::Value(text) => Some(text.clone()),
            },
            timeout_ms: match &self.timeout_ms {
                MaybeUndefined::Undefined => Some(saved.timeout_ms.into()),
                MaybeUndefined::Null => None,
                MaybeUndefined::Value(timeout_ms) => Some((*timeout_ms).into()),
            },
            retry_delays_s: match &self.retry_delays_s {
                MaybeUndefined::Undefined => Some(saved.retry_delays_s.iter().map(|delay| (*delay).into()).collect()),
                MaybeUndefined::Null => None,
                MaybeUndefined::Value(delays) => Some(widened(delays)),
            },
            flow: self.flow(saved),
        }
    }

    fn flow(&self, saved: &Webhook) -> FlowDraft {
        let kept = FlowDraft::from(saved.flow);
        let number = |given: &MaybeUndefined<i32>, kept: Option<i64>| match given {
            MaybeUndefined::Undefined => kept,
            MaybeUndefined::Null => None,
            MaybeUndefined::Value(number) => Some(i64::from(*number)),
        };
        FlowDraft {
            concurrency: number(&self.concurrency, kept.concurrency),
            rate_per_second: number(&self.rate_per_second, kept.rate_per_second),
            ordering: match self.ordering {
                MaybeUndefined::Undefined => kept.ordering,
                MaybeUndefined::Null => Default::default(),
                MaybeUndefined::Value(ordering) => ordering.into(),
            },
        }
    }

    /// Whether the default payload is merged beneath the query's.
    pub fn preserve_default_payload(&self, saved: &Webhook) -> bool {
        match self.preserve_default_payload {
            MaybeUndefined::Undefined => saved.preserve_default_payload,
            MaybeUndefined::Null => false,
            MaybeUndefined::Value(preserve) => preserve,
        }
    }

    /// The TLS settings of the input; the saved webhook's where the input does not give the field.
    ///
    /// # Errors
    /// The problems of the settings.
    pub fn tls(&self, saved: &Webhook, path: &str) -> Result<Option<Arc<TlsSettings>>, Vec<Problem>> {
        let draft = match &self.tls {
            MaybeUndefined::Undefined => return Ok(saved.tls.clone()),
            MaybeUndefined::Null => return Ok(None),
            MaybeUndefined::Value(input) => input.draft(),
        };
        Ok(tls::fill(draft, saved.tls.as_deref(), &format!("{path}.tls"))?.map(Arc::new))
    }

    /// Whether the input gives a client key: else the saved one is kept.
    pub fn gives_client_key(&self) -> bool {
        let key = self.tls.value().and_then(|tls| tls.client_key.as_deref());
        key.is_some_and(|key| !key.trim().is_empty())
    }

    /// The signing scheme of the input; the saved webhook's where the input does not give the field.
    pub fn signing(&self, saved: &Webhook) -> SigningScheme {
        match self.signing {
            MaybeUndefined::Undefined => saved.signing,
            MaybeUndefined::Null => SigningScheme::default(),
            MaybeUndefined::Value(signing) => signing.into(),
        }
    }

    /// Whether the input switches the webhook on (true) or off; none where it stays as it is.
    pub fn switch(&self, saved: &Webhook) -> Option<bool> {
        match (self.enabled.value().copied()?, saved.status) {
            (true, WebhookStatus::Active) | (false, WebhookStatus::Disabled) => None,
            (enabled, _) => Some(enabled),
        }
    }

    /// Whether the input gives the field of that name, be it null.
    pub fn gives(&self, field: &str) -> bool {
        let is_left_out = match field {
            "concern" => self.concern.is_undefined(),
            "event" => self.event.is_undefined(),
            "graphqlQuery" => self.graphql_query.is_undefined(),
            "headers" => self.headers.is_undefined(),
            "name" => self.name.is_undefined(),
            "url" => self.url.is_undefined(),
            "timeoutMs" => self.timeout_ms.is_undefined(),
            "retryDelaysS" => self.retry_delays_s.is_undefined(),
            "concurrency" => self.concurrency.is_undefined(),
            "ratePerSecond" => self.rate_per_second.is_undefined(),
            _ => false,
        };
        !is_left_out
    }

    /// The problems of fields that are null and must not be.
    pub fn null_problems(&self, path: &str) -> Vec<Problem> {
        let nulls = [
            ("concern", self.concern.is_null()),
            ("event", self.event.is_null()),
            ("method", self.method.is_null()),
            ("name", self.name.is_null()),
            ("url", self.url.is_null()),
            ("enabled", self.enabled.is_null()),
        ];
        let null = |(field, _)| {
            Problem::new(
                format!("{path}.{field}"),
                "NULL_NOT_ALLOWED",
                "cannot be null: leave it out to keep it as it is",
            )
        };
        nulls.into_iter().filter(|(_, is_null)| *is_null).map(null).collect()
    }
}

/// The problem of a query target that this server does not have.
pub(super) fn target_problem(target: Option<WebhookPayloadQueryApi>, path: &str) -> Option<Problem> {
    (target == Some(WebhookPayloadQueryApi::Next)).then(|| {
        let message = "this server has one generation of the API: leave graphqlQueryTarget out, or say current";
        Problem::new(format!("{path}.graphqlQueryTarget"), "QUERY_TARGET_UNKNOWN", message)
    })
}

fn header_drafts(inputs: &[WebhookHeaderInput]) -> Vec<HeaderDraft> {
    let draft = |input: &WebhookHeaderInput| HeaderDraft {
        name: input.name.clone(),
        value: input.value.clone(),
        is_secret: input.secret,
    };
    inputs.iter().map(draft).collect()
}

fn given(input: &MaybeUndefined<String>, saved: &str) -> String {
    input.value().map_or_else(|| saved.to_owned(), Clone::clone)
}

fn widened(delays: &[i32]) -> Vec<i64> {
    delays.iter().copied().map(i64::from).collect()
}
