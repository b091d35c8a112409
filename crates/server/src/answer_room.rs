//! Room for large answers, from when they are there until their clients have taken them: one that is slow to take them, or never
//! does, holds what all clients share.

use crate::limits::{ANSWER_BYTES_HELD_MAX, ANSWER_SMALL_BYTES_MAX};
use axum::extract::ws::{Message, Utf8Bytes};
use bytes::Bytes;
use hookgraph_domain::ids::TenantId;
use hookgraph_pim::{ByteRoom, NoRoom, Taken, TenantRoom};
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
    /// The room as the callers of that tenant may use it.
    pub fn of(&self, tenant_id: TenantId) -> AnswerShare {
        AnswerShare(self.0.of(tenant_id))
    }

    /// What answers hold, in bytes.
    pub fn bytes_held(&self) -> usize {
        self.0.bytes_held()
    }
}

/// The room as one tenant's callers may use it.
#[derive(Clone, Debug)]
pub struct AnswerShare(TenantRoom);

impl AnswerShare {
    /// Room for an answer of so many bytes; a small one needs none.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn take(&self, bytes: usize) -> Result<Option<Taken>, NoRoom> {
        if bytes <= ANSWER_SMALL_BYTES_MAX {
            return Ok(None);
        }
        self.0.take(bytes.min(self.0.bytes_max())).map(Some)
    }

    /// An answer that has its room until the last part of it is gone.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn hold(&self, bytes: Bytes) -> Result<Bytes, NoRoom> {
        let taken = self.take(bytes.len())?;
        Ok(with_room(bytes, taken))
    }

    /// The same of a message to a WebSocket client.
    ///
    /// # Errors
    /// [`NoRoom`], at once.
    pub fn hold_message(&self, message: Message) -> Result<Message, NoRoom> {
        match message {
            Message::Text(text) if text.len() > ANSWER_SMALL_BYTES_MAX => {
                // Its bytes are those of a text still.
                Utf8Bytes::try_from(self.hold(text.into())?).map(Message::Text).map_err(|_| NoRoom)
            }
            message => Ok(message),
        }
    }
}

/// The bytes, which give back what was taken for them when the last part of them is gone: a part that waits to be written keeps
/// the whole in memory.
pub fn with_room(bytes: Bytes, taken: Option<Taken>) -> Bytes {
    match taken {
        Some(taken) => Bytes::from_owner(Held { bytes, _taken: taken }),
        None => bytes,
    }
}

struct Held {
    bytes: Bytes,
    _taken: Taken,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    const ADA: TenantId = TenantId(Uuid::from_u128(1));

    fn answer(bytes: usize) -> Bytes {
        Bytes::from(vec![b'x'; bytes])
    }

    #[test]
    fn a_large_answer_holds_its_room_until_its_last_part_is_gone_and_a_small_one_none() {
        let room = AnswerRoom::default();
        let share = room.of(ADA);
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
        let message = room.of(ADA).hold_message(Message::text(text.as_str())).unwrap();
        assert_eq!((&message, room.bytes_held()), (&Message::text(text.as_str()), text.len()));
        drop(message);
        assert_eq!(room.bytes_held(), 0);
    }

    #[test]
    fn one_that_is_larger_than_a_tenants_share_counts_for_as_many() {
        let room = AnswerRoom::default();
        let half = room.of(ADA).take(ANSWER_BYTES_HELD_MAX).unwrap();
        assert_eq!(room.bytes_held(), ANSWER_BYTES_HELD_MAX / 2);
        assert!(room.of(ADA).take(ANSWER_SMALL_BYTES_MAX + 1).is_err());
        assert!(room.of(TenantId(Uuid::from_u128(2))).take(ANSWER_BYTES_HELD_MAX).is_ok());
        drop(half);
    }
}
