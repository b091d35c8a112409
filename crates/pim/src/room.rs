//! A byte room bounds the bytes that the requests of all tenants hold together: a bound for one request says nothing
//! about a thousand requests at once.
//!
//! Nobody can fill the room. A tenant holds at most [`ROOM_OF_TENANT_PERCENT_MAX`] percent of it. A holder (a token, or
//! a user that an issuer vouches for) holds, after each take, at most [`ROOM_OF_HOLDER_TIMES_MAX`] times the bytes that
//! are then free, both in the room and in its tenant's part. So a take is always less than the free bytes: however many
//! holders hold as much as they may, there are bytes left for one more.

use crate::limits::{ROOM_OF_HOLDER_TIMES_MAX, ROOM_OF_TENANT_PERCENT_MAX, ROOM_STEP_BYTES};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use hookgraph_domain::share::percent_of;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// The room. A request that finds no room is refused at once: requests that wait for more while they hold some could
/// wait for each other for ever.
#[derive(Debug)]
pub struct ByteRoom {
    bytes_max: usize,
    held: Mutex<HeldBytes>,
}

#[derive(Debug, Default)]
struct HeldBytes {
    /// Bytes of [`Claim::Refusable`], of all tenants.
    all: usize,
    /// Bytes of the other claims, of all tenants.
    granted: usize,
    /// Bytes of [`Claim::Refusable`], by tenant; a tenant that holds none has no entry.
    by_tenant: HashMap<TenantId, usize>,
    /// Bytes of every claim, by holder; a holder of none has no entry.
    by_holder: HashMap<Holder, usize>,
}

/// A user of a tenant who holds bytes; the users without a name are one holder.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Holder {
    tenant_id: TenantId,
    user_id: Option<Arc<str>>,
}

/// On which terms bytes are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// Bytes of a request that may be sent again: refused beyond the holder's fair share.
    Refusable,
    /// Bytes that a mutation reads once it is done: refused beyond the holder's own limit, whatever others hold, and
    /// counted for the holder alone.
    Done,
    /// Bytes of a mutation's answer: never refused, and counted for the holder alone.
    Answered,
}

/// Why bytes are refused: the room has none left, or none that this holder may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// The request may be sent again.
    #[error("the server holds as much of what is read and answered as it may: try again, or ask for less at once")]
    ForNow,
    /// The request's mutation is done: it must not be sent again.
    #[error(
        "your requests hold as much of what is read as they may: it was done all the same, ask for this by a query"
    )]
    WasDone,
}

impl From<NoRoom> for Refusal {
    fn from(error: NoRoom) -> Self {
        let code = match error {
            NoRoom::ForNow => RefusalCode::Unavailable,
            NoRoom::WasDone => RefusalCode::LimitExceeded,
        };
        Refusal::new(code, error.to_string())
    }
}

impl ByteRoom {
    /// A room of `bytes_max` bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    /// The most that one holder may hold, in bytes: its fair share while nobody else holds any.
    pub fn of_one_bytes_max(&self) -> usize {
        fair_share(self.bytes_max.min(self.of_tenant_bytes_max()), 0)
    }

    /// The most that one tenant may hold, in bytes.
    fn of_tenant_bytes_max(&self) -> usize {
        percent_of(self.bytes_max, ROOM_OF_TENANT_PERCENT_MAX)
    }

    /// The bytes that are held, on whatever terms.
    pub fn bytes_held(&self) -> usize {
        let held = self.held.lock();
        held.all.saturating_add(held.granted)
    }

    /// The room as the user of the tenant may use it; the users without a name are one holder.
    pub fn of(self: &Arc<Self>, tenant_id: TenantId, user_id: Option<&str>) -> RoomShare {
        let holder = Holder { tenant_id, user_id: user_id.map(Arc::from) };
        RoomShare { room: self.clone(), holder, claim: Claim::Refusable }
    }

