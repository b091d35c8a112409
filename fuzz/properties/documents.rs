//! Payload documents: judging ends, is the same each time, and refuses nothing without saying why. That graphql-js
//! judges alike is held by the JavaScript tests, over documents of their own.

use hookgraph_domain::catalogue;
use hookgraph_schema::document::DocumentChecker;
use std::sync::LazyLock;

static CHECKER: LazyLock<DocumentChecker> =
    LazyLock::new(|| DocumentChecker::for_payloads().expect("the payload schema is valid"));

pub fn hold(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let event_type = catalogue::find("orders", "create").expect("an event type of the catalogue");
    match CHECKER.check(text, event_type) {
        Ok(checked) => {
            assert!(checked.complexity > 0, "{text:?}");
            assert!(CHECKER.problems_without_event(text).is_empty(), "{text:?}");
            assert_eq!(CHECKER.check(text, event_type).as_ref(), Ok(&checked), "{text:?}");
        }
        Err(problems) => {
            assert!(!problems.is_empty(), "{text:?} is refused for nothing");
            assert!(problems.iter().all(|problem| !problem.code.is_empty() && !problem.message.is_empty()), "{text:?}");
        }
    }
}
