//! Canonical JSON: its own canonical form, the same value, and refused only where the text is no JSON or too deep. That
//! it is JavaScript's form is held by the JavaScript tests, over the same corpus.

use hookgraph_domain::canonical_json;

pub fn hold(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let parsed = serde_json::from_str::<serde_json::Value>(text);
    match canonical_json::from_text(text) {
        Ok(canonical) => {
            assert_eq!(canonical_json::from_text(&canonical).as_deref(), Ok(canonical.as_str()), "{text:?}");
            assert!(!canonical.contains('\n'), "{text:?}");
            if let Ok(value) = parsed {
                assert_eq!(canonical_json::to_text(&value), canonical, "{text:?}");
            }
        }
        Err(error) => {
            let is_too_deep = text.bytes().filter(|byte| matches!(byte, b'[' | b'{')).count() > 128;
            assert!(parsed.is_err() || is_too_deep, "{text:?}: {error}");
        }
    }
}