    fn add(&self, holder: &Holder, bytes: usize, claim: Claim) -> Result<(), NoRoom> {
        let mut held = self.held.lock();
        let (of_tenant, of_holder) = held.of(holder);
        let free = self.bytes_max.saturating_sub(held.all);
        let free = free.min(self.of_tenant_bytes_max().saturating_sub(of_tenant));
        match claim {
            Claim::Refusable if bytes > fair_share(free, of_holder) => return Err(NoRoom::ForNow),
            Claim::Done if of_holder.saturating_add(bytes) > self.of_one_bytes_max() => return Err(NoRoom::WasDone),
            Claim::Refusable | Claim::Done | Claim::Answered => {}
        }
        let more = |count: usize| count.saturating_add(bytes);
        held.change(holder, claim, more);
        Ok(())
    }

    fn give_back(&self, holder: &Holder, bytes: usize, claim: Claim) {
        let less = |count: usize| count.saturating_sub(bytes);
        self.held.lock().change(holder, claim, less);
    }
}

impl HeldBytes {
    /// The bytes that the holder's tenant holds, and the bytes that the holder itself does.
    fn of(&self, holder: &Holder) -> (usize, usize) {
        let of_tenant = self.by_tenant.get(&holder.tenant_id).copied().unwrap_or_default();
        (of_tenant, self.by_holder.get(holder).copied().unwrap_or_default())
    }

    fn change(&mut self, holder: &Holder, claim: Claim, changed: impl Fn(usize) -> usize) {
        let (of_tenant, of_holder) = self.of(holder);
        put(&mut self.by_holder, holder, changed(of_holder));
        if claim == Claim::Refusable {
            self.all = changed(self.all);
            put(&mut self.by_tenant, &holder.tenant_id, changed(of_tenant));
        } else {
            self.granted = changed(self.granted);
        }
    }
}

/// Sets a count; a count of 0 removes its entry.
fn put<K: Clone + Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K, count: usize) {
    if count == 0 {
        counts.remove(key);
    } else if let Some(kept) = counts.get_mut(key) {
        *kept = count;
    } else {
        counts.insert(key.clone(), count);
    }
}

/// The most that a holder of `held` bytes may take of `free` bytes: the largest `taken` for which
/// `held + taken <= ROOM_OF_HOLDER_TIMES_MAX * (free - taken)`.
fn fair_share(free: usize, held: usize) -> usize {
    free.saturating_mul(ROOM_OF_HOLDER_TIMES_MAX).saturating_sub(held) / (ROOM_OF_HOLDER_TIMES_MAX + 1)
}

/// A room as one holder may use it.
#[derive(Clone, Debug)]
pub struct RoomShare {
    room: Arc<ByteRoom>,
    holder: Holder,
    claim: Claim,
}

impl RoomShare {
    /// The most that the holder may hold, in bytes.
    pub fn bytes_max(&self) -> usize {
        self.room.of_one_bytes_max()
    }

    /// The share by which a mutation reads once it is done: its takes are refused beyond the holder's own limit,
    /// whatever others hold, and count for the holder alone.
    #[must_use]
    pub fn done(self) -> Self {
        Self { claim: Claim::Done, ..self }
    }

    /// The share for a mutation's answer: its takes are never refused, because a caller who is told to try again would
    /// have the mutation done twice. They count for the holder alone.
    #[must_use]
    pub fn granted(self) -> Self {
        Self { claim: Claim::Answered, ..self }
    }

    /// Refuses to begin a mutation while its holder holds as much as it ever may: the bytes of answers are never
    /// refused, and would pile up.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn require_below_max(&self) -> Result<(), NoRoom> {
        let (_, of_holder) = self.room.held.lock().of(&self.holder);
        if of_holder < self.bytes_max() { Ok(()) } else { Err(NoRoom::ForNow) }
    }

    /// Takes `bytes`, until the returned value is dropped.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn take(&self, bytes: usize) -> Result<Taken, NoRoom> {
        self.add(bytes)?;
        Ok(Taken { share: self.clone(), bytes })
    }

    fn add(&self, bytes: usize) -> Result<(), NoRoom> {
        self.room.add(&self.holder, bytes, self.claim)
    }

    fn give_back(&self, bytes: usize) {
        self.room.give_back(&self.holder, bytes, self.claim);
    }
}

/// Taken bytes of a room; dropping the value gives them back.
#[derive(Debug)]
#[must_use]
pub struct Taken {
    share: RoomShare,
    bytes: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.share.give_back(self.bytes);
    }
}

