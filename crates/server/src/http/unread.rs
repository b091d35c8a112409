//! Request bodies that are still being sent when the request was answered. The kernel resets a connection that is
//! closed before all of its bytes were read, and a client that still writes its body then may lose the answer. So the
//! rest of the body is read and thrown away.

use crate::limits::{UNREAD_BODY_BYTES_MAX, UNREAD_BODY_MS_MAX};
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{HeaderValue, Version, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;

/// Has the request's body read to its end whatever becomes of the request, and says `connection: close` where the body
/// is known not to be read to its end. HTTP/2 tells a client to stop without closing the connection.
pub async fn read_on(request: Request, next: Next) -> Response {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return next.run(request).await;
    }
    let is_left = Arc::new(AtomicBool::new(false));
    // A client that asks first whether to send its body, and is refused, sends none.
    let asks_first = request.version() == Version::HTTP_11
        && request
            .headers()
            .get(header::EXPECT)
            .is_some_and(|expected| expected.as_bytes().eq_ignore_ascii_case(b"100-continue"));
    let read_on = |body| ReadOn { body, is_coming: !asks_first, is_left: is_left.clone() };
    let mut answer = next.run(request.map(|body| Body::new(read_on(body)))).await;
    if is_left.load(Ordering::Relaxed) {
        answer.headers_mut().insert(header::CONNECTION, CLOSE);
    }
    answer
}

/// The value of `connection` after whose answer the connection is closed.
pub const CLOSE: HeaderValue = HeaderValue::from_static("close");

/// A body that is read on when nobody reads it any more.
struct ReadOn {
    body: Body,
    is_coming: bool,
    /// Whether a part of the body is left on the connection.
    is_left: Arc<AtomicBool>,
}

impl HttpBody for ReadOn {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        self.is_coming = true;
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.body = Body::empty();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for ReadOn {
    fn drop(&mut self) {
        let body = std::mem::take(&mut self.body);
        if body.is_end_stream() {
            return;
        }
        let is_too_much = body.size_hint().lower() > UNREAD_BODY_BYTES_MAX;
        self.is_left.store(!self.is_coming || is_too_much, Ordering::Relaxed);
        if let (true, Ok(runtime)) = (self.is_coming, Handle::try_current()) {
            runtime.spawn(throw_away(body));
        }
    }
}

/// Reads [`UNREAD_BODY_BYTES_MAX`] bytes of the body at most, for [`UNREAD_BODY_MS_MAX`] at most.
async fn throw_away(mut body: Body) {
    let reading = async {
        let mut left = UNREAD_BODY_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, |data| data.len() as u64));
            if left == 0 {
                break;
            }
        }
    };
    if tokio::time::timeout(Duration::from_millis(UNREAD_BODY_MS_MAX), reading).await.is_err() {
        tracing::debug!("the body of a request that was answered does not end (UNREAD_BODY_MS_MAX)");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use futures::stream;
    use std::sync::atomic::AtomicU64;
    use tower::ServiceExt;

    const FRAME: Bytes = Bytes::from_static(&[b'a'; 64 * 1024]);

    /// A request whose body never ends, and a count of the bytes of it that were read.
    fn endless(version: Version, expects: bool) -> (Request, Arc<AtomicU64>) {
        let read = Arc::new(AtomicU64::new(0));
        let counted = read.clone();
        let frames = stream::repeat_with(move || {
            counted.fetch_add(FRAME.len() as u64, Ordering::Relaxed);
            Ok::<_, axum::Error>(FRAME)
        });
        let mut request = Request::new(Body::from_stream(frames));
        *request.version_mut() = version;
        if expects {
            request.headers_mut().insert(header::EXPECT, HeaderValue::from_static("100-continue"));
        }
        (request, read)
    }

    /// Answers the request, before its body or after the first frame of it, and tells whether the answer closes the
    /// connection.
    async fn closes(request: Request, reads: bool) -> bool {
        let routes = Router::new().fallback(move |request: Request| async move {
            if reads {
                assert!(request.into_body().frame().await.unwrap().is_ok());
            }
        });
        let answer = routes.layer(axum::middleware::from_fn(read_on)).oneshot(request).await.unwrap();
        answer.headers().get(header::CONNECTION) == Some(&CLOSE)
    }

    async fn settled() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn of_a_body_that_nobody_reads_so_much_is_read_and_no_more() {
        let (request, read) = endless(Version::HTTP_11, false);
        assert!(!closes(request, false).await, "it may end");
        while read.load(Ordering::Relaxed) < UNREAD_BODY_BYTES_MAX {
            tokio::task::yield_now().await;
        }
        settled().await;
        assert_eq!(read.load(Ordering::Relaxed), UNREAD_BODY_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_body_that_was_never_asked_for_and_one_of_http_2_are_left_alone() {
        for (version, expects) in [(Version::HTTP_11, true), (Version::HTTP_2, false)] {
            let (request, read) = endless(version, expects);
            assert_eq!(closes(request, false).await, expects);
            settled().await;
            assert_eq!(read.load(Ordering::Relaxed), 0, "{version:?}");
        }
        let (request, read) = endless(Version::HTTP_11, true);
        assert!(!closes(request, true).await, "it was asked for");
        while read.load(Ordering::Relaxed) < 2 * FRAME.len() as u64 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_body_of_which_some_will_be_left_closes_the_connection() {
        let size = |bytes: u64| Body::from(vec![b'a'; usize::try_from(bytes).unwrap()]);
        assert!(!closes(Request::new(size(UNREAD_BODY_BYTES_MAX)), false).await);
        assert!(closes(Request::new(size(UNREAD_BODY_BYTES_MAX + 1)), false).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_waited_for_so_long() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
        let begun = tokio::time::Instant::now();
        throw_away(body).await;
        assert_eq!(begun.elapsed().as_millis(), u128::from(UNREAD_BODY_MS_MAX));
    }
}
