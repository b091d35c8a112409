//! Webhooks: what to call, how, with which payload query, on which event type.

use crate::breaker::Breaker;
use crate::delivery::DeliveryStanding;
use crate::drain::Drain;
use crate::event::EventTypeKey;
use crate::flow::FlowSettings;
use crate::ids::{TenantId, WebhookId};
use crate::permission::{Permission, PermissionSet};
use crate::signing::{OwnKeys, SigningScheme};
use crate::time::Timestamp;
use crate::tls::TlsSettings;
use std::sync::Arc;

/// The methods by which a webhook may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HttpMethod {
    /// The payload travels as query parameters.
    Get,
    /// JSON body.
    Post,
    /// JSON body.
    Put,
    /// JSON body.
    Patch,
    /// JSON body.
    Delete,
}

impl HttpMethod {
    /// Every method.
    pub const ALL: [HttpMethod; 5] = [Self::Get, Self::Post, Self::Put, Self::Patch, Self::Delete];

    /// The method in upper case.
    pub const fn as_str(self) -> &'static str {
        match self {
            HttpMethod::Get => "GET",
            HttpMethod::Post => "POST",
            HttpMethod::Put => "PUT",
            HttpMethod::Patch => "PATCH",
            HttpMethod::Delete => "DELETE",
        }
    }

    /// The method of that upper-case name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.as_str() == name)
    }
}

/// A header that a webhook's requests bear beside ours.
#[derive(Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Header {
    /// Lower case.
    pub name: String,
    /// As configured.
    pub value: String,
    /// Whether it is shown to nobody.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_secret: bool,
}

impl std::fmt::Debug for Header {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: …", self.name)
    }
}

/// Whether a webhook gets deliveries, and whether they are sent.
///
/// | status | set by | new events | due deliveries |
/// |---|---|---|---|
/// | `ACTIVE` | – | fan out | sent |
/// | `DISABLED` | the user | no delivery | cancelled |
/// | `PAUSED` | the user | fan out | held |
/// | `SUSPENDED` | the breaker | fan out | held, probed |
/// | `AUTO_DISABLED` | 410, or days of nothing but failure | fan out | held until someone resumes |
/// | `INVALID` | schema drift | fan out | held |
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WebhookStatus {
    /// Gets deliveries, which are sent.
    Active,
    /// Switched off by the user.
    Disabled,
    /// Held by the user.
    Paused,
    /// Held by the breaker.
    Suspended,
    /// Held after a 410 or after days of nothing but failure.
    AutoDisabled,
    /// Held: its payload query does not fit the schema any more.
    Invalid,
}

impl WebhookStatus {
    /// Every status.
    pub const ALL: [WebhookStatus; 6] =
        [Self::Active, Self::Disabled, Self::Paused, Self::Suspended, Self::AutoDisabled, Self::Invalid];

    /// The name in the API and in tables.
    pub const fn as_str(self) -> &'static str {
        match self {
            WebhookStatus::Active => "ACTIVE",
            WebhookStatus::Disabled => "DISABLED",
            WebhookStatus::Paused => "PAUSED",
            WebhookStatus::Suspended => "SUSPENDED",
            WebhookStatus::AutoDisabled => "AUTO_DISABLED",
            WebhookStatus::Invalid => "INVALID",
        }
    }

    /// The status of that name, if there is one.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// Whether what is due is kept without being sent.
    pub const fn holds(self) -> bool {
        matches!(self, Self::Paused | Self::Suspended | Self::AutoDisabled | Self::Invalid)
    }
}

/// What was found out about a payload query when it was saved.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct CheckedDocument {
    /// SHA-256 of the document's text, lower-case hex.
    pub document_sha256: String,
    /// SHA-256 of the SDL that it was checked against: another one means checking again.
    pub schema_sha256: String,
    /// The event's variables that it declares.
    pub used_variables: Vec<String>,
    /// Its complexity.
    pub complexity: u32,
    /// What it may read: the permissions that its author held.
    pub permissions: Vec<String>,
}