/// The bytes that one request takes of a room as it reads on, until it ends. The first [`ROOM_STEP_BYTES`] are free, so
/// that most requests never ask for room; without a room every byte is.
#[derive(Debug, Default)]
pub struct Drawn {
    room: Option<RoomShare>,
    bytes: Mutex<DrawnBytes>,
}

#[derive(Debug, Default)]
struct DrawnBytes {
    /// Bytes that the request holds.
    counted: usize,
    /// Bytes that are taken of the room for them, in whole steps.
    taken: usize,
}

impl Drawn {
    /// A request that holds nothing yet, and takes of `room`.
    pub fn of(room: Option<RoomShare>) -> Self {
        Self { room, bytes: Mutex::default() }
    }

    /// The share that the bytes are taken of.
    pub fn room(&self) -> Option<RoomShare> {
        self.room.clone()
    }

    /// Counts `bytes` as held from now on.
    ///
    /// # Errors
    /// [`NoRoom`] where there is no room for `bytes`: they are not counted then, and bytes that were taken before stay
    /// taken.
    pub fn add(&self, bytes: usize) -> Result<(), NoRoom> {
        let Some(room) = &self.room else { return Ok(()) };
        let mut drawn = self.bytes.lock();
        let counted = drawn.counted.saturating_add(bytes);
        let more = in_steps(counted).saturating_sub(drawn.taken);
        if more > 0 {
            room.add(more)?;
        }
        *drawn = DrawnBytes { counted, taken: drawn.taken.saturating_add(more) };
        Ok(())
    }

    /// Begins anew: gives back every byte that was held until now.
    pub fn begin_anew(&self) {
        let DrawnBytes { taken, .. } = std::mem::take(&mut *self.bytes.lock());
        if let Some(room) = self.room.as_ref().filter(|_| taken > 0) {
            room.give_back(taken);
        }
    }
}

impl Drop for Drawn {
    fn drop(&mut self) {
        self.begin_anew();
    }
}

