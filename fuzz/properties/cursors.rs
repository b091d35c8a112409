//! Cursors: a text is a cursor in one spelling only, and reads back as what it was written for.

use hookgraph_schema::feed_cursor;

pub fn hold(data: &[u8]) {
    if let Some(seq) = data.first_chunk::<8>().map(|bytes| i64::from_le_bytes(*bytes)) {
        let read = feed_cursor::read(&feed_cursor::write(seq));
        assert_eq!(read, (seq >= 0).then_some(seq));
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Some(seq) = feed_cursor::read(text) {
        assert!(seq >= 0);
        assert_eq!(feed_cursor::write(seq), text);
    }
}
