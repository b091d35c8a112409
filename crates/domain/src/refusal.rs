//! Refusals: what a caller of the API is told when nothing was done. One documented set of codes for all of it.

use crate::change::CommitError;
use crate::limits::PROBLEMS_MAX;
use crate::permission::Permission;
use crate::ports::StoreError;
use crate::problem::Problem;
use crate::signing::OverlapsFull;

/// The value of `extensions.code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusalCode {
    /// The input is wrong; `extensions.problems` says what and where.
    BadUserInput,
    /// No such thing, or not yours.
    NotFound,
    /// It collides with something that is there, or changed meanwhile.
    Conflict,
    /// No valid token was shown.
    Unauthenticated,
    /// The token does not allow it.
    Forbidden,
    /// A limit is reached.
    LimitExceeded,
    /// What follows that cursor was removed; `extensions.oldestCursor` is the oldest that may be used.
    CursorTooOld,
    /// No document is known by that hash or identifier: send its text along.
    PersistedQueryNotFound,
    /// Documents are not known by hashes here: send their text.
    PersistedQueryNotSupported,
    /// Ours, for the moment: the same call may go through later.
    Unavailable,
    /// Ours.
    Internal,
}

impl RefusalCode {
    /// Every code.
    pub const ALL: [RefusalCode; 11] = [
        Self::BadUserInput,
        Self::NotFound,
        Self::Conflict,
        Self::Unauthenticated,
        Self::Forbidden,
        Self::LimitExceeded,
        Self::CursorTooOld,
        Self::PersistedQueryNotFound,
        Self::PersistedQueryNotSupported,
        Self::Unavailable,
        Self::Internal,
    ];

    /// The text in `extensions.code`.
    pub const fn as_str(self) -> &'static str {
        match self {
            RefusalCode::BadUserInput => "BAD_USER_INPUT",
            RefusalCode::NotFound => "NOT_FOUND",
            RefusalCode::Conflict => "CONFLICT",
            RefusalCode::Unauthenticated => "UNAUTHENTICATED",
            RefusalCode::Forbidden => "FORBIDDEN",
            RefusalCode::LimitExceeded => "LIMIT_EXCEEDED",
            RefusalCode::CursorTooOld => "CURSOR_TOO_OLD",
            RefusalCode::PersistedQueryNotFound => "PERSISTED_QUERY_NOT_FOUND",
            RefusalCode::PersistedQueryNotSupported => "PERSISTED_QUERY_NOT_SUPPORTED",
            RefusalCode::Unavailable => "UNAVAILABLE",
            RefusalCode::Internal => "INTERNAL",
        }
    }
}

/// A call that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The kind.
    pub code: RefusalCode,
    /// What, where, and what would be right.
    pub message: String,
    /// For wrong input: each thing wrong with it.
    pub problems: Vec<Problem>,
    /// For what is forbidden: the permission that is missing.
    pub permission: Option<Permission>,
    /// For a cursor that is too old: the oldest that may be used.
    pub oldest_cursor: Option<String>,
}

impl Refusal {
    /// A refusal without problems.
    pub fn new(code: RefusalCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), problems: Vec::new(), permission: None, oldest_cursor: None }
    }

    /// The answer for what is not there and for what belongs to someone else alike.
    pub fn not_found(what: &str, key: &str) -> Self {
        Self::new(RefusalCode::NotFound, format!("no {what} {key:?}"))
    }

    /// The caller lacks a permission.
    pub fn forbidden(permission: Permission) -> Self {
        let message = format!("this needs the permission {permission}");
        Self { permission: Some(permission), ..Self::new(RefusalCode::Forbidden, message) }
    }

    /// What follows the cursor is gone.
    pub fn cursor_too_old(oldest_cursor: String) -> Self {
        let message = format!(
            "what follows this cursor was removed: the oldest that may be used is {oldest_cursor:?}, and what came before \
             it is in the log"
        );
        Self { oldest_cursor: Some(oldest_cursor), ..Self::new(RefusalCode::CursorTooOld, message) }
    }

    /// Wrong input; the message sums the problems up. Those beyond [`PROBLEMS_MAX`] are left out.
    pub fn invalid(mut problems: Vec<Problem>) -> Self {
        let are_all = problems.len() <= PROBLEMS_MAX;
        problems.truncate(PROBLEMS_MAX);
        let message = match problems.as_slice() {
            [one] => format!("{}: {}", one.path, one.message),
            _ if !are_all => {
                format!("the input has more than {PROBLEMS_MAX} problems, see the first of them in extensions.problems")
            }
            many => format!("the input has {} problems, see extensions.problems", many.len()),
        };
        Self { code: RefusalCode::BadUserInput, message, problems, permission: None, oldest_cursor: None }
    }

    /// Wrong input in one place.
    pub fn invalid_at(path: impl Into<String>, code: impl Into<String>, message: impl Into<String>) -> Self {
        Self::invalid(vec![Problem::new(path, code, message)])
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        if matches!(error, StoreError::Full(_)) {
            let message = "the database is full or may not be written just now: what is read goes on, try again later";
            Self::new(RefusalCode::Unavailable, message)
        } else if error.is_retryable() {
            Self::new(RefusalCode::Unavailable, "the server cannot reach its database right now: try again")
        } else {
            Self::new(RefusalCode::Internal, "the server failed: its log says why")
        }
    }
}

impl From<OverlapsFull> for Refusal {
    fn from(error: OverlapsFull) -> Self {
        Self::invalid_at("input.overlapS", "OVERLAPS_FULL", error.to_string())
    }
}

impl From<CommitError> for Refusal {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Store(error) => error.into(),
            CommitError::Missing(_) => Self::new(RefusalCode::NotFound, error.to_string()),
            CommitError::Conflict(_)
            | CommitError::NameTaken(_)
            | CommitError::AlreadyExists(_)
            | CommitError::Refused(_) => Self::new(RefusalCode::Conflict, error.to_string()),
        }
    }
}
