//! The bounds of the schemas, by name, with their unit as the last word and their reason. Bounds of webhooks and
//! payloads that other crates need too are in [`hookgraph_domain::limits`].

/// The costs of a document that are bounded before a validator or an executor sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentLimits {
    /// The text, in bytes.
    pub bytes_max: usize,
    /// The tokens of the text.
    pub tokens_max: usize,
    /// Brackets of any kind within each other: a recursive parser must not outgrow a worker's stack.
    pub nesting_max: usize,
    /// Fields within each other, with fragments spread.
    pub depth_max: u32,
    /// Fields, with fragments spread; a field beneath a page counts once for each node that the page may hold.
    pub complexity_max: u32,
    /// Whether a field beneath a list that is no page counts once for each element too.
    pub weighs_plain_lists: bool,
    /// Fields, with fragments spread; a field beneath a page or a list counts once. The validators and the executor
    /// visit each of them.
    pub fields_max: u32,
    /// Aliases, with fragments spread.
    pub aliases_max: u32,
    /// Operations: one of them runs, and each is validated.
    pub operations_max: usize,
    /// How often one selection set may ask for the same response key.
    pub repeats_max: usize,
    /// Lists of the schema's own description within each other, e.g. `fields` of the type of `fields`.
    pub introspection_lists_max: u32,
    /// Directives at one field or fragment: the specification has two for them.
    pub directives_max: usize,
}

/// The limits of a payload query. It is rendered once for every event, so it may cost less than a call.
pub const PAYLOAD_DOCUMENT: DocumentLimits = DocumentLimits {
    bytes_max: hookgraph_domain::limits::DOCUMENT_BYTES_MAX,
    tokens_max: 4_000,
    nesting_max: 60,
    depth_max: 20,
    complexity_max: 5_000,
    // A weight would make stored queries invalid; the records of a render are bounded as they are read.
    weighs_plain_lists: false,
    fields_max: 5_000,
    aliases_max: 100,
    operations_max: 1,
    repeats_max: 100,
    // The shape of a payload query allows no introspection at all.
    introspection_lists_max: 2,
    directives_max: 4,
};

/// The limits of a call of an API, with room for the introspection query of every client that we know of.
pub const CALL_DOCUMENT: DocumentLimits = DocumentLimits {
    bytes_max: 128 * 1024,
    tokens_max: 12_000,
    nesting_max: 80,
    depth_max: 30,
    complexity_max: 50_000,
    weighs_plain_lists: true,
    // A document that a person writes has some hundreds of fields.
    fields_max: 4_000,
    aliases_max: 100,
    // An editor sends all operations of a tab.
    operations_max: 20,
    repeats_max: 100,
    // The introspection queries of clients nest one list; graphql-js allows two as well.
    introspection_lists_max: 2,
    directives_max: 4,
};

/// The limits of one render.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderLimits {
    /// How long the render may take, in milliseconds.
    pub render_ms_max: u64,
}

/// The limits of the render of a payload.
pub const RENDER: RenderLimits = RenderLimits { render_ms_max: hookgraph_domain::limits::RENDER_MS_MAX };

