//! Large requests, over any transport: what one is read into takes some fifty times its bytes, so few of them are read and executed
//! at a time, four where they are very large. More wait for their turn with no more than their bytes; the rest is to come again.
//!
//! No holder has more than a part of the room: however much one asks for, the others find the rest.

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
    kept: Arc<Mutex<Kept>>,
}

/// What is executed or waits for it.
#[derive(Debug, Default)]
struct Kept {
    bytes: usize,
    /// Without those that have nothing here.
    holders: HashMap<Holder, OfHolder>,
}

#[derive(Debug)]
struct OfHolder {
    bytes: usize,
    /// What of it may be executed at a time.
    at_once: Arc<Semaphore>,
}

/// A large request's room, until this value goes.
#[derive(Debug)]
pub struct LargePlace {
    _at_once: OwnedSemaphorePermit,
    _of_holder: OwnedSemaphorePermit,
    _kept: KeptBytes,
}

/// Bytes that count as kept, until this value goes.
#[derive(Debug)]
struct KeptBytes {
    kept: Arc<Mutex<Kept>>,
    holder: Holder,
    bytes: usize,
}

/// There are as many large requests as there may be, or as this token may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server executes as many large requests as it may: try again, or send less at once")]
pub struct TooManyLarge;

impl Default for LargeRequests {
    fn default() -> Self {
        Self { at_once: Arc::new(Semaphore::new(LARGE_BYTES_AT_ONCE_MAX)), kept: Arc::default() }
    }
}

impl LargeRequests {
    /// Room for a request of so many bytes; none is needed for a small one. Of one holder whoever came first goes first, and so of
    /// those whose holder has a turn left: many of a middling size never keep out one that needs more of it.
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
            // Its holder's first: what waits for those of its own holder stands before nobody else's.
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

    /// A request of so many bytes, read in its place, which is to be kept as long as it is executed. One that names a document
    /// larger than itself needs the place of that, a part of it ([`KNOWN_DOCUMENT_PART`]) where the document is known and neither parsed
    /// nor proven again: it is read again there, so that while it waits there is no more of it than its bytes.
    ///
    /// # Errors
    /// As [`Self::place`]; within, what is wrong with the request, whose place is free again.
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

    /// Counts bytes as kept, and tells what of that holder's is executed at a time.
    fn keep(&self, holder: Holder, bytes: usize) -> Result<(KeptBytes, Arc<Semaphore>), TooManyLarge> {
        let mut kept = self.kept.lock();
        let all = kept.bytes.saturating_add(bytes);
        let of_one = kept.holders.get(&holder).map_or(0, |of_holder| of_holder.bytes).saturating_add(bytes);
        if all > LARGE_BYTES_KEPT_MAX || of_one > LARGE_BYTES_OF_ONE_KEPT_MAX {
            return Err(TooManyLarge);
        }
        kept.bytes = all;
        let new = || OfHolder { bytes: 0, at_once: Arc::new(Semaphore::new(LARGE_BYTES_OF_ONE_AT_ONCE_MAX)) };
        let of_holder = kept.holders.entry(holder).or_insert_with(new);
        of_holder.bytes = of_one;
        let at_once = of_holder.at_once.clone();
        Ok((KeptBytes { kept: self.kept.clone(), holder, bytes }, at_once))
    }
}

impl Drop for KeptBytes {
    fn drop(&mut self) {
        let mut kept = self.kept.lock();
        kept.bytes = kept.bytes.saturating_sub(self.bytes);
        if let Some(of_holder) = kept.holders.get_mut(&self.holder) {
            of_holder.bytes = of_holder.bytes.saturating_sub(self.bytes);
            if of_holder.bytes == 0 {
                kept.holders.remove(&self.holder);
            }
        }
    }
}

/// A byte each. More than that are never there.
fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