/// The bytes that are taken for a request of `bytes`: none up to one step, whole steps beyond it.
fn in_steps(bytes: usize) -> usize {
    if bytes <= ROOM_STEP_BYTES { 0 } else { bytes.div_ceil(ROOM_STEP_BYTES).saturating_mul(ROOM_STEP_BYTES) }
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
    fn whoever_takes_as_much_as_it_may_leaves_some_for_one_more() {
        // The holders of all tenants take a byte at a time in turns, until nobody may take one more.
        for (tenants, holders, held_most, left) in [(1, 1, 128, 128), (1, 2, 77, 103), (1, 3, 55, 92), (2, 1, 103, 51)]
        {
            let room = Arc::new(ByteRoom::new(256));
            let all = (0..tenants).flat_map(|tenant| (0..holders).map(move |holder: u32| (tenant, holder)));
            let mut held: Vec<_> =
                all.map(|(number, holder)| (room.of(tenant(number), Some(&holder.to_string())), Vec::new())).collect();
            let mut is_taking = true;
            while is_taking {
                is_taking = false;
                for (share, taken) in &mut held {
                    if let Ok(byte) = share.take(1) {
                        taken.push(byte);
                        is_taking = true;
                    }
                }
            }
            let most = held.iter().map(|(_, taken)| taken.len()).max().unwrap();
            let told = format!("{holders} of each of {tenants}: {most}, {} in all", room.bytes_held());
            assert!(most.abs_diff(held_most) <= 1 && (256 - room.bytes_held()).abs_diff(left) <= 2, "{told}");
            for number in 0..=tenants {
                assert!(room.of(tenant(number), Some("one more")).take(1).is_ok(), "{told}");
            }
        }
    }

    #[test]
    fn a_holder_has_half_of_the_room_and_its_tenant_three_quarters_and_others_have_the_rest() {
        let room = Arc::new(ByteRoom::new(256));
        let of = |number: u128, user: &str| room.of(tenant(number), Some(user));
        let (first, second) = (of(1, "ada").take(100).unwrap(), of(1, "ada").take(28).unwrap());
        assert_eq!((of(1, "ada").bytes_max(), of(1, "ada").take(1).unwrap_err()), (128, NoRoom::ForNow));
        assert_eq!(
            of(1, "bo").take(43).unwrap_err(),
            NoRoom::ForNow,
            "two thirds of the 64 that are left to the tenant"
        );
        let _bos = of(1, "bo").take(42).unwrap();
        assert_eq!(of(2, "ada").take(58).unwrap_err(), NoRoom::ForNow, "two thirds of the 86 that are left");
        let _others = of(2, "ada").take(57).unwrap();
        assert!(of(1, "cy").take(1).is_ok() && of(3, "cy").take(1).is_ok(), "there is some left for one more");
        drop(first);
        let _more = of(1, "bo").take(10).unwrap();
        drop(second);
        let held = room.held.lock();
        assert_eq!((held.by_tenant.len(), held.by_holder.len()), (2, 2), "who holds nothing is forgotten");
    }

    #[test]
    fn what_is_granted_is_counted_over_the_limit_for_its_holder_alone_and_given_back() {
        let room = Arc::new(ByteRoom::new(100));
        let ada = room.of(tenant(1), Some("ada"));
        assert_eq!(ada.require_below_max(), Ok(()));
        let granted = ada.clone().granted().take(300).unwrap();
        assert_eq!((room.bytes_held(), ada.take(1).unwrap_err()), (300, NoRoom::ForNow));
        assert_eq!(ada.require_below_max(), Err(NoRoom::ForNow), "no more is begun");
        let bo = room.of(tenant(1), Some("bo"));
        assert_eq!((bo.require_below_max(), bo.take(1).is_ok()), (Ok(()), true), "others do begin");
        drop(granted);
        assert_eq!((room.bytes_held(), ada.take(1).is_ok()), (0, true));
    }

    #[test]
    fn what_is_read_of_what_was_done_is_refused_for_what_its_holder_holds_alone() {
        let room = Arc::new(ByteRoom::new(100));
        let _others: Vec<_> = (2..9).map(|number| room.of(tenant(number), None).take(10).unwrap()).collect();
        let ada = room.of(tenant(1), Some("ada"));
        assert_eq!(ada.take(50).unwrap_err(), NoRoom::ForNow);
        let read = ada.clone().done().take(50).unwrap();
        assert_eq!(ada.clone().done().take(1).unwrap_err(), NoRoom::WasDone);
        drop(read);
        assert_eq!(room.bytes_held(), 70);
    }

    #[test]
    fn a_request_takes_room_by_steps_beyond_the_first_and_gives_it_back_as_it_ends() {
        let room = Arc::new(ByteRoom::new(8 * ROOM_STEP_BYTES));
        let drawn = Drawn::of(Some(room.of(tenant(1), None)));
        drawn.add(ROOM_STEP_BYTES).unwrap();
        assert_eq!(room.bytes_held(), 0);
        drawn.add(1).unwrap();
        assert_eq!(room.bytes_held(), 2 * ROOM_STEP_BYTES);
        drawn.add(ROOM_STEP_BYTES - 1).unwrap();
        assert_eq!(room.bytes_held(), 2 * ROOM_STEP_BYTES);
        drawn.add(2 * ROOM_STEP_BYTES).unwrap();
        assert_eq!((room.bytes_held(), drawn.add(1)), (4 * ROOM_STEP_BYTES, Err(NoRoom::ForNow)));
        drawn.begin_anew();
        assert_eq!((room.bytes_held(), drawn.add(2 * ROOM_STEP_BYTES)), (0, Ok(())));
        drop(drawn);
        assert_eq!(room.bytes_held(), 0);
    }

    #[test]
    fn what_was_refused_does_not_count() {
        let room = Arc::new(ByteRoom::new(8 * ROOM_STEP_BYTES));
        let drawn = Drawn::of(Some(room.of(tenant(1), None)));
        drawn.add(2 * ROOM_STEP_BYTES).unwrap();
        assert_eq!(drawn.add(100 * ROOM_STEP_BYTES), Err(NoRoom::ForNow));
        drawn.add(2 * ROOM_STEP_BYTES).unwrap();
        assert_eq!(room.bytes_held(), 4 * ROOM_STEP_BYTES);
    }

    #[test]
    fn outside_of_any_room_nothing_is_taken_or_refused() {
        assert_eq!(Drawn::default().add(usize::MAX / 2), Ok(()));
    }
}
