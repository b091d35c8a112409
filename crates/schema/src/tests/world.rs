//! What the tests share: both schemas on the fake store, with a tenant to ask as.

use crate::document::{DocumentChecker, Validator, judge};
use crate::limits::RenderLimits;
use crate::render::Renderer;
use crate::{Api, FeedSignals, Services, roots};
use async_graphql::{Request, Variables};
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::catalogue;
use hookgraph_domain::change::{Change, Expected, Write};
use hookgraph_domain::event::{Event, EventTypeKey};
use hookgraph_domain::ids::{EventId, TenantId, WebhookId};
use hookgraph_domain::page::EventQuery;
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::{History, NoObserver, RenderError, RenderRequest, TlsFault, TlsJudge, UnitOfWork};
use hookgraph_domain::time::Timestamp;
use hookgraph_domain::tls::TlsSettings;
use hookgraph_domain::webhook::Webhook;
use hookgraph_pim::{Caller, PimServices};
use hookgraph_testkit::{ManualClock, MemoryStore, NoWakeUps, SeededEntropy, sample};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

/// One customer, `ada`.
pub const ADD_CUSTOMER: &str = "mutation { customer { create(input: { identifier: \"ada\", firstName: \"Ada\", \
    lastName: \"L\", tenantId: \"00000000-0000-0000-0000-000000000001\" }) { __typename } } }";

/// A customer, by the variables of its events.
pub const CUSTOMER: &str = "query ($identifier: String!, $tenantId: ID!) {
    customer { get(identifier: $identifier, tenantId: $tenantId) { firstName } } }";

pub struct World {
    pub api: Api,
    pub caller: Caller,
    pub store: MemoryStore,
    /// Nobody watches the feed here: a test says that it moved.
    pub feed: Arc<FeedSignals>,
    services: PimServices,
}

/// Takes every certificate but one that says `expired`, and one that says `unpaired`, which no key fits.
struct NothingExpired;

impl TlsJudge for NothingExpired {
    fn judge(&self, tls: &TlsSettings, _now: Timestamp) -> Result<(), TlsFault> {
        let is_expired = tls.identity.as_ref().is_some_and(|identity| identity.certificate == "expired");
        let fault = || TlsFault {
            field: "clientCertificate",
            code: "CLIENT_CERTIFICATE_EXPIRED",
            message: "it has expired".to_owned(),
        };
        if tls.identity.as_ref().is_some_and(|identity| identity.certificate == "unpaired") {
            let message = "the key is not that of clientCertificate".to_owned();
            return Err(TlsFault { field: "clientKey", code: "CLIENT_KEY_MISMATCH", message });
        }
        if is_expired { Err(fault()) } else { Ok(()) }
    }

    fn expires_at(&self, tls: &TlsSettings) -> Option<Timestamp> {
        tls.identity.as_ref().map(|_| sample::now())
    }
}

/// A tenant without any record.
pub async fn world() -> World {
    world_that_suggests(true).await
}

/// The same on a server in production, or on one that is not.
pub async fn world_that_suggests(suggests: bool) -> World {
    let entropy = SeededEntropy::new(7);
    let store = MemoryStore::default();
    let tenant_id = TenantId(Uuid::from_u128(1));
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(tenant_id, "acme")));
    store.commit(change).await.unwrap();
    let feed = Arc::new(FeedSignals::default());
    let ports = PimServices {
        store: Arc::new(store.clone()),
        clock: Arc::new(ManualClock::at(sample::now())),
        entropy: Arc::new(entropy),
        wake_ups: Arc::new(NoWakeUps),
        observer: Arc::new(NoObserver),
    };
    let (address_rules, tls) = (AddressRules::default(), Arc::new(NothingExpired));
    let services = Services { ports: ports.clone(), feed: feed.clone(), address_rules, tls, suggests };
    let caller = Caller { tenant_id, user_id: Some("user".to_owned()), permissions: PermissionSet::all() };
    World { api: Api::new(services).unwrap(), caller, store, feed, services: ports }
}

impl World {
    pub async fn ask(&self, text: &str, variables: Value) -> Value {
        let request = Request::new(text).variables(Variables::from_json(variables));
        serde_json::to_value(self.api.execute(self.caller.clone(), request).await).unwrap()
    }

