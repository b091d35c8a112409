//! Content negotiation as GraphQL over HTTP says: <https://graphql.github.io/graphql-over-http/draft/>.

use super::answer::MediaType;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, header};

/// One range of an `accept` header.
struct Range<'a> {
    main: &'a str,
    sub: &'a str,
    is_utf8: bool,
    quality: f32,
}

impl Range<'_> {
    /// How closely the range names the type: 2 exactly, 1 as `type/*`, 0 as `*/*`.
    fn closeness(&self, main: &str, sub: &str) -> Option<u8> {
        match (self.main, self.sub) {
            _ if !self.is_utf8 => None,
            ("*", "*") => Some(0),
            (range_main, "*") if range_main.eq_ignore_ascii_case(main) => Some(1),
            (range_main, range_sub) if range_main.eq_ignore_ascii_case(main) && range_sub.eq_ignore_ascii_case(sub) => {
                Some(2)
            }
            _ => None,
        }
    }
}

fn ranges(accept: &str) -> impl Iterator<Item = Range<'_>> {
    accept.split(',').filter_map(|item| {
        let mut parts = item.split(';').map(str::trim);
        let (main, sub) = parts.next()?.split_once('/')?;
        let mut range = Range { main, sub, is_utf8: true, quality: 1.0 };
        for parameter in parts {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            match name.trim().to_ascii_lowercase().as_str() {
                "q" => range.quality = value.parse().unwrap_or(0.0),
                "charset" => range.is_utf8 = matches!(value.to_ascii_lowercase().as_str(), "utf-8" | "utf8"),
                _ => {}
            }
        }
        Some(range)
    })
}

/// How much a type is wanted: the quality of the closest range.
fn quality(accept: &str, main: &str, sub: &str) -> f32 {
    ranges(accept)
        .filter_map(|range| Some((range.closeness(main, sub)?, range.quality)))
        .max_by_key(|(closeness, _)| *closeness)
        .map_or(0.0, |(_, quality)| quality)
}

fn accept(headers: &HeaderMap) -> Option<String> {
    let values: Vec<_> = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

/// The type in which to answer; none where the caller takes neither. A caller that does not say gets
/// `application/json`; one that wants both alike gets the newer type.
pub fn answer_type(headers: &HeaderMap) -> Option<MediaType> {
    let Some(accept) = accept(headers) else { return Some(MediaType::Json) };
    let response = quality(&accept, "application", "graphql-response+json");
    let json = quality(&accept, "application", "json");
    let names_response = ranges(&accept).any(|range| range.sub.eq_ignore_ascii_case("graphql-response+json"));
    match (response > 0.0, json > 0.0) {
        (false, false) => None,
        (true, false) => Some(MediaType::GraphqlResponse),
        (false, true) => Some(MediaType::Json),
        (true, true) if response > json || (response >= json && names_response) => Some(MediaType::GraphqlResponse),
        (true, true) => Some(MediaType::Json),
    }
}

/// Whether the body is sent uncompressed.
pub fn is_plain_body(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::CONTENT_ENCODING)
        .iter()
        .all(|encoding| encoding.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Whether the caller wants an event stream more than one answer.
pub fn wants_events(headers: &HeaderMap) -> bool {
    let Some(accept) = accept(headers) else { return false };
    let names_events = ranges(&accept).any(|range| range.closeness("text", "event-stream") == Some(2));
    let wanted = quality(&accept, "text", "event-stream");
    names_events
        && wanted > 0.0
        && wanted >= quality(&accept, "application", "json")
        && wanted >= quality(&accept, "application", "graphql-response+json")
}

/// Whether a person opened the address: a GET without a query, whose sender wants a page more than JSON.
pub fn is_browser(request: &Request) -> bool {
    let has_query = request.uri().query().is_some_and(|query| {
        url::form_urlencoded::parse(query.as_bytes())
            .any(|(name, _)| matches!(&*name, "query" | "documentId" | "extensions"))
    });
    let Some(accept) = accept(request.headers()) else { return false };
    let names_html = ranges(&accept).any(|range| range.closeness("text", "html") == Some(2));
    request.method() == Method::GET
        && !has_query
        && names_html
        && quality(&accept, "text", "html") > quality(&accept, "application", "json")
}

/// Whether the body says that it is JSON in UTF-8.
pub fn is_json_body(headers: &HeaderMap) -> bool {
    let Some(content_type) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    ranges(content_type).next().is_some_and(|range| range.closeness("application", "json") == Some(2))
}
