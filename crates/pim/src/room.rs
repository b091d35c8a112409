//! Room for bytes that the requests of all tenants hold together, of which one tenant's never hold more than half: what bounds
//! one request says nothing of a thousand at once.

use crate::limits::ROOM_STEP_BYTES;
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The room. Nobody waits for it: who holds a part of it and waits for more might wait for others who do the same.
#[derive(Debug)]
pub struct ByteRoom {
    bytes_max: usize,
    held: Mutex<HeldBytes>,
}

#[derive(Debug, Default)]
struct HeldBytes {
    all: usize,
    /// Without those that hold nothing.
    by_tenant: HashMap<TenantId, usize>,
}

/// There is no room left, or none that this tenant may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the server holds as much of what is read and answered as it may: try again, or ask for less at once")]
pub struct NoRoom;

impl From<NoRoom> for Refusal {
    fn from(error: NoRoom) -> Self {
        Refusal::new(RefusalCode::Unavailable, error.to_string())
    }
}

impl ByteRoom {
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    /// What one tenant may hold of it, in bytes.
    pub fn of_one_bytes_max(&self) -> usize {
        self.bytes_max / 2
    }

    /// What is held, in bytes.
    pub fn bytes_held(&self) -> usize {
        self.held.lock().all
    }

    /// The room as that tenant may use it.
    pub fn of(self: &Arc<Self>, tenant_id: TenantId) -> TenantRoom {
        TenantRoom { room: self.clone(), tenant_id }
    }

    fn add(&self, tenant_id: TenantId, bytes: usize) -> Result<(), NoRoom> {
        let mut held = self.held.lock();
        let of_one = held.by_tenant.get(&tenant_id).copied().unwrap_or_default();
        let (all, of_one) = (held.all.saturating_add(bytes), of_one.saturating_add(bytes));
        if all > self.bytes_max || of_one > self.of_one_bytes_max() {
            return Err(NoRoom);
        }
        held.all = all;
        held.by_tenant.insert(tenant_id, of_one);
        Ok(())
    }

    fn give_back(&self, tenant_id: TenantId, bytes: usize) {
        let mut held = self.held.lock();
        held.all = held.all.saturating_sub(bytes);
        let of_one = held.by_tenant.get(&tenant_id).copied().unwrap_or_default().saturating_sub(bytes);
        if of_one == 0 {
            held.by_tenant.remove(&tenant_id);
        } else {
            held.by_tenant.insert(tenant_id, of_one);
        }
    }
}

/// A room as one tenant may use it.
#[derive(Clone, Debug)]
pub struct TenantRoom {
    room: Arc<ByteRoom>,
    tenant_id: TenantId,
}

impl TenantRoom {
    /// What the tenant may hold at most, in bytes.
    pub fn bytes_max(&self) -> usize {
        self.room.of_one_bytes_max()
    }

    /// Takes so many bytes, until what is returned is dropped.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn take(&self, bytes: usize) -> Result<Taken, NoRoom> {
        self.room.add(self.tenant_id, bytes)?;
        Ok(Taken { room: self.clone(), bytes })
    }
}

/// Bytes of a room that are taken; dropping it gives them back.
#[derive(Debug)]
#[must_use]
pub struct Taken {
    room: TenantRoom,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.room.room.give_back(self.room.tenant_id, self.bytes);
    }
}

/// What one request takes of a room as it reads on, until it ends. The first [`ROOM_STEP_BYTES`] are free, so that most requests
/// never ask for room; outside of any room all of it is.
#[derive(Debug, Default)]
pub struct Drawn {
    room: Option<TenantRoom>,
    counted_bytes: AtomicUsize,
    taken_bytes: AtomicUsize,
}

impl Drawn {
    /// Nothing yet, of that room.
    pub fn of(room: Option<TenantRoom>) -> Self {
        Self { room, counted_bytes: AtomicUsize::default(), taken_bytes: AtomicUsize::default() }
    }

