//! The whole of this crate to the process: the two schemas, their SDL, and the renderer.

use crate::call::{bounded, refused};
use crate::context::{Asked, Core, Services};
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

/// The schemas at work.
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

/// The schemas do not hold together: a fault of the build, found at the start.
#[derive(Debug, thiserror::Error)]
#[error("the schema is not valid: {0}")]
pub struct SchemaFault(String);

impl Api {
    /// Builds both schemas on those services.
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

    /// The SDL that payload queries are written against.
    pub fn payload_sdl() -> String {
        sdl::of(&roots::payload())
    }

    /// What renders payloads.
    pub fn renderer(&self) -> Arc<dyn PayloadRenderer> {
        self.inner.core.renderer.clone()
    }

    /// What proves payload documents.
    pub fn documents(&self) -> &DocumentChecker {
        &self.inner.core.documents
    }

    /// Runs a query or mutation of the management API. A subscription is refused: [`Self::subscribe`] runs those.
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
                // What a mutation has done is answered whatever others hold: who is told to try again does it twice.
                let room = if is_mutation(&mut request) {
                    if let Err(no_room) = room.require_below_max() {
                        return refused(vec![of_the_whole(&Refusal::from(no_room))]);
                    }
                    room.done()
                } else {
                    room
                };
                let pim = self.pim_context(caller, idempotency, room.clone());
                let asked = self.asked(&pim, room);
                self.inner.management.execute(request.data(pim).data(asked)).await
            }
            Err(errors) => refused(errors),
        }
    }

    /// Runs a query of the payload schema: for editors, and to try a payload query out.
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

    /// Runs any operation of the management API: one answer for a query or mutation, one a change for a subscription,
    /// which reads no further than its answers are taken.
    pub fn subscribe(&self, caller: Caller, request: Request) -> BoxStream<'static, Response> {
        if self.operation_type(&request) != Some(OperationType::Subscription) {
            let api = self.clone();
            return stream::once(async move { api.execute(caller, request).await }).boxed();
        }
        match self.inner.management_guard.admit(request, caller.permissions, Answers::Many) {
            Ok(request) => {
                let room = self.room_of(&caller);
                let pim = self.pim_context(caller, None, room.clone());
                let asked = self.asked(&pim, room);
                let answers = self.inner.management.execute_stream(request.data(pim.clone()).data(asked.clone()));
                // The next answer is begun when this one is taken.
                let ended = move |_: &Response| {
                    asked.next_answer();
                    pim.next_answer();
                };
                answers.inspect(ended).boxed()
            }
            Err(errors) => stream::once(async move { refused(errors) }).boxed(),
        }
    }

    /// The type of the operation that a request of the management API asks for; none where it is refused. Reads no more
    /// of the document than is bounded.
    pub fn operation_type(&self, request: &Request) -> Option<OperationType> {
        self.inner.management_guard.operation_type(request)
    }

    /// The same for the payload schema.
    pub fn payload_operation_type(&self, request: &Request) -> Option<OperationType> {
        self.inner.payload_guard.operation_type(request)
    }

    /// Whether the request's document is remembered with its verdict by the management API: it costs no more than its values.
    pub fn is_known(&self, request: &Request) -> bool {
        self.inner.management_guard.knows(&request.query)
    }

    /// The same for the payload schema.
    pub fn payload_is_known(&self, request: &Request) -> bool {
        self.inner.payload_guard.knows(&request.query)
    }

    /// Checks every stored payload query again that was checked against another schema: one that no longer fits marks its
    /// webhook `INVALID` and holds its deliveries, one that fits again sets it free.
    ///
    /// # Errors
    /// The store's; what was done until then stands.
    pub async fn recheck_documents(&self) -> Result<Rechecked, StoreError> {
        recheck::recheck_documents(&self.inner.core).await
    }

    fn room_of(&self, caller: &Caller) -> RoomShare {
        self.inner.core.room.of(caller.tenant_id, caller.user_id.as_deref())
    }

    fn asked(&self, pim: &PimContext, room: RoomShare) -> Arc<Asked> {
        Arc::new(Asked::new(pim.caller().clone(), self.inner.core.clone(), room))
    }

    fn pim_context(&self, caller: Caller, idempotency: Option<Idempotency>, room: RoomShare) -> Arc<PimContext> {
        let pim = PimContext::new(caller, self.inner.core.services.ports.clone(), None);
        Arc::new(pim.with_idempotency(idempotency).within(room))
    }

    /// What all requests together hold of what they read.
    #[cfg(test)]
    pub(crate) fn room(&self) -> &Arc<ByteRoom> {
        &self.inner.core.room
    }
}
