//! Events that keep the room of their answer until they are written: each event is one frame of the body.

use crate::answer_room::with_room;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use hookgraph_pim::Taken;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// The place in which an event leaves its room for the frame that it becomes, within the same poll of the body.
#[derive(Clone, Debug, Default)]
pub(super) struct Slot(Arc<Mutex<Option<Taken>>>);

impl Slot {
    /// Leaves the room of the next event; a small event has none.
    pub(super) fn fill(&self, taken: Option<Taken>) {
        *self.0.lock() = taken;
    }
}

/// A body of events.
pub(super) struct HeldFrames {
    body: Body,
    slot: Slot,
}

impl HeldFrames {
    /// The same body, whose frames keep the room that is left for them.
    pub(super) fn body(body: Body, slot: Slot) -> Body {
        Body::new(Self { body, slot })
    }
}

impl HttpBody for HeldFrames {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        let taken = self.slot.0.lock().take();
        Poll::Ready(frame.map(|frame| frame.map(|frame| frame.map_data(|data| with_room(data, taken)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
