//! Saved requests: HTTP/1.1 as text, as proxies and `nc` write it, or JSON.

use anyhow::{Context, bail, ensure};
use serde_json::Value;

/// A request as a receiver got it.
#[derive(Debug, PartialEq, Eq)]
pub struct SavedRequest {
    /// The method in upper case.
    pub method: String,
    /// What was called, as the saved request names it: a whole URL, or its path and query.
    pub target: Option<String>,
    /// The headers in their order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The bytes of the body.
    pub body: Vec<u8>,
}

impl SavedRequest {
    /// Reads a file's content.
    ///
    /// # Errors
    /// The fault of the content.
    pub fn read(content: &[u8]) -> anyhow::Result<Self> {
        let starts_with_brace = content.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{');
        if starts_with_brace { read_json(content) } else { read_http(content) }
    }
}

fn read_http(content: &[u8]) -> anyhow::Result<SavedRequest> {
    let mut rest = content;
    let start = next_line(&mut rest)?.context("the request is empty")?;
    let mut parts = start.split_ascii_whitespace();
    let (Some(method), Some(target)) = (parts.next(), parts.next()) else {
        bail!("the first line is {start:?}, not a request line such as POST / HTTP/1.1");
    };
    ensure!(
        parts.next().is_some_and(|version| version.starts_with("HTTP/")) && parts.next().is_none(),
        "the first line is {start:?}, not a request line such as POST / HTTP/1.1"
    );
    let mut headers = Vec::new();
    while let Some(line) = next_line(&mut rest)?.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').with_context(|| format!("{line:?} is not a header"))?;
        headers.push((name.trim().to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length").map(|(_, value)| value.parse::<usize>());
    let body = match length.transpose().context("content-length is not a number")? {
        Some(length) => {
            ensure!(rest.len() >= length, "the body has {} bytes, content-length says {length}", rest.len());
            &rest[..length]
        }
        None => rest,
    };
    let target = Some(target.to_owned());
    Ok(SavedRequest { method: method.to_ascii_uppercase(), target, headers, body: body.to_vec() })
}

/// The next line without its end; none at the end of the content.
fn next_line<'a>(rest: &mut &'a [u8]) -> anyhow::Result<Option<&'a str>> {
    if rest.is_empty() {
        return Ok(None);
    }
    let (line, after) = match rest.iter().position(|byte| *byte == b'\n') {
        Some(at) => (&rest[..at], &rest[at + 1..]),
        None => (*rest, &rest[rest.len()..]),
    };
    *rest = after;
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    std::str::from_utf8(line).map(Some).context("the head of the request is not UTF-8")
}

fn read_json(content: &[u8]) -> anyhow::Result<SavedRequest> {
    let mut value: Value = serde_json::from_slice(content).context("the file is not well-formed JSON")?;
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    let body = match value["body"].take() {
        Value::Null => Vec::new(),
        Value::String(body) => body.into_bytes(),
        _ => bail!("\"body\" is not the body's text: a parsed body is not what was signed"),
    };
    Ok(SavedRequest {
        method: text(&value, "method").context("\"method\" is missing")?.to_ascii_uppercase(),
        target: text(&value, "url"),
        headers: json_headers(&value["headers"])?,
        body,
    })
}

/// Headers as an object, as a list of pairs, or as a list of objects with `name` and `value`.
fn json_headers(headers: &Value) -> anyhow::Result<Vec<(String, String)>> {
    let pair = |name: &Value, value: &Value| match (name.as_str(), value.as_str()) {
        (Some(name), Some(value)) => Ok((name.to_ascii_lowercase(), value.to_owned())),
        _ => bail!("\"headers\" has a name or value that is not a text"),
    };
    match headers {
        Value::Object(headers) => headers.iter().map(|(name, value)| pair(&name.as_str().into(), value)).collect(),
        Value::Array(headers) => headers
            .iter()
            .map(|header| match header {
                Value::Array(parts) if parts.len() == 2 => pair(&parts[0], &parts[1]),
                header => pair(&header["name"], &header["value"]),
            })
            .collect(),
        _ => bail!("\"headers\" is missing"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn http_text_and_the_forms_of_json_read_alike() {
        let http = b"post /hook HTTP/1.1\r\nHost: a.example\r\nWebhook-Id: 7\r\ncontent-length: 2\r\n\r\n{}\n";
        let read = SavedRequest::read(http).unwrap();
        assert_eq!((read.method.as_str(), read.target.as_deref()), ("POST", Some("/hook")));
        assert_eq!(read.body, b"{}");
        assert!(read.headers.contains(&("webhook-id".to_owned(), "7".to_owned())));
        for headers in [r#"{"Webhook-Id":"7"}"#, r#"[["webhook-id","7"]]"#, r#"[{"name":"webhook-id","value":"7"}]"#] {
            let json = format!(r#" {{"method":"POST","url":"https://a.example/","headers":{headers},"body":"{{}}"}}"#);
            let read = SavedRequest::read(json.as_bytes()).unwrap();
            assert_eq!(read.headers, [("webhook-id".to_owned(), "7".to_owned())]);
            assert_eq!((read.target.as_deref(), read.body.as_slice()), (Some("https://a.example/"), b"{}".as_slice()));
        }
    }

    #[test]
    fn what_is_no_request_is_refused_with_what_is_wrong() {
        let cases = [
            ("", "empty"),
            ("hello", "request line"),
            ("POST / HTTP/1.1\nnonsense\n\n", "not a header"),
            ("POST / HTTP/1.1\ncontent-length: 9\n\n{}", "content-length says 9"),
            ("{", "well-formed"),
            (r#"{"headers":{}}"#, "\"method\" is missing"),
            (r#"{"method":"POST","headers":{},"body":{}}"#, "not the body's text"),
            (r#"{"method":"POST"}"#, "\"headers\" is missing"),
        ];
        for (content, wanted) in cases {
            let error = SavedRequest::read(content.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(wanted), "{content:?}: {error}");
        }
    }
}
