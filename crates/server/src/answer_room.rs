//! Room for large answers, from when they are there until their clients have taken them: a client that is slow to take
//! its answer, or never does, holds memory that all clients share.

use crate::limits::{ANSWER_BYTES_HELD_MAX, ANSWER_SMALL_BYTES_MAX};
use async_graphql::parser::types::OperationType;
use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use hookgraph_pim::{ByteRoom, Caller, NoRoom, RoomShare, Taken};
use std::sync::Arc;

/// The room of one process.
#[derive(Clone, Debug)]
pub struct AnswerRoom(Arc<ByteRoom>);

impl Default for AnswerRoom {
    fn default() -> Self {
        Self(Arc::new(ByteRoom::new(ANSWER_BYTES_HELD_MAX)))
    }
}

impl AnswerRoom {
    /// The room as that caller may use it.
    pub fn of(&self, caller: &Caller) -> AnswerShare {
        AnswerShare(self.0.of(caller.tenant_id, caller.user_id.as_deref()))
    }

    /// How many bytes the answers hold.
    pub fn bytes_held(&self) -> usize {
        self.0.bytes_held()
    }
}

/// The room as one caller may use it.
#[derive(Clone, Debug)]
pub struct AnswerShare(RoomShare);

impl AnswerShare {
    /// The share for the answers of an operation that is about to begin. The answer of a mutation is never refused
    /// room, because a client that is told to try again would have the mutation done twice. (The schema decides alike
    /// about the records that a mutation reads, in a room of its own: `hookgraph_schema::Api::execute`.)
    ///
    /// # Errors
    /// [`NoRoom`] for a mutation that must not begin, while the caller's answers hold as much as they ever may.
    pub fn of_operation(self, operation: Option<OperationType>) -> Result<Self, NoRoom> {
        if operation != Some(OperationType::Mutation) {
            return Ok(self);
        }
        self.0.require_below_max()?;
        Ok(Self(self.0.granted()))
    }

    /// Room for an answer of `bytes` bytes; a small one needs none.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn take(&self, bytes: usize) -> Result<Option<Taken>, NoRoom> {
        if bytes <= ANSWER_SMALL_BYTES_MAX {
            return Ok(None);
        }
        self.0.take(bytes.min(self.0.bytes_max())).map(Some)
    }

    /// The answer, which has its room until the last part of it is gone.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn hold(&self, bytes: Bytes) -> Result<Bytes, NoRoom> {
        let taken = self.take(bytes.len())?;
        Ok(with_room(bytes, taken))
    }

    /// The message to a WebSocket client, which has its room until the last part of it is gone.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn hold_message(&self, message: Message) -> Result<Message, NoRoom> {
        match message {
            Message::Text(text) if text.len() > ANSWER_SMALL_BYTES_MAX => {
                // The bytes are unchanged, so they are a text still.
                Utf8Bytes::try_from(self.hold(text.into())?).map(Message::Text).map_err(|_| NoRoom::ForNow)
            }
            message => Ok(message),
        }
    }
}

/// The bytes, which give back the room `taken` for them when the last part of them is gone: a part that waits to be
/// written keeps all of them in memory.
pub fn with_room(bytes: Bytes, taken: Option<Taken>) -> Bytes {
    match taken {
        Some(taken) => Bytes::from_owner(HeldBytes { bytes, _taken: taken }),
        None => bytes,
    }
}

struct HeldBytes {
    bytes: Bytes,
    _taken: Taken,
}

impl AsRef<[u8]> for HeldBytes {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::ids::TenantId;
    use hookgraph_domain::permission::PermissionSet;
    use uuid::Uuid;

    fn of(room: &AnswerRoom, tenant: u128, user: &str) -> AnswerShare {
        let (tenant_id, permissions) = (TenantId(Uuid::from_u128(tenant)), PermissionSet::NONE);
        room.of(&Caller { tenant_id, user_id: Some(user.to_owned()), permissions })
    }

    fn answer(bytes: usize) -> Bytes {
        Bytes::from(vec![b'x'; bytes])
    }

    #[test]
    fn a_large_answer_holds_its_room_until_its_last_part_is_gone_and_a_small_one_none() {
        let room = AnswerRoom::default();
        let share = of(&room, 1, "ada");
        let small = share.hold(answer(ANSWER_SMALL_BYTES_MAX)).unwrap();
        assert_eq!((small.len(), room.bytes_held()), (ANSWER_SMALL_BYTES_MAX, 0));
        let bytes = ANSWER_SMALL_BYTES_MAX + 1;
        let mut large = share.hold(answer(bytes)).unwrap();
        let last = large.split_off(bytes - 1);
        drop(large);
        assert_eq!((last.as_ref(), room.bytes_held()), (&b"x"[..], bytes));
        drop(last);
        assert_eq!(room.bytes_held(), 0);
    }

    #[test]
    fn a_message_is_the_same_text_with_its_room() {
        let room = AnswerRoom::default();
        let text = "x".repeat(ANSWER_SMALL_BYTES_MAX + 1);
        let message = of(&room, 1, "ada").hold_message(Message::text(text.as_str())).unwrap();
        assert_eq!((&message, room.bytes_held()), (&Message::text(text.as_str()), text.len()));
        drop(message);
        assert_eq!(room.bytes_held(), 0);
    }

    #[test]
    fn one_that_is_larger_than_a_callers_share_counts_for_as_many() {
        let room = AnswerRoom::default();
        let half = of(&room, 1, "ada").take(ANSWER_BYTES_HELD_MAX).unwrap();
        assert_eq!(room.bytes_held(), ANSWER_BYTES_HELD_MAX / 2);
        assert!(of(&room, 1, "ada").take(ANSWER_SMALL_BYTES_MAX + 1).is_err());
        assert!(of(&room, 1, "bo").take(ANSWER_BYTES_HELD_MAX / 8).is_ok(), "another token of its tenant");
        assert!(of(&room, 2, "ada").take(ANSWER_BYTES_HELD_MAX / 4).is_ok(), "another tenant");
        drop(half);
    }

    #[test]
    fn what_a_mutation_answers_is_counted_over_the_limit_and_no_more_is_begun_then() {
        let room = AnswerRoom::default();
        let begun = |user: &str| of(&room, 1, user).of_operation(Some(OperationType::Mutation));
        let shares = [(); 3].map(|()| begun("ada").unwrap());
        let held = shares.map(|share| share.take(ANSWER_BYTES_HELD_MAX).unwrap());
        assert_eq!(room.bytes_held(), 3 * (ANSWER_BYTES_HELD_MAX / 2));
        assert!(begun("ada").is_err() && begun("bo").is_ok());
        let query = |user: &str| of(&room, 1, user).of_operation(Some(OperationType::Query)).unwrap();
        assert!(query("ada").take(ANSWER_SMALL_BYTES_MAX + 1).is_err());
        assert!(query("bo").take(ANSWER_SMALL_BYTES_MAX + 1).is_ok(), "it counts for its holder alone");
        drop(held);
        assert!(begun("ada").is_ok());
    }
}