    /// The room that it is taken of.
    pub fn room(&self) -> Option<TenantRoom> {
        self.room.clone()
    }

    /// Counts bytes that are held from now on.
    ///
    /// # Errors
    /// [`NoRoom`] where they are too many beside what others hold; what was taken before stays so.
    pub fn add(&self, bytes: usize) -> Result<(), NoRoom> {
        let Some(room) = &self.room else { return Ok(()) };
        let before = self.counted_bytes.fetch_add(bytes, Ordering::Relaxed);
        let more = in_steps(before.saturating_add(bytes)).saturating_sub(in_steps(before));
        if more > 0 {
            room.room.add(room.tenant_id, more)?;
            self.taken_bytes.fetch_add(more, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Begins anew: what was held until now is not any more.
    pub fn begin_anew(&self) {
        self.counted_bytes.store(0, Ordering::Relaxed);
        let taken = self.taken_bytes.swap(0, Ordering::Relaxed);
        if let Some(room) = self.room.as_ref().filter(|_| taken > 0) {
            room.room.give_back(room.tenant_id, taken);
        }
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.begin_anew();
    }
}

/// What is taken for so many bytes: none for a step of them, whole steps for more.
fn in_steps(bytes: usize) -> usize {
    if bytes <= ROOM_STEP_BYTES { 0 } else { bytes.div_ceil(ROOM_STEP_BYTES) * ROOM_STEP_BYTES }
}

#[cfg(test)]
mod tests {
    use super::{ByteRoom, Drawn, NoRoom};
    use crate::limits::ROOM_STEP_BYTES;
    use hookgraph_domain::ids::TenantId;
    use std::sync::Arc;
    use uuid::Uuid;

    fn tenant(number: u128) -> TenantId {
        TenantId(Uuid::from_u128(number))
    }

    #[test]
    fn a_tenant_takes_half_of_the_room_and_all_of_them_no_more_than_there_is() {
        let room = Arc::new(ByteRoom::new(100));
        let [ada, bo, cy] = [1, 2, 3].map(|number| room.of(tenant(number)));
        let (first, second) = (ada.take(30).unwrap(), ada.take(20).unwrap());
        assert_eq!(ada.take(1).unwrap_err(), NoRoom);
        let _bos = bo.take(50).unwrap();
        assert_eq!(cy.take(1).unwrap_err(), NoRoom);
        drop(first);
        let _cys = cy.take(30).unwrap();
        assert_eq!((room.bytes_held(), ada.take(1).unwrap_err()), (100, NoRoom));
        drop(second);
        assert_eq!(room.held.lock().by_tenant.len(), 2, "who holds nothing is forgotten");
    }

    #[test]
    fn a_request_takes_room_by_steps_beyond_the_first_and_gives_it_back_as_it_ends() {
        let room = Arc::new(ByteRoom::new(8 * ROOM_STEP_BYTES));
        let drawn = Drawn::of(Some(room.of(tenant(1))));
        drawn.add(ROOM_STEP_BYTES).unwrap();
        assert_eq!(room.bytes_held(), 0);
        drawn.add(1).unwrap();
        assert_eq!(room.bytes_held(), 2 * ROOM_STEP_BYTES);
        drawn.add(ROOM_STEP_BYTES - 1).unwrap();
        assert_eq!(room.bytes_held(), 2 * ROOM_STEP_BYTES);
        drawn.add(2 * ROOM_STEP_BYTES).unwrap();
        assert_eq!((room.bytes_held(), drawn.add(1)), (4 * ROOM_STEP_BYTES, Err(NoRoom)));
        drawn.begin_anew();
        assert_eq!((room.bytes_held(), drawn.add(2 * ROOM_STEP_BYTES)), (0, Ok(())));
        drop(drawn);
        assert_eq!(room.bytes_held(), 0);
    }

    #[test]
    fn outside_of_any_room_nothing_is_taken_or_refused() {
        assert_eq!(Drawn::default().add(usize::MAX / 2), Ok(()));
    }
}