impl CheckedDocument {
    /// What it may read, as a set. A name that is no permission any more allows nothing.
    pub fn needed(&self) -> PermissionSet {
        self.permissions.iter().filter_map(|name| Permission::from_name(name)).collect()
    }
}

/// A webhook.
#[derive(Clone, Debug, PartialEq)]
pub struct Webhook {
    /// Its id.
    pub id: WebhookId,
    /// Whose webhook.
    pub tenant_id: TenantId,
    /// What its owner calls it.
    pub name: String,
    /// On which events it calls.
    pub event_type: EventTypeKey,
    /// By which method.
    pub method: HttpMethod,
    /// Which URL, normalised as WHATWG says.
    pub url: String,
    /// With which headers of its own.
    pub headers: Vec<Header>,
    /// Its payload query; none means the default payload.
    pub graphql_query: Option<String>,
    /// Whether the default payload is merged beneath the query's.
    pub preserve_default_payload: bool,
    /// What was found out about the payload query.
    pub document: Option<CheckedDocument>,
    /// What signs its requests.
    pub signing: SigningScheme,
    /// Keys of its own; without them its tenant's sign.
    pub own_keys: Option<OwnKeys>,
    /// What its connections show and trust, where that is its own.
    pub tls: Option<Arc<TlsSettings>>,
    /// Whether it gets deliveries and sends them.
    pub status: WebhookStatus,
    /// Why the status is what it is, where it is not plain.
    pub status_reason: Option<String>,
    /// Since when.
    pub status_since: Timestamp,
    /// The deadline of one attempt, over DNS, connect, TLS, headers and body.
    pub timeout_ms: u32,
    /// The waits before the second and every later attempt, in seconds; empty means one attempt.
    pub retry_delays_s: Vec<u32>,
    /// How fast and in which order it is called.
    pub flow: FlowSettings,
    /// Where its breaker stands.
    pub breaker: Breaker,
    /// Its backlog that is becoming due; none while nothing is held, and while it does not send.
    pub draining: Option<Drain>,
    /// Since when it calls on this event type.
    pub subscribed_at: Timestamp,
    /// Since when no attempt has succeeded, while all fail.
    pub failing_since: Option<Timestamp>,
    /// 1 when created, one more with every write.
    pub version: i64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
    /// When it was deleted; its history stays until its retention ends.
    pub deleted_at: Option<Timestamp>,
}

impl Webhook {
    /// The webhook in that status since `now`; the caller sets the version. Made active it starts with a clean record, so
    /// that the first failure after a resume does not disable it again, and what is held for it drains at a pace.
    pub fn with_status(self, status: WebhookStatus, status_reason: Option<String>, now: Timestamp) -> Self {
        let failing_since = self.failing_since.filter(|_| status != WebhookStatus::Active);
        let breaker = match status {
            WebhookStatus::Suspended => Breaker::opened(now),
            _ => Breaker::default(),
        };
        let draining = (status == WebhookStatus::Active && self.status != status).then(|| Drain::begun(now));
        Self { status, status_reason, status_since: now, failing_since, breaker, draining, updated_at: now, ..self }
    }

    /// Whether that delivery is the one that probes it while its breaker is open.
    pub fn is_probed_by(&self, delivery: impl Into<DeliveryStanding>) -> bool {
        self.status == WebhookStatus::Suspended && self.breaker.probe_id == Some(delivery.into().id)
    }

    /// Whether that delivery is sent as things stand: a test always, a probe while the breaker is open, and all others
    /// while the webhook is active; none once it is deleted.
    pub fn sends(&self, delivery: impl Into<DeliveryStanding>) -> bool {
        let delivery = delivery.into();
        let sends = delivery.is_test || self.status == WebhookStatus::Active || self.is_probed_by(delivery);
        sends && self.deleted_at.is_none()
    }
}
