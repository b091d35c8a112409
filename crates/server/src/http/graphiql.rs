//! GraphiQL, served from the binary: the page asks no other host.

use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "assets/graphiql/"]
struct Assets;

/// The page refers to its own host only, and no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
                      font-src 'self' data:; connect-src 'self' ws: wss:; frame-ancestors 'none'; base-uri 'none'";

/// The page for the schema at that path.
pub fn page(endpoint: &str) -> Response {
    let Some(page) = Assets::get("page.html") else { return StatusCode::NOT_FOUND.into_response() };
    let page = String::from_utf8_lossy(&page.data).replace("{{endpoint}}", endpoint);
    let headers = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::VARY, "accept"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, Html(page)).into_response()
}

/// One of the page's files.
pub async fn asset(Path(file): Path<String>) -> Response {
    let content_type = match file.rsplit_once('.') {
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "css")) => "text/css; charset=utf-8",
        None if file == "LICENSES" => "text/plain; charset=utf-8",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let headers = [(header::CONTENT_TYPE, content_type), (header::CACHE_CONTROL, "public, max-age=3600")];
    if let Some(plain) = Assets::get(&file) {
        return (headers, plain.data.into_owned()).into_response();
    }
    match Assets::get(&format!("{file}.gz")) {
        Some(zipped) => (headers, [(header::CONTENT_ENCODING, "gzip")], zipped.data.into_owned()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}
