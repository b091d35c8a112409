//! Requests under way on a connection over HTTP/2, of which there may be none, or none that waits for the server, though the client
//! answers every ping. (Over HTTP/1 hyper bounds the wait for a head, and an answer that is not taken stops the writing.)

use crate::limits::ANSWER_PART_BYTES_MAX;
use axum::body::{Body, HttpBody};
use axum::http::{Request, Version};
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};
use tower::Service;

/// The requests under way on one connection.
#[derive(Debug)]
pub(super) struct Requests {
    counts: Mutex<Counts>,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    /// From their head to the end of their answer.
    under_way: usize,
    /// Of those, the ones of whose answer a part is there that the client has not made room for.
    untaken: usize,
    changed_at: Instant,
}

impl Requests {
    pub(super) fn new() -> Self {
        Self { counts: Mutex::new(Counts { under_way: 0, untaken: 0, changed_at: Instant::now() }) }
    }

    /// Waits until no request has been under way for so long, from now at the earliest.
    pub(super) async fn none_for(&self, at_least: Duration) {
        self.lasting(at_least, |counts| counts.under_way == 0).await;
    }

    /// Waits until requests are under way, and all of them have waited for their client alone for so long.
    pub(super) async fn untaken_for(&self, at_least: Duration) {
        self.lasting(at_least, |counts| counts.under_way > 0 && counts.untaken == counts.under_way).await;
    }

    /// Looks again when it may have lasted long enough, and not with every change.
    async fn lasting(&self, at_least: Duration, is_so: fn(&Counts) -> bool) {
        let mut until = Instant::now() + at_least;
        loop {
            sleep_until(until).await;
            let (counts, now) = (*self.counts.lock(), Instant::now());
            let since = if is_so(&counts) { counts.changed_at } else { now };
            until = since + at_least;
            if until <= now {
                return;
            }
        }
    }

    fn change(&self, change: impl FnOnce(&mut Counts)) {
        let mut counts = self.counts.lock();
        change(&mut counts);
        counts.changed_at = Instant::now();
    }
}

/// The routes, with what is asked of them over HTTP/2 counted.
#[derive(Clone)]
pub(super) struct Counted {
    pub(super) routes: Router,
    pub(super) requests: Arc<Requests>,
}

impl<B> Service<Request<B>> for Counted
where
    B: HttpBody<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let is_counted = request.version() == Version::HTTP_2;
        let under_way = is_counted.then(|| UnderWay::new(self.requests.clone()));
        let answer = self.routes.call(request);
        Box::pin(async move {
            let answer = answer.await?;
            Ok(match under_way {
                Some(under_way) => answer.map(|body| Body::new(Answer { body, rest: Bytes::new(), under_way })),
                None => answer,
            })
        })
    }
}

/// One of the requests, until this value goes.
struct UnderWay {
    requests: Arc<Requests>,
    is_untaken: bool,
}

impl UnderWay {
    fn new(requests: Arc<Requests>) -> Self {
        requests.change(|counts| counts.under_way += 1);
        Self { requests, is_untaken: false }
    }

    fn set_untaken(&mut self, is_untaken: bool) {
        let was_untaken = std::mem::replace(&mut self.is_untaken, is_untaken);
        self.requests.change(|counts| {
            counts.untaken += usize::from(is_untaken);
            counts.untaken -= usize::from(was_untaken);
        });
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.set_untaken(false);
        self.requests.change(|counts| counts.under_way -= 1);
    }
}

/// An answer's body, in parts. The next part is asked for when the client has made room for the one before: h2 would keep the rest of
/// a large one, and this body be gone, long before its client has taken it.
struct Answer {
    body: Body,
    rest: Bytes,
    under_way: UnderWay,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        this.under_way.set_untaken(false);
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)) {
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => this.rest = data,
                    // Trailers wait for no room.
                    Err(frame) => return Poll::Ready(Some(Ok(frame))),
                },
                ended => return Poll::Ready(ended),
            }
        }
        let part = this.rest.split_to(this.rest.len().min(ANSWER_PART_BYTES_MAX));
        this.under_way.set_untaken(true);
        Poll::Ready(Some(Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (of_body, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(of_body.lower() + rest);
        if let Some(upper) = of_body.upper() {
            hint.set_upper(upper + rest);
        }
        hint
    }
}
