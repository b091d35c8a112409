//! The interface of this crate for the process: the two schemas, their SDL, and the renderer.

use crate::call::{bounded, refused};
use crate::context::{ApiContext, Core, Services};
use crate::document::{DocumentChecker, Validator, judge};
use crate::guard::{Answers, Guard, is_mutation, of_the_whole};
use crate::idempotency;
use crate::limits::RENDER;
use crate::recheck::{self, Rechecked};
use crate::render::Renderer;
use crate::roots::{self, ManagementSchema, PayloadSchema};
use crate::sdl;
use async_graphql::parser::types::OperationType;
use async_graphql::{Request, Response};
use futures::stream::{self, BoxStream, StreamExt};
use hookgraph_domain::ports::{PayloadRenderer, StoreError};
use hookgraph_domain::refusal::Refusal;
use hookgraph_pim::limits::READ_BYTES_AT_ONCE_MAX;
use hookgraph_pim::{ByteRoom, Caller, Idempotency, PimContext, RoomShare};
use std::sync::Arc;

/// The schemas, with the services that they run on.
#[derive(Clone)]
pub struct Api {
    inner: Arc<Inner>,
}

struct Inner {
    core: Arc<Core>,
    management: ManagementSchema,
    payload: PayloadSchema,
    management_guard: Guard,
    payload_guard: Guard,
}

/// A schema that is not valid: a fault of the build, which shows as the process starts.
#[derive(Debug, thiserror::Error)]
#[error("the schema is not valid: {0}")]
pub struct SchemaFault(String);

