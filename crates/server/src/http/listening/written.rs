//! Writing to a client, who must take some bytes now and then.

use crate::limits::UNTAKEN_MS_MAX;
use std::io::{ErrorKind, IoSlice, Result};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Sleep, sleep};

/// A stream that may have room without telling of it.
pub(super) trait Room {
    /// Writes as many bytes as there is room for at this moment; none where there is no room, or where that cannot be
    /// told.
    fn write_now(&self, bytes: &[u8]) -> Option<usize>;
}

impl Room for TcpStream {
    /// Linux tells of room when a third of its buffer is free, for which a client that reads slowly takes more than a
    /// minute. The write is safe to try, because a socket of tokio's never blocks.
    #[cfg(unix)]
    fn write_now(&self, bytes: &[u8]) -> Option<usize> {
        rustix::io::write(self, bytes).ok().filter(|count| *count > 0)
    }

    #[cfg(not(unix))]
    fn write_now(&self, _: &[u8]) -> Option<usize> {
        None
    }
}

/// A connection's stream, also once it has become a WebSocket connection. Writing fails when the client took nothing
/// for [`UNTAKEN_MS_MAX`], so that there is no room for one byte more.
pub(super) struct Written<S> {
    stream: S,
    /// Runs from when the client takes nothing more.
    stalled: Option<Pin<Box<Sleep>>>,
    /// Held for as long as the stream is open.
    _descriptor: OwnedSemaphorePermit,
}

impl<S: Room> Written<S> {
    pub(super) fn new(stream: S, descriptor: OwnedSemaphorePermit) -> Self {
        Self { stream, stalled: None, _descriptor: descriptor }
    }

    /// The number of bytes that were written; at the end of the time, as many of them as there is room for after all.
    fn in_time(&mut self, cx: &mut Context<'_>, bytes: &[u8], written: Poll<Result<usize>>) -> Poll<Result<usize>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let begun = || Box::pin(sleep(Duration::from_millis(UNTAKEN_MS_MAX)));
        ready!(self.stalled.get_or_insert_with(begun).as_mut().poll(cx));
        let taken = self.stream.write_now(bytes);
        if taken.is_some() {
            self.stalled = None;
        }
        Poll::Ready(taken.ok_or_else(|| ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Written<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Room + Unpin> AsyncWrite for Written<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.in_time(cx, bytes, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, parts);
        let first: &[u8] = match parts.iter().find(|part| !part.is_empty()) {
            Some(part) => part,
            None => &[],
        };
        self.in_time(cx, first, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::AsyncWriteExt;
    use tokio::sync::Semaphore;
    use tokio::time::Instant;

    const UNTAKEN_MAX: Duration = Duration::from_millis(UNTAKEN_MS_MAX);

    /// A stream that never tells of room, and has each of these numbers of bytes in turn when it is asked to write now.
    struct Silent(parking_lot::Mutex<VecDeque<usize>>, AtomicUsize);

    impl Room for Silent {
        fn write_now(&self, bytes: &[u8]) -> Option<usize> {
            let count = self.0.lock().pop_front()?.min(bytes.len());
            self.1.fetch_add(count, Ordering::Relaxed);
            Some(count)
        }
    }

    impl AsyncWrite for Silent {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<Result<usize>> {
            Poll::Pending
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    fn written<S: Room>(stream: S) -> Written<S> {
        Written::new(stream, Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_takes_less_than_the_system_tells_of_is_written_to_until_it_takes_nothing() {
        let mut written = written(Silent(parking_lot::Mutex::new([3, 4].into()), AtomicUsize::new(0)));
        let begun = Instant::now();
        assert_eq!(written.write(b"0123456789").await.unwrap(), 3);
        let parts = [IoSlice::new(b""), IoSlice::new(b"3456789")];
        assert_eq!(written.write_vectored(&parts).await.unwrap(), 4);
        let error = written.write_all(b"789").await.unwrap_err();
        assert_eq!((error.kind(), begun.elapsed().as_millis()), (ErrorKind::TimedOut, (3 * UNTAKEN_MAX).as_millis()));
        assert_eq!(written.stream.1.load(Ordering::Relaxed), 7);
    }
}
