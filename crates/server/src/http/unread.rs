//! What a request sends after it was answered. A client that still writes its body when the connection is closed may lose the
//! answer with it: the kernel resets a connection that is closed before all of it was read. So the rest is read, and thrown away.

use crate::limits::{UNREAD_BODY_BYTES_MAX, UNREAD_BODY_MS_MAX};
use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::{Version, header};
use bytes::{Buf, Bytes};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::runtime::Handle;

/// Has the request's body read to its end whatever becomes of the request. HTTP/2 tells a client to stop without closing
/// anything.
pub async fn read_on(request: Request) -> Request {
    if request.version() > Version::HTTP_11 || request.body().is_end_stream() {
        return request;
    }
    // Who asks first whether to send a body, and is answered with a refusal, sends none.
    let is_coming = !request.headers().contains_key(header::EXPECT);
    request.map(|body| Body::new(ReadOn { body, is_coming }))
}

/// A body that is read on when nobody reads it any more.
struct ReadOn {
    body: Body,
    is_coming: bool,
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
        if !self.is_coming || body.is_end_stream() {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(throw_away(body));
        }
    }
}

/// Reads so much of the body, and for so long.
async fn throw_away(mut body: Body) {
    let reading = async {
        let mut left = UNREAD_BODY_BYTES_MAX;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Buf::remaining));
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
    use futures::stream;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    const FRAME: Bytes = Bytes::from_static(&[b'a'; 64 * 1024]);

    /// A request whose body never ends, and how many frames of it were read.
    fn endless(version: Version, expects: bool) -> (Request, Arc<AtomicUsize>) {
        let read = Arc::new(AtomicUsize::new(0));
        let counted = read.clone();
        let frames = stream::repeat_with(move || {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok::<_, axum::Error>(FRAME)
        });
        let mut request = Request::new(Body::from_stream(frames));
        *request.version_mut() = version;
        if expects {
            request.headers_mut().insert(header::EXPECT, header::HeaderValue::from_static("100-continue"));
        }
        (request, read)
    }

    async fn settled() {
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn of_a_body_that_nobody_reads_so_much_is_read_and_no_more() {
        let (request, read) = endless(Version::HTTP_11, false);
        drop(read_on(request).await);
        while read.load(Ordering::Relaxed) * FRAME.len() < UNREAD_BODY_BYTES_MAX {
            tokio::task::yield_now().await;
        }
        settled().await;
        assert_eq!(read.load(Ordering::Relaxed) * FRAME.len(), UNREAD_BODY_BYTES_MAX);
    }

    #[tokio::test]
    async fn a_body_that_was_never_asked_for_and_one_of_http_2_are_left_alone() {
        for (version, expects) in [(Version::HTTP_11, true), (Version::HTTP_2, false)] {
            let (request, read) = endless(version, expects);
            drop(read_on(request).await);
            settled().await;
            assert_eq!(read.load(Ordering::Relaxed), 0, "{version:?}");
        }
        let (request, read) = endless(Version::HTTP_11, true);
        let mut body = read_on(request).await.into_body();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), FRAME);
        drop(body);
        while read.load(Ordering::Relaxed) < 2 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_stalls_is_waited_for_so_long() {
        let body = Body::from_stream(stream::pending::<Result<Bytes, axum::Error>>());
        let begun = tokio::time::Instant::now();
        throw_away(body).await;
        assert_eq!(begun.elapsed().as_millis(), u128::from(UNREAD_BODY_MS_MAX));
    }
}
