//! Bounds of the schemas, by name, with their unit as the last word and their reason. Those of webhooks and payloads that
//! other crates need too are in [`hookgraph_domain::limits`].

/// What a document may cost before anything but a linear scan looks at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentLimits {
    /// Its text.
    pub bytes_max: usize,
    /// Its tokens.
    pub tokens_max: usize,
    /// Brackets of any kind within each other: what recursive parsers can do on a worker's stack.
    pub nesting_max: usize,
    /// Fields within each other, fragments spread.
    pub depth_max: u32,
    /// Fields, fragments spread, those beneath a page counted once for each of its places.
    pub complexity_max: u32,
    /// Whether a list that is no page counts as many places too.
    pub weighs_plain_lists: bool,
    /// Fields, fragments spread, those beneath a page or a plain list counted once: what validators and the executor go through.
    pub fields_max: u32,
    /// Aliases, fragments spread.
    pub aliases_max: u32,
    /// Operations, of which one runs: each is judged by itself.
    pub operations_max: usize,
    /// How often one selection set may ask for the same response key.
    pub repeats_max: usize,
    /// Lists of the schema's own description within each other, e.g. `fields` of the type of `fields`.
    pub introspection_lists_max: u32,
    /// Directives at one field or fragment: the specification has two for them.
    pub directives_max: usize,
}

/// A payload query: rendered once for every event, so it may cost less than a call.
pub const PAYLOAD_DOCUMENT: DocumentLimits = DocumentLimits {
    bytes_max: hookgraph_domain::limits::DOCUMENT_BYTES_MAX,
    tokens_max: 4_000,
    nesting_max: 60,
    depth_max: 20,
    complexity_max: 5_000,
    // No weight may make a stored one invalid; what a render reads is bounded as it is read.
    weighs_plain_lists: false,
    fields_max: 5_000,
    aliases_max: 100,
    operations_max: 1,
    repeats_max: 100,
    // Its shape allows no introspection at all.
    introspection_lists_max: 2,
    directives_max: 4,
};

/// A call of an API. Deep enough for the introspection query of every client that we know of.
pub const CALL_DOCUMENT: DocumentLimits = DocumentLimits {
    bytes_max: 128 * 1024,
    tokens_max: 12_000,
    nesting_max: 80,
    depth_max: 30,
    complexity_max: 50_000,
    weighs_plain_lists: true,
    // Written by people, a document has some hundreds.
    fields_max: 4_000,
    aliases_max: 100,
    // Editors send a whole tab of them.
    operations_max: 20,
    repeats_max: 100,
    // What clients send has one; graphql-js allows two as well.
    introspection_lists_max: 2,
    directives_max: 4,
};

/// What one render may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RenderLimits {
    /// Its time.
    pub render_ms_max: u64,
}

/// A render of a payload.
pub const RENDER: RenderLimits = RenderLimits { render_ms_max: hookgraph_domain::limits::RENDER_MS_MAX };

/// Text of payloads and attempts that one answer shows, in bytes, each as often as it is shown: a payload may be asked for a
/// hundred times over on each of a hundred deliveries. A page of 100 deliveries with payloads of 32 KiB, and with three attempts
/// that sent them and got 16 KiB back, shows 18 MiB; parsed, a payload takes some ten times as much memory.
pub const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Deliveries whose payloads or attempts are read at once: each payload, and what each attempt sent, may have a MiB, and so many
/// are in memory before it shows that they are too many.
pub const TEXT_BATCH_DELIVERIES_MAX: usize = 10;
/// Attempts to a webhook that are read at once: what each sent may have a MiB, and is left out of what is kept in memory.
pub const TEXT_BATCH_ATTEMPTS_MAX: u32 = 25;
/// Errors of one answer: an answer must not grow with what a document gets wrong.
pub const ERRORS_MAX: usize = 50;
/// A word of a document that an error quotes, in characters.
pub const WORD_SHOWN_CHARS_MAX: usize = 40;
/// What an error tells of a value that is none of its scalar, in characters.
pub const VALUE_SHOWN_CHARS_MAX: usize = 300;
/// What a document that is kept takes whatever is in it, in bytes of memory: its tables, and its place in the cache.
pub const KEPT_DOCUMENT_BYTES: usize = 4 * 1024;
/// What a word of a kept document takes, in bytes of memory: at most that of a field, which is a node of the validator and
/// one of the executor.
pub const KEPT_WORD_BYTES: usize = 512;
/// How many times a kept document has its text: as it was read, and in the values of both.
pub const KEPT_TEXT_TIMES: usize = 4;
/// Documents whose proof is remembered for calls that send them again, in bytes of memory as estimated; for each schema.
pub const PROVEN_BYTES_MAX: u64 = 64 * 1024 * 1024;
/// Payload queries that are kept parsed, in bytes of memory as estimated.
pub const PREPARED_BYTES_MAX: u64 = 128 * 1024 * 1024;
/// How often a mutation is decided again when what it read changed meanwhile.
pub const CONFLICT_RETRIES_MAX: u32 = 8;
/// Past invocations where the caller names no limit, as the PIM API has it.
pub const INVOCATIONS_DEFAULT: i32 = 50;
/// Past invocations of one answer.
pub const INVOCATIONS_MAX: u32 = 100;
/// Entries that a subscription reads at once: what a slow subscriber holds in memory.
pub const FEED_PAGE_ENTRIES_MAX: u32 = 50;
/// How long a subscription whose feed cannot be read waits before it tries again, in milliseconds.
pub const FEED_RETRY_MS: u64 = 1_000;
/// Webhooks that are checked again at a time when the schema changed.
pub const RECHECK_BATCH_MAX: u32 = 100;
/// Attempts that the health of a webhook is told from.
pub const HEALTH_ATTEMPTS_MAX: u32 = 100;
/// A backlog is counted no further than this.
pub const BACKLOG_COUNT_MAX: u32 = 10_000;
/// How often the subscription to a replay looks at it, in milliseconds.
pub const REPLAY_POLL_MS: u64 = 1_000;
/// Webhooks of a list that is asked for without a number: the oldest after its beginning.
pub const WEBHOOKS_LIST_MAX: u32 = 1_000;
/// Previews that one request may ask for: each may take the time and the bytes of a whole render.
pub const PREVIEWS_PER_REQUEST_MAX: usize = 5;
/// Tokens of a tenant that are valid at a time.
pub const TOKENS_VALID_MAX: usize = 200;
/// Tokens of a list that is asked for without a number: the latest before its beginning.
pub const TOKENS_LIST_MAX: u32 = 1_000;
/// The name of a token, in characters.
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
