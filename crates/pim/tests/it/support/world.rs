//! A tenant with a schema on a store.

use super::RecordStore;
use async_graphql::{EmptySubscription, Request, Response, Schema, Value as GraphqlValue, Variables};
use hookgraph_domain::event::NewEvent;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::permission::PermissionSet;
use hookgraph_domain::ports::NoObserver;
use hookgraph_pim::{Caller, PaymentType, PimContext, PimMutation, PimQuery, PimServices};
use hookgraph_testkit::{ManualClock, NoWakeUps, SeededEntropy, sample};
use serde_json::{Value, json};
use std::sync::Arc;
use uuid::Uuid;

pub struct World {
    pub store: Arc<RecordStore>,
    pub services: PimServices,
    pub tenant_id: TenantId,
    schema: Schema<PimQuery, PimMutation, EmptySubscription>,
}

impl World {
    pub fn new() -> Self {
        let store = Arc::new(RecordStore::default());
        let tenant_id = TenantId(Uuid::from_u128(0xa001));
        let mut tenant = sample::tenant(tenant_id, "acme");
        tenant.body = "{}".to_owned();
        store.tables().tenants.insert(tenant_id, tenant);
        let services = PimServices {
            store: store.clone(),
            clock: Arc::new(ManualClock::default()),
            entropy: Arc::new(SeededEntropy::default()),
            wake_ups: Arc::new(NoWakeUps),
            observer: Arc::new(NoObserver),
        };
        let schema = Schema::build(PimQuery, PimMutation, EmptySubscription).register_output_type::<PaymentType>();
        Self { store, services, tenant_id, schema: schema.finish() }
    }

    /// The whole answer as this tenant or another.
    pub async fn respond(&self, tenant_id: TenantId, document: &str, variables: Value) -> Response {
        let caller = Caller { tenant_id, user_id: Some("user-1".to_owned()), permissions: PermissionSet::all() };
        self.respond_to(caller, document, variables).await
    }

    /// The whole answer as this tenant, with those permissions alone; `$tenantId` is there.
    pub async fn respond_permitted(
        &self,
        permissions: PermissionSet,
        document: &str,
        mut variables: Value,
    ) -> Response {
        variables["tenantId"] = json!(self.tenant_id.to_string());
        let caller = Caller { tenant_id: self.tenant_id, user_id: Some("user-1".to_owned()), permissions };
        self.respond_to(caller, document, variables).await
    }

    async fn respond_to(&self, caller: Caller, document: &str, variables: Value) -> Response {
        let pim = Arc::new(PimContext::new(caller, self.services.clone(), None));
        let request = Request::new(document).variables(Variables::from_json(variables)).data(pim);
        self.schema.execute(request).await
    }

    /// What the document answers as this tenant or another; with errors, the first one's code.
    pub async fn ask_as(&self, tenant_id: TenantId, document: &str, variables: Value) -> Result<Value, String> {
        let response = self.respond(tenant_id, document, variables).await;
        match response.errors.first() {
            None => Ok(response.data.into_json().unwrap()),
            Some(error) => match error.extensions.as_ref().and_then(|extensions| extensions.get("code")) {
                Some(GraphqlValue::String(code)) => Err(code.clone()),
                _ => panic!("{error:?} in {document}"),
            },
        }
    }

    /// What the document answers; `$tenantId` is there.
    pub async fn ask(&self, document: &str, mut variables: Value) -> Value {
        variables["tenantId"] = json!(self.tenant_id.to_string());
        self.ask_as(self.tenant_id, document, variables).await.unwrap_or_else(|code| panic!("{code}: {document}"))
    }

    /// The events raised since the last call.
    pub fn raised(&self) -> Vec<NewEvent> {
        std::mem::take(&mut self.store.tables().events)
    }
}
