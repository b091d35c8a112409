//! Room for bytes that the requests of all tenants hold together: what bounds one request says nothing of a thousand at once.
//!
//! Nobody fills it: a tenant has [`ROOM_OF_TENANT_PERCENT_MAX`] of it at most, and as a holder (a token, or whoever an issuer vouches
//! for) takes some, it holds at most [`ROOM_OF_HOLDER_TIMES_MAX`] times what it leaves free, of all and of what its tenant may have.
//! What is taken is always less than what was free: however many hold as much as they may, there is some left for one more.

use crate::limits::{ROOM_OF_HOLDER_TIMES_MAX, ROOM_OF_TENANT_PERCENT_MAX, ROOM_STEP_BYTES};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::refusal::{Refusal, RefusalCode};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// The room. Nobody waits for it: who holds a part of it and waits for more might wait for others who do the same.
#[derive(Debug)]
pub struct ByteRoom {
    bytes_max: usize,
    held: Mutex<HeldBytes>,
}

#[derive(Debug, Default)]
struct HeldBytes {
    /// But for what is granted.
    all: usize,
    granted: usize,
    /// Without those that hold nothing, and what is granted.
    by_tenant: HashMap<TenantId, usize>,
    /// Without those that hold nothing.
    by_holder: HashMap<Holder, usize>,
}

/// Who holds a part of it, of whose tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Holder {
    tenant_id: TenantId,
    user_id: Option<Arc<str>>,
}

/// Whether what asks for room may be refused it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Claim {
    /// It may: to ask again does nothing twice.
    Refusable,
    /// What is read of what was done is not refused for what others hold, and counts for its holder alone.
    Done,
    /// What is answered of it is never refused, and counts for its holder alone.
    Answered,
}

/// There is no room left, or none that this holder may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// For now, of what may be asked for again.
    #[error("the server holds as much of what is read and answered as it may: try again, or ask for less at once")]
    ForNow,
    /// Of what was done, which must not be asked for again.
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
    /// Room for so many bytes.
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, held: Mutex::default() }
    }

    /// What one holder may hold of it while nobody else holds any, in bytes.
    pub fn of_one_bytes_max(&self) -> usize {
        fair_share(self.bytes_max.min(self.of_tenant_bytes_max()), 0)
    }

    fn of_tenant_bytes_max(&self) -> usize {
        self.bytes_max / 100 * ROOM_OF_TENANT_PERCENT_MAX + self.bytes_max % 100 * ROOM_OF_TENANT_PERCENT_MAX / 100
    }

    /// What is held, in bytes.
    pub fn bytes_held(&self) -> usize {
        let held = self.held.lock();
        held.all.saturating_add(held.granted)
    }

    /// The room as that user of that tenant may use it; those without a name are one.
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
    /// What the holder's tenant holds, and what it holds itself.
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

/// Keeps a count; of none nothing is kept.
fn put<K: Clone + Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K, count: usize) {
    if count == 0 {
        counts.remove(key);
    } else if let Some(kept) = counts.get_mut(key) {
        *kept = count;
    } else {
        counts.insert(key.clone(), count);
    }
}

/// How much more one that holds so much may take of what is free, to hold at most so many times what is free then.
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
    /// What the holder may hold at most, in bytes.
    pub fn bytes_max(&self) -> usize {
        self.room.of_one_bytes_max()
    }

    /// The share for what is read of what a mutation did: it is not refused for what others hold, and counts for its holder alone.
    #[must_use]
    pub fn done(self) -> Self {
        Self { claim: Claim::Done, ..self }
    }

    /// The share for what a mutation answers, which is never refused room: whoever is told to try again would have it done twice. It
    /// counts for its holder alone.
    #[must_use]
    pub fn granted(self) -> Self {
        Self { claim: Claim::Answered, ..self }
    }

    /// Refuses to begin what is granted room while its holder holds as much as it ever may, so that it does not pile up.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn require_below_max(&self) -> Result<(), NoRoom> {
        let (_, of_holder) = self.room.held.lock().of(&self.holder);
        if of_holder < self.bytes_max() { Ok(()) } else { Err(NoRoom::ForNow) }
    }

    /// Takes so many bytes, until what is returned is dropped.
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

/// Bytes of a room that are taken; dropping it gives them back.
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

/// What one request takes of a room as it reads on, until it ends. The first [`ROOM_STEP_BYTES`] are free, so that most requests
/// never ask for room; outside of any room all of it is.
#[derive(Debug, Default)]
pub struct Drawn {
    room: Option<RoomShare>,
    bytes: Mutex<DrawnBytes>,
}

#[derive(Debug, Default)]
struct DrawnBytes {
    counted: usize,
    taken: usize,
}

impl Drawn {
    /// Nothing yet, of that room.
    pub fn of(room: Option<RoomShare>) -> Self {
        Self { room, bytes: Mutex::default() }
    }

    /// The room that it is taken of.
    pub fn room(&self) -> Option<RoomShare> {
        self.room.clone()
    }

    /// Counts bytes that are held from now on.
    ///
    /// # Errors
    /// [`NoRoom`] where they are too many beside what others hold: they are not held then, and do not count; what was taken before
    /// stays so.
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

    /// Begins anew: what was held until now is not any more.
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

/// What is taken for so many bytes: none for a step of them, whole steps for more.
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
        // So many holders of so many tenants, a byte at a time in turns, until nobody may take one more.
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
