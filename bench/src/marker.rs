//! The number of an event within a run, which travels through the server in the event's `userId`: every payload here
//! has one.

/// How many digits a marker has.
const DIGITS: usize = 10;
const NEEDLE: &[u8] = b"\"userId\":\"n";

/// The `userId` of the event of that number.
pub fn user_id(number: u32) -> String {
    format!("n{number:0DIGITS$}")
}

/// The number in a payload or in an answer that holds one.
pub fn find(body: &[u8]) -> Option<u32> {
    let start = body.windows(NEEDLE.len()).position(|window| window == NEEDLE)? + NEEDLE.len();
    std::str::from_utf8(body.get(start..start + DIGITS)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::{find, user_id};

    #[test]
    fn a_marker_is_found_in_a_payload() {
        let body = format!("{{\"id\":\"o\",\"userId\":\"{}\",\"tenantId\":\"t\"}}", user_id(4_294_967_295));
        assert_eq!(find(body.as_bytes()), Some(u32::MAX));
        assert_eq!(find(b"{\"userId\":\"ada\"}"), None);
        assert_eq!(find(b"{\"userId\":\"n12"), None);
    }
}