impl Api {
    /// Builds both schemas on the services.
    ///
    /// # Errors
    /// `SchemaFault` when a schema is not valid GraphQL, which a test of this crate rules out.
    pub fn new(services: Services) -> Result<Self, SchemaFault> {
        let suggests = services.suggests;
        let validator = |sdl: &str| Validator::of_sdl(sdl).map_err(SchemaFault);
        let (management, payload) = (roots::management(), roots::payload());
        let calls = validator(&sdl::of(&management))?.suggesting_if(suggests);
        let queries = validator(&sdl::of(&payload))?.suggesting_if(suggests);
        let judge_of_queries = judge(move || roots::proving_payload(suggests));
        let documents = Arc::new(DocumentChecker::new(queries.clone(), judge_of_queries.clone()));
        let renderer = Renderer::new(payload.clone(), documents.clone(), services.ports.clone(), RENDER);
        let inner = Inner {
            management_guard: Guard::new(calls, judge(move || roots::proving_management(suggests))),
            payload_guard: Guard::new(queries, judge_of_queries),
            core: Arc::new(Core {
                services,
                documents,
                renderer: Arc::new(renderer),
                room: Arc::new(ByteRoom::new(READ_BYTES_AT_ONCE_MAX)),
            }),
            management,
            payload,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// The SDL of the management API: `schema.graphql`.
    pub fn sdl() -> String {
        sdl::of(&roots::management())
    }

    /// The SDL of the payload schema: `payload-schema.graphql`.
    pub fn payload_sdl() -> String {
        sdl::of(&roots::payload())
    }

    /// The renderer of payloads.
    pub fn renderer(&self) -> Arc<dyn PayloadRenderer> {
        self.inner.core.renderer.clone()
    }

    /// The checker of payload documents.
    pub fn documents(&self) -> &DocumentChecker {
        &self.inner.core.documents
    }

    /// Runs a query or mutation of the management API. A subscription is refused: [`Self::subscribe`] runs it.
    pub async fn execute(&self, caller: Caller, request: Request) -> Response {
        bounded(self.execute_admitted(caller, request)).await
    }

    async fn execute_admitted(&self, caller: Caller, request: Request) -> Response {
        let idempotency = match idempotency::of(&request) {
            Ok(idempotency) => idempotency,
            Err(refusal) => return refused(vec![of_the_whole(&refusal)]),
        };
        match self.inner.management_guard.admit(request, caller.permissions, Answers::Once) {
            Ok(mut request) => {
                let room = self.room_of(&caller);
                // The answer of a mutation is not refused for bytes that others hold: a caller who is told to try again
                // would have the mutation done twice.
                let room = if is_mutation(&mut request) {
                    if let Err(no_room) = room.require_below_max() {
                        return refused(vec![of_the_whole(&Refusal::from(no_room))]);
                    }
                    room.done()
                } else {
                    room
                };
                let pim = self.pim_context(caller, idempotency, room.clone());
                let api = self.api_context(&pim, room);
                self.inner.management.execute(request.data(pim).data(api)).await
            }
            Err(errors) => refused(errors),
        }
    }

    /// Runs a query of the payload schema, for editors and for callers who try a payload query out.
    pub async fn execute_payload(&self, caller: Caller, request: Request) -> Response {
        let execution = async {
            match self.inner.payload_guard.admit(request, caller.permissions, Answers::Once) {
                Ok(request) => {
                    let room = self.room_of(&caller);
                    let context = self.pim_context(caller, None, room);
                    self.inner.payload.execute(request.data(context)).await
                }
                Err(errors) => refused(errors),
            }
        };
        bounded(execution).await
    }

    /// Runs any operation of the management API. A query or mutation has one answer. A subscription has one for each
    /// change, and reads no further than its answers are taken.
    pub fn subscribe(&self, caller: Caller, request: Request) -> BoxStream<'static, Response> {
        if self.operation_type(&request) != Some(OperationType::Subscription) {
            let api = self.clone();
            return stream::once(async move { api.execute(caller, request).await }).boxed();
        }
        match self.inner.management_guard.admit(request, caller.permissions, Answers::Many) {
            Ok(request) => {
                let room = self.room_of(&caller);
                let pim = self.pim_context(caller, None, room.clone());
                let api = self.api_context(&pim, room);
                let answers = self.inner.management.execute_stream(request.data(pim.clone()).data(api.clone()));
                // The stream is polled for the next answer once this one is taken.
                let ended = move |_: &Response| {
                    api.next_answer();
                    pim.next_answer();
                };
                answers.inspect(ended).boxed()
            }
            Err(errors) => stream::once(async move { refused(errors) }).boxed(),
        }
    }

    /// The type of the operation that a request of the management API asks for; none where the document is refused.
    pub fn operation_type(&self, request: &Request) -> Option<OperationType> {
        self.inner.management_guard.operation_type(request)
    }

    /// The same for the payload schema.
    pub fn payload_operation_type(&self, request: &Request) -> Option<OperationType> {
        self.inner.payload_guard.operation_type(request)
    }

    /// Whether the management API has the verdict on the request's document cached: such a request costs no more than
    /// its values do.
    pub fn is_known(&self, request: &Request) -> bool {
        self.inner.management_guard.knows(&request.query)
    }

    /// The same for the payload schema.
    pub fn payload_is_known(&self, request: &Request) -> bool {
        self.inner.payload_guard.knows(&request.query)
    }

    /// Checks every stored payload query again that was checked against another schema. A query that no longer fits
    /// makes its webhook `INVALID` and holds its deliveries; one that fits again releases them.
    ///
    /// # Errors
    /// The error of the store; changes that were made before it stay.
    pub async fn recheck_documents(&self) -> Result<Rechecked, StoreError> {
        recheck::recheck_documents(&self.inner.core).await
    }

    fn room_of(&self, caller: &Caller) -> RoomShare {
        self.inner.core.room.of(caller.tenant_id, caller.user_id.as_deref())
    }

    fn api_context(&self, pim: &PimContext, room: RoomShare) -> Arc<ApiContext> {
        Arc::new(ApiContext::new(pim.caller().clone(), self.inner.core.clone(), room))
    }

    fn pim_context(&self, caller: Caller, idempotency: Option<Idempotency>, room: RoomShare) -> Arc<PimContext> {
        let pim = PimContext::new(caller, self.inner.core.services.ports.clone(), None);
        Arc::new(pim.with_idempotency(idempotency).within(room))
    }

    /// The room for the bytes that all requests together hold.
    #[cfg(test)]
    pub(crate) fn room(&self) -> &Arc<ByteRoom> {
        &self.inner.core.room
    }
}
