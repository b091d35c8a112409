//! Looks for bytes that break the property of the same name.
#![no_main]

#[path = "../properties/frames.rs"]
mod property;

libfuzzer_sys::fuzz_target!(|data: &[u8]| property::hold(data));
