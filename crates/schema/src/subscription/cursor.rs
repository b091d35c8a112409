//! Cursors of the feed: a `seq` in a form that is opaque to callers.

use crate::access::Needed;
use crate::context::ApiContext;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hookgraph_domain::refusal::Refusal;

/// The version of the cursor's form: another form gets another letter.
const PREFIX: &str = "f1:";

/// The cursor of a `seq`.
pub fn write(seq: i64) -> String {
    URL_SAFE_NO_PAD.encode(format!("{PREFIX}{seq}"))
}

/// The `seq` of a cursor that [`write()`] made; none of any other text.
pub fn read(cursor: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let seq: i64 = std::str::from_utf8(&bytes).ok()?.strip_prefix(PREFIX)?.parse().ok()?;
    // One spelling for each `seq`: no sign, no leading zero.
    (seq >= 0 && write(seq) == cursor).then_some(seq)
}

/// The cursor of the feed as it stands.
pub(crate) async fn latest<P: Needed>(api: &ApiContext) -> Result<String, Refusal> {
    Ok(write(api.may::<P>()?.latest_seq().await?))
}

/// The `seq` to read on from: that of the cursor, or without one that of the last entry.
pub(super) async fn start<P: Needed>(api: &ApiContext, after: Option<&str>) -> Result<i64, Refusal> {
    let latest_seq = api.may::<P>()?.latest_seq().await?;
    let Some(cursor) = after else { return Ok(latest_seq) };
    match read(cursor) {
        Some(seq) if seq <= latest_seq => Ok(seq),
        _ => {
            let message =
                format!("{cursor:?} is no cursor of this feed: subscribe with one that it gave, or with none");
            Err(Refusal::invalid_at("after", "CURSOR", message))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{read, write};
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    #[test]
    fn a_cursor_reads_back_as_its_seq() {
        for seq in [0, 1, 42, i64::MAX] {
            assert_eq!(read(&write(seq)), Some(seq));
        }
    }

    #[test]
    fn a_forged_cursor_is_none() {
        for text in ["f1:-1", "f1:+1", "f1:01", "f2:1", "1", "", "f1:9223372036854775808"] {
            assert_eq!(read(&URL_SAFE_NO_PAD.encode(text)), None, "{text}");
        }
        assert_eq!(read("not base64!"), None);
    }
}