/// The text of payloads and attempts that one answer shows, in bytes. A text counts each time that it is shown: aliases
/// may ask for a payload a hundred times over on each of a hundred deliveries. A page of 100 deliveries with payloads
/// of 32 KiB, and with three attempts that sent them and got 16 KiB back, shows 18 MiB. A parsed payload takes some ten
/// times its text in memory.
pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Deliveries whose payloads or attempts one statement reads. A payload, and the body that an attempt sent, may have a
/// MiB each, and all of a statement's are in memory before their bytes are counted.
pub const TEXT_BATCH_DELIVERIES_MAX: usize = 10;
/// Attempts to a webhook that one statement reads. The body that an attempt sent may have a MiB; it is dropped unless
/// the answer shows it.
pub const TEXT_BATCH_ATTEMPTS_MAX: u32 = 25;
/// Errors of one answer: it must not grow with the number of a document's mistakes.
pub const ERRORS_MAX: usize = 50;
/// A word of a document that an error quotes, in characters.
pub const WORD_SHOWN_CHARS_MAX: usize = 40;
/// The part of an error's text that quotes a value which is none of its scalar's, in characters.
pub const VALUE_SHOWN_CHARS_MAX: usize = 300;
/// The memory of a cached document whatever its text, in bytes as estimated: its tables, and its entry in the cache.
pub const KEPT_DOCUMENT_BYTES: usize = 4 * 1024;
/// The memory of a word of a cached document, in bytes as estimated: at most that of a field, which is one node of the
/// validator and one of the executor.
pub const KEPT_WORD_BYTES: usize = 512;
/// How many copies of its text a cached document has: the text itself, and the values of the validator and the
/// executor.
pub const KEPT_TEXT_TIMES: usize = 4;
/// Documents that are cached with their verdict for calls that send them again, in bytes of memory as estimated; for
/// each schema.
pub const PROVEN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Payload queries that are cached parsed, in bytes of memory as estimated.
pub const PREPARED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// Past invocations of one list where the caller names no limit: the default of the PIM API.
pub const INVOCATIONS_DEFAULT: i32 = 50;
/// Past invocations of one list.
pub const INVOCATIONS_MAX: u32 = 100;
/// Feed entries that a subscription reads at once: a slow subscriber holds one such page in memory.
pub const FEED_PAGE_ENTRIES_MAX: u32 = 50;
/// How long a subscription whose feed cannot be read waits before it tries again, in milliseconds.
pub const FEED_RETRY_MS: u64 = 1_000;
/// Webhooks of one page while stored payload queries are checked against a new schema.
pub const RECHECK_BATCH_MAX: u32 = 100;
/// The newest attempts that a webhook's health is computed from.
pub const HEALTH_ATTEMPTS_MAX: u32 = 100;
/// How far the deliveries of a backlog are counted.
pub const BACKLOG_COUNT_MAX: u32 = 10_000;
/// How often the subscription to a replay reads it, in milliseconds.
pub const REPLAY_POLL_MS: u64 = 1_000;
/// Webhooks of a list where the caller names no number: the oldest ones after the cursor.
pub const WEBHOOKS_LIST_MAX: u32 = 1_000;
/// Payload previews of one request: each may take the time and the bytes of a whole render.
pub const PREVIEWS_PER_REQUEST_MAX: usize = 5;
/// Access tokens of a tenant that are valid at one time.
pub const TOKENS_VALID_MAX: usize = 200;
/// Access tokens of a list where the caller names no number: the latest ones, or the next ones after the cursor.
pub const TOKENS_LIST_MAX: u32 = 1_000;
/// The name of an access token, in characters.
pub const TOKEN_NAME_CHARS_MAX: usize = 200;

#[cfg(test)]
mod tests {
    use super::*;
    use hookgraph_domain::limits::{DOCUMENT_BYTES_MAX, EVENTS_PER_PUBLISH_MAX, PAGE_SIZE_MAX, PROBLEMS_MAX};
    use hookgraph_domain::refusal::RefusalCode;
    use hookgraph_pim::limits::{RECORD_BYTES_READ_MAX, RECORDS_READ_MAX};

    /// A number as people write it.
    fn written(number: usize) -> String {
        let digits = number.to_string();
        let groups = digits.as_bytes().rchunks(3).rev().map(|group| String::from_utf8_lossy(group).into_owned());
        groups.collect::<Vec<_>>().join(",")
    }

    #[test]
    fn the_documentation_names_every_code_and_the_limits_of_documents() {
        let text = include_str!("../../../docs/errors.md");
        for code in RefusalCode::ALL {
            assert!(text.contains(&format!("`{}`", code.as_str())), "{}", code.as_str());
        }
        let (call, payload) = (CALL_DOCUMENT, PAYLOAD_DOCUMENT);
        for told in [
            format!(
                "{} KiB, {} tokens, {} operations, {} fields within each other, {} fields, {} aliases",
                call.bytes_max / 1024,
                written(call.tokens_max),
                call.operations_max,
                call.depth_max,
                written(call.fields_max as usize),
                call.aliases_max,
            ),
            format!("its complexity | {}:", written(call.complexity_max as usize)),
            format!(
                "{} KiB, {} tokens, one operation, {} fields within each other, a complexity of {}, {} aliases",
                DOCUMENT_BYTES_MAX / 1024,
                written(payload.tokens_max),
                payload.depth_max,
                written(payload.complexity_max as usize),
                payload.aliases_max,
            ),
            format!("1 to {PAGE_SIZE_MAX} "),
            format!("{} events", written(EVENTS_PER_PUBLISH_MAX)),
            format!("`previewPayload` in one request | {PREVIEWS_PER_REQUEST_MAX} |"),
            format!("the first {PROBLEMS_MAX} of it"),
            format!("| {} MiB, each as often as it is shown", ANSWER_BYTES_MAX / (1024 * 1024)),
            format!("| {}, {} MiB in all", written(RECORDS_READ_MAX), RECORD_BYTES_READ_MAX / (1024 * 1024)),
        ] {
            assert!(text.contains(&told), "{told}");
        }
    }
}
