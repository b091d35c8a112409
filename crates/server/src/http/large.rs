//! Large requests, over any transport. A request is read into some fifty times its bytes, so few large ones are read
//! and executed at a time, four where they are very large. More requests wait for their turn and take no more than
//! their bytes; the rest is told to come again.
//!
//! No holder has more than a part of the room: however much one holder asks for, the others find the rest.

use crate::limits::{
    KNOWN_DOCUMENT_PART, LARGE_BYTES_AT_ONCE_MAX, LARGE_BYTES_KEPT_MAX, LARGE_BYTES_OF_ONE_AT_ONCE_MAX,
    LARGE_BYTES_OF_ONE_KEPT_MAX, LARGE_REQUEST_BYTES_MIN, LARGE_REQUEST_SHARE_BYTES_MAX, LARGE_REQUEST_WAIT_MS_MAX,
};
use crate::shares::Holder;
use async_graphql::Request;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The room for large requests, in bytes.
#[derive(Debug)]
pub struct LargeRequests {
    at_once: Arc<Semaphore>,
    in_use: Arc<Mutex<RoomInUse>>,
}

/// The requests that are executed or wait for it.
#[derive(Debug, Default)]
struct RoomInUse {
    bytes: usize,
    /// The holders that have a request here.
    holders: HashMap<Holder, HolderRoom>,
}

#[derive(Debug)]
struct HolderRoom {
    bytes: usize,
    /// The bytes of this holder's requests that may be executed at a time.
    at_once: Arc<Semaphore>,
}

/// The room of a large request, until this value is dropped.
#[derive(Debug)]
pub struct LargePlace {
    _at_once: OwnedSemaphorePermit,
    _of_holder: OwnedSemaphorePermit,
    _kept: KeptBytes,
}

/// Bytes that count as kept, until this value is dropped.
#[derive(Debug)]
struct KeptBytes {
    in_use: Arc<Mutex<RoomInUse>>,
    holder: Holder,
    bytes: usize,
}

/// There are as many large requests as there may be, or as this holder may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server executes as many large requests as it may: try again, or send less at once")]
pub struct TooManyLarge;

impl Default for LargeRequests {
    fn default() -> Self {
        Self { at_once: Arc::new(Semaphore::new(LARGE_BYTES_AT_ONCE_MAX)), in_use: Arc::default() }
    }
}

impl LargeRequests {
    /// Room for a request of `bytes` bytes; a small one needs none. The requests of one holder have their turns in the
    /// order in which they came, and so have those whose holder has a turn left: many of a middling size never keep out
    /// one that needs more room.
    ///
    /// # Errors
    /// `TooManyLarge` at once where too much waits, and after [`LARGE_REQUEST_WAIT_MS_MAX`] where those before it stay.
    pub async fn place(&self, holder: Holder, bytes: usize) -> Result<Option<LargePlace>, TooManyLarge> {
        if bytes < LARGE_REQUEST_BYTES_MIN {
            return Ok(None);
        }
        let (kept, of_holder) = self.keep(holder, bytes.min(LARGE_BYTES_OF_ONE_KEPT_MAX))?;
        let share = permits(bytes.min(LARGE_REQUEST_SHARE_BYTES_MAX));
        let turn = async {
            // The holder's own turn comes first, so that a request that waits for it stands before nobody else's.
            let of_holder = of_holder.acquire_many_owned(share).await?;
            let at_once = self.at_once.clone().acquire_many_owned(share).await?;
            Ok::<_, AcquireError>((of_holder, at_once))
        };
        match tokio::time::timeout(Duration::from_millis(LARGE_REQUEST_WAIT_MS_MAX), turn).await {
            Ok(Ok((of_holder, at_once))) => {
                Ok(Some(LargePlace { _at_once: at_once, _of_holder: of_holder, _kept: kept }))
            }
            Ok(Err(_)) | Err(_) => Err(TooManyLarge),
        }
    }

    /// Reads a request of `bytes` bytes in its place, which is to be kept while the request is executed.
    ///
    /// A request that names a document larger than itself is read again in the place of the document, so that while it
    /// waits it takes no more than its bytes. A document that is known is neither parsed nor proven again, and needs
    /// the place of a part of it ([`KNOWN_DOCUMENT_PART`]).
    ///
    /// # Errors
    /// As [`Self::place`]. The inner error is the request's own, whose place is free again.
    pub async fn read<E>(
        &self,
        holder: Holder,
        bytes: usize,
        read: impl Fn() -> Result<Request, E>,
        is_known: impl Fn(&Request) -> bool,
    ) -> Result<Result<(Request, Option<LargePlace>), E>, TooManyLarge> {
        let mut bytes = bytes;
        loop {
            let place = self.place(holder, bytes).await?;
            let request = match read() {
                Ok(request) => request,
                Err(error) => return Ok(Err(error)),
            };
            let least = LARGE_REQUEST_BYTES_MIN.max(bytes + 1);
            let mut document_bytes = request.query.len();
            if document_bytes >= least && is_known(&request) {
                document_bytes /= KNOWN_DOCUMENT_PART;
            }
            if document_bytes < least {
                return Ok(Ok((request, place)));
            }
            bytes = document_bytes;
        }
    }

    /// Counts bytes as kept, and answers the semaphore of the holder's requests that are executed at a time.
    fn keep(&self, holder: Holder, bytes: usize) -> Result<(KeptBytes, Arc<Semaphore>), TooManyLarge> {
        let mut in_use = self.in_use.lock();
        let all = in_use.bytes.saturating_add(bytes);
        let of_one = in_use.holders.get(&holder).map_or(0, |of_holder| of_holder.bytes).saturating_add(bytes);
        if all > LARGE_BYTES_KEPT_MAX || of_one > LARGE_BYTES_OF_ONE_KEPT_MAX {
            return Err(TooManyLarge);
        }
        in_use.bytes = all;
        let new = || HolderRoom { bytes: 0, at_once: Arc::new(Semaphore::new(LARGE_BYTES_OF_ONE_AT_ONCE_MAX)) };
        let of_holder = in_use.holders.entry(holder).or_insert_with(new);
        of_holder.bytes = of_one;
        let at_once = of_holder.at_once.clone();
        Ok((KeptBytes { in_use: self.in_use.clone(), holder, bytes }, at_once))
    }
}

impl Drop for KeptBytes {
    fn drop(&mut self) {
        let mut in_use = self.in_use.lock();
        in_use.bytes = in_use.bytes.saturating_sub(self.bytes);
        if let Some(of_holder) = in_use.holders.get_mut(&self.holder) {
            of_holder.bytes = of_holder.bytes.saturating_sub(self.bytes);
            if of_holder.bytes == 0 {
                in_use.holders.remove(&self.holder);
            }
        }
    }
}

/// One permit for each byte, of which there are never more than `u32` counts.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
