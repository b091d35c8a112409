//! Numbers as ECMAScript's `Number::toString` prints them, and `null` for what is not finite.

/// Appends a double.
pub(super) fn push_number(number: f64, out: &mut String) {
    if number.is_finite() {
        out.push_str(ryu_js::Buffer::new().format_finite(number));
    } else {
        out.push_str("null");
    }
}
