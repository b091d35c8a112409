//! What guards each field.
