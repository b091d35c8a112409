//! A shop to try the resolver tree on: its schema, its store, and the events that were raised.

use crate::support::RecordStore;
use async_graphql::{EmptySubscription, Request, Schema, Variables};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::ports::NoObserver;
use hookgraph_domain::record::{RecordKind, RecordRef};
use hookgraph_pim::limits::READ_BYTES_AT_ONCE_MAX;
use hookgraph_pim::{ByteRoom, Caller, PaymentType, PimContext, PimMutation, PimQuery, PimServices};
use hookgraph_testkit::{ManualClock, NoWakeUps, SeededEntropy, sample};
use serde_json::Value;
use std::sync::Arc;
use uuid::Uuid;

pub struct Shop {
    schema: Schema<PimQuery, PimMutation, EmptySubscription>,
    services: PimServices,
    store: Arc<RecordStore>,
    clock: ManualClock,
    /// What its requests share with those of other tenants.
    pub room: Arc<ByteRoom>,
    pub tenant_id: TenantId,
}

impl Shop {
    pub fn open() -> Self {
        let tenant_id = TenantId(Uuid::from_u128(0xa001));
        let store = Arc::new(RecordStore::default());
        store.tables().tenants.insert(tenant_id, sample::tenant(tenant_id, "shop"));
        let clock = ManualClock::default();
        let services = PimServices {
            store: store.clone(),
            clock: Arc::new(clock.clone()),
            entropy: Arc::new(SeededEntropy::default()),
            wake_ups: Arc::new(NoWakeUps),
            observer: Arc::new(NoObserver),
        };
        let schema = Schema::build(PimQuery, PimMutation, EmptySubscription);
        let schema = schema.register_output_type::<PaymentType>().finish();
        let room = Arc::new(ByteRoom::new(READ_BYTES_AT_ONCE_MAX));
        Self { schema, services, store, clock, room, tenant_id }
    }

    async fn response(&self, document: &str, variables: Value) -> async_graphql::Response {
        self.clock.advance_ms(1_000);
        let caller = Caller {
            tenant_id: self.tenant_id,
            user_id: Some("ada".to_owned()),
            permissions: hookgraph_domain::permission::PermissionSet::all(),
        };
        let room = self.room.of(caller.tenant_id, caller.user_id.as_deref());
        let pim = Arc::new(PimContext::new(caller, self.services.clone(), None).within(room));
        let mut variables = variables;
        variables["tenant"] = self.tenant_id.to_string().into();
        let request = Request::new(document).variables(Variables::from_json(variables)).data(pim);
        self.schema.execute(request).await
    }

    /// The data of a document that must succeed. `$tenant` is a variable of every document.
    pub async fn data(&self, document: &str, variables: Value) -> Value {
        let response = self.response(document, variables).await;
        assert!(response.errors.is_empty(), "{document}\n{:?}", response.errors);
        response.data.into_json().unwrap()
    }

    /// The first error of a document that must fail, as `code: message`.
    pub async fn refusal(&self, document: &str, variables: Value) -> String {
        let response = self.response(document, variables).await;
        let error = response.errors.first().unwrap_or_else(|| panic!("{document} was not refused"));
        let code = error.extensions.as_ref().and_then(|extensions| extensions.get("code"));
        format!("{}: {}", code.map(ToString::to_string).unwrap_or_default().trim_matches('"'), error.message)
    }

    /// What was raised since the last call, each as `concern/event id language` with the fields that changed.
    pub fn raised(&self) -> Vec<String> {
        let events = std::mem::take(&mut self.store.tables().events);
        let told = events.iter().map(|event| {
            let text = |name: &str| event.variables.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
            let stage =
                if event.event_type.concern == "flows" { format!(" {}", text("stageId")) } else { String::new() };
            let tombstone = if event.tombstone.is_some() { " with tombstone" } else { "" };
            let told = format!(
                "{} {} {}{stage}{tombstone} {}",
                event.event_type,
                text("id"),
                text("language"),
                event.changed_fields.join(",")
            );
            told.trim_end().to_owned()
        });
        told.collect()
    }

    /// Puts so many copies of a record beside it, their bodies padded to so many bytes: records of the size that they may have,
    /// without the time that it takes to write them. The key of each but its last digits is the record's own.
    pub fn copy(&self, kind: RecordKind, key: &str, count: usize, body_bytes: usize) {
        let mut tables = self.store.tables();
        let mut kept = tables.records[&(self.tenant_id, RecordRef::new(kind, key))].clone();
        kept.names.clear();
        let padding = body_bytes.saturating_sub(kept.record.body.len());
        kept.record.body.push_str(&" ".repeat(padding));
        for index in 0..count {
            let mut copy = kept.clone();
            copy.record.reference.key = format!("{key}-{index:03}");
            tables.records.insert((self.tenant_id, copy.record.reference.clone()), copy);
        }
    }

    /// How often the store was read since the last call.
    pub fn reads(&self) -> usize {
        std::mem::take(&mut self.store.tables().read_count)
    }
}

/// The text at a JSON pointer.
pub fn text(data: &Value, pointer: &str) -> String {
    let found = data.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} of {data}")).to_owned()
}
