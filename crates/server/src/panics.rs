//! Panics that were caught.

use std::any::Any;

/// What a panic said, where that is a text.
pub(crate) fn reason(panic: &(dyn Any + Send)) -> Option<&str> {
    panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied())
}
