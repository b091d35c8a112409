//! Requests under way on a connection over HTTP/2. Such a connection may have no request though its client answers
//! every ping, and a client may take no answer. (Over HTTP/1 hyper bounds the wait for a head, and an answer that is
//! not taken stops the writing.)

use crate::limits::{ANSWER_PART_BYTES_MAX, UNTAKEN_MS_MAX};
use axum::body::{Body, HttpBody};
use axum::http::{Request, Version};
use axum::response::Response;
use axum::{BoxError, Router};
use bytes::Bytes;
use futures::future::BoxFuture;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use parking_lot::Mutex;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tower::Service;

/// The requests under way on one connection.
#[derive(Debug)]
pub(super) struct Requests {
    counts: Mutex<Counts>,
    /// Told when an answer was given up and no other request is under way.
    deserted: Notify,
}

#[derive(Clone, Copy, Debug)]
struct Counts {
    /// The requests between their head and the end of their answer.
    under_way: usize,
    changed_at: Instant,
}

impl Requests {
    pub(super) fn new() -> Self {
        let counts = Counts { under_way: 0, changed_at: Instant::now() };
        Self { counts: Mutex::new(counts), deserted: Notify::new() }
    }

    /// Waits until no request has been under way for `at_least`, counted from now at the earliest. The wait looks at
    /// the counts when that may be so, and not with every change.
    pub(super) async fn none_for(&self, at_least: Duration) {
        let mut until = Instant::now() + at_least;
        loop {
            sleep_until(until).await;
            let (counts, now) = (*self.counts.lock(), Instant::now());
            let since = if counts.under_way == 0 { counts.changed_at } else { now };
            until = since + at_least;
            if until <= now {
                return;
            }
        }
    }

    /// Waits until an answer was given up and no other request is under way: the client takes nothing at all.
    pub(super) async fn deserted(&self) {
        loop {
            self.deserted.notified().await;
            // Another request may have come meanwhile.
            if self.counts.lock().under_way == 0 {
                return;
            }
        }
    }
}

/// The routes, whose requests over HTTP/2 are counted.
#[derive(Clone)]
pub(super) struct CountedRoutes {
    pub(super) routes: Router,
    pub(super) requests: Arc<Requests>,
}

impl<B> Service<Request<B>> for CountedRoutes
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
                Some(under_way) => answer.map(|body| Body::new(AnswerBody::new(body, under_way))),
                None => answer,
            })
        })
    }
}

/// A request that counts as under way, until this value is dropped.
struct UnderWay {
    requests: Arc<Requests>,
    /// How far its answer is taken, once there is one.
    taking: Arc<Mutex<Taking>>,
}

impl UnderWay {
    fn new(requests: Arc<Requests>) -> Self {
        let mut counts = requests.counts.lock();
        *counts = Counts { under_way: counts.under_way + 1, changed_at: Instant::now() };
        drop(counts);
        Self { requests, taking: Arc::default() }
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        let mut counts = self.requests.counts.lock();
        *counts = Counts { under_way: counts.under_way - 1, changed_at: Instant::now() };
        if counts.under_way == 0 && self.taking.lock().is_given_up {
            self.requests.deserted.notify_one();
        }
    }
}

/// How far a client takes one answer.
#[derive(Debug, Default)]
struct Taking {
    /// Since when a part of the answer waits for the client to make room.
    given_at: Option<Instant>,
    /// Whether a part has waited for too long.
    is_given_up: bool,
}

tokio::task_local! {
    /// How far the answer is taken that this task of [`Tasks`] gives.
    static TAKING: Arc<Mutex<Taking>>;
}

/// Runs the answering of requests over HTTP/2, a task each. An answer whose client takes nothing for [`UNTAKEN_MS_MAX`]
/// is given up, which resets its stream, while others on the connection go on. (The body of the answer cannot end by
/// itself meanwhile: hyper does not look at it again before there is room for the part that it has.)
#[derive(Clone, Copy, Debug)]
pub(super) struct Tasks;

impl<F> Executor<F> for Tasks
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, answering: F) {
        let taking = Arc::<Mutex<Taking>>::default();
        tokio::spawn(async move {
            let answered = TAKING.scope(taking.clone(), answering);
            tokio::select! {
                biased;
                _ = answered => {}
                () = untaken(&taking) => {
                    tracing::debug!("an answer is given up that its client does not take (UNTAKEN_MS_MAX)");
                }
            }
        });
    }
}

/// Waits until the client has made no room for [`UNTAKEN_MS_MAX`], and notes that the answer is given up. The wait
/// looks at the answer when that may be so, and not with every part.
async fn untaken(taking: &Mutex<Taking>) {
    let untaken_max = Duration::from_millis(UNTAKEN_MS_MAX);
    let mut until = Instant::now() + untaken_max;
    loop {
        sleep_until(until).await;
        let (mut taking, now) = (taking.lock(), Instant::now());
        until = taking.given_at.unwrap_or(now) + untaken_max;
        if until <= now {
            taking.is_given_up = true;
            return;
        }
    }
}

/// An answer's body, which asks for its next part when the client has made room for the one before. As a whole, h2
/// would keep the rest of a large answer, and this body would be gone long before its client has taken it.
struct AnswerBody {
    body: Body,
    rest: Bytes,
    /// Whether parts were taken off the rest.
    is_rest_of_more: bool,
    under_way: UnderWay,
}

impl AnswerBody {
    fn new(body: Body, mut under_way: UnderWay) -> Self {
        // An answer that no task of `Tasks` gives is not given up.
        under_way.taking = TAKING.try_with(Arc::clone).unwrap_or_default();
        Self { body, rest: Bytes::new(), is_rest_of_more: false, under_way }
    }

    /// The next part. The last byte of an answer is a part of its own, and the part before it is a copy where it is the
    /// last of many.
    ///
    /// hyper hands a whole part to h2 as soon as there is room for one byte of it, and is done where the part is the
    /// last one: nobody would wait for the client any more. For the last byte there is room once all bytes before it
    /// were sent. The copy keeps what h2 holds of a part from keeping the whole answer.
    fn part(&mut self) -> Bytes {
        if self.rest.len() > ANSWER_PART_BYTES_MAX {
            self.is_rest_of_more = true;
            return self.rest.split_to(ANSWER_PART_BYTES_MAX);
        }
        if std::mem::take(&mut self.is_rest_of_more) {
            self.rest = Bytes::copy_from_slice(&self.rest);
        }
        let all_but_one = self.rest.len().saturating_sub(1);
        if all_but_one == 0 { std::mem::take(&mut self.rest) } else { self.rest.split_to(all_but_one) }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        this.under_way.taking.lock().given_at = None;
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
        let part = this.part();
        this.under_way.taking.lock().given_at = Some(Instant::now());
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