    /// The data of a mutation of this tenant, `<tenant>` replaced.
    pub async fn mutate(&self, selection: &str) -> Value {
        let text = format!("mutation {{ {selection} }}").replace("<tenant>", &self.caller.tenant_id.to_string());
        let answer = self.ask(&text, json!({})).await;
        assert_eq!(answer["errors"], Value::Null, "{text}: {answer}");
        answer["data"].clone()
    }

    pub async fn created(&self, input: Value) -> Value {
        let text = "mutation ($input: CreateWebhookInput!) { webhook { create(input: $input) { id status version: updatedAt } } }";
        self.ask(text, json!({ "input": input })).await
    }

    /// The latest recorded event of a type, e.g. `orders/create`.
    pub async fn latest(&self, event_type: &str) -> Arc<Event> {
        let key = key_of(event_type);
        let query = EventQuery {
            tenant_id: self.caller.tenant_id,
            concern: Some(key.concern),
            event: Some(key.event),
            recorded_from: None,
            recorded_before: None,
            before: None,
            limit: 1,
        };
        Arc::new(self.store.event_page(&query).await.unwrap().remove(0))
    }

    /// An event that nothing recorded.
    pub fn event(&self, event_type: &str, variables: Value) -> Arc<Event> {
        let mut variables = variables.as_object().unwrap().clone();
        variables.insert("tenantId".to_owned(), json!(self.caller.tenant_id));
        Arc::new(Event {
            id: EventId(Uuid::from_u128(77)),
            tenant_id: self.caller.tenant_id,
            event_type: key_of(event_type),
            variables,
            changed_fields: Vec::new(),
            record_label: String::new(),
            is_test: false,
            recorded_at: sample::now(),
        })
    }

    /// A webhook with a document that is accepted for that type of event.
    pub fn webhook(&self, number: u128, event_type: &str, document: &str) -> Webhook {
        let key = key_of(event_type);
        let checked = self.api.documents().check(document, catalogue::find(&key.concern, &key.event).unwrap());
        let webhook = sample::webhook(WebhookId(Uuid::from_u128(number)), self.caller.tenant_id);
        let document = (Some(document.to_owned()), Some(checked.unwrap()));
        Webhook { event_type: key, graphql_query: document.0, document: document.1, ..webhook }
    }

    /// A request to render a document for an event.
    pub fn request(&self, event: &Arc<Event>, document: &str) -> RenderRequest {
        let webhook = Arc::new(self.webhook(5, &event.event_type.to_string(), document));
        RenderRequest { event: event.clone(), webhook }
    }

    /// What documents render to for an event, in one batch.
    pub async fn rendered(&self, requests: &[RenderRequest]) -> Vec<Result<Value, RenderError>> {
        let answers = self.api.renderer().render(requests).await;
        answers.into_iter().map(|answer| answer.map(|payload| serde_json::from_str(&payload.json).unwrap())).collect()
    }

    /// A renderer with limits of its own.
    pub fn renderer(&self, limits: RenderLimits) -> Renderer {
        let validator = Validator::of_sdl(&Api::payload_sdl()).unwrap();
        let checker = DocumentChecker::new(validator, judge(|| roots::proving_payload(true)));
        Renderer::new(roots::payload(), Arc::new(checker), self.services.clone(), limits)
    }

    /// Another tenant, without any record.
    pub async fn add_tenant(&self, id: TenantId, identifier: &str) {
        let mut change = Change::at(sample::now());
        change.writes.push(Write::InsertTenant(sample::tenant(id, identifier)));
        self.store.commit(change).await.unwrap();
    }

    /// Writes a webhook as it is.
    pub async fn put_webhook(&self, webhook: Webhook, expected: Expected) {
        let mut change = Change::at(sample::now());
        change.writes.push(Write::PutWebhook { webhook, expected });
        self.store.commit(change).await.unwrap();
    }
}

fn key_of(event_type: &str) -> EventTypeKey {
    let (concern, event) = event_type.split_once('/').unwrap();
    EventTypeKey::new(concern, event)
}
