//! The limits of one token, and of strangers, over HTTP, WebSocket and event streams.

use crate::rig::socket::{PROTOCOL, Socket, hear, initialised, open, say, subscribe};
use crate::rig::{PATIENCE, Rig, TOKEN, start, within};
use axum::body::Body;
use axum::http::Request;
use hookgraph_server::http::{LargePlace, router};
use hookgraph_server::limits::{LARGE_BYTES_KEPT_MAX, LARGE_BYTES_OF_ONE_KEPT_MAX, LARGE_REQUEST_BYTES_MIN};
use hookgraph_server::shares::Holder;
use reqwest::{Client, RequestBuilder, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower::ServiceExt;

fn client() -> Client {
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap()
}

pub fn post(rig: &Rig, query: &str) -> RequestBuilder {
    client().post(rig.url("/graphql")).bearer_auth(TOKEN).json(&json!({ "query": query }))
}

pub fn stream(rig: &Rig, query: &str) -> RequestBuilder {
    post(rig, query).header("accept", "text/event-stream")
}

/// Asserts that the answer is the refusal of that limit.
async fn assert_exceeded(answer: Response, limit: &str) {
    assert_eq!(answer.status(), 429);
    let retry_after = answer.headers()["retry-after"].to_str().unwrap().parse::<u64>().unwrap();
    assert!((1..=60).contains(&retry_after), "{retry_after}");
    assert!(answer.headers().contains_key("x-request-id"));
    let body: Value = answer.json().await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
    assert!(body["errors"][0]["message"].as_str().unwrap().contains(limit), "{body}");
    assert!(body.get("data").is_none());
}

#[tokio::test]
async fn requests_of_a_token_are_paced_over_every_transport_together() {
    let rig = start(&[("token_requests_per_s_max", "1"), ("token_requests_burst_max", "4")]).await;
    assert_eq!(post(&rig, "{ hello }").send().await.unwrap().status(), 200);
    assert_eq!(stream(&rig, "{ hello }").send().await.unwrap().status(), 200);
    let mut socket = initialised(&rig).await;
    for id in ["a", "b"] {
        say(&mut socket, subscribe(id, "subscription { quiet }")).await;
    }
    say(&mut socket, subscribe("c", "subscription { quiet }")).await;
    let refused = hear(&mut socket).await;
    assert_eq!((&refused["id"], &refused["type"]), (&json!("c"), &json!("error")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
    let limit = "token_requests_per_s_max";
    assert_exceeded(post(&rig, "{ hello }").send().await.unwrap(), limit).await;
    assert_exceeded(stream(&rig, "{ hello }").send().await.unwrap(), limit).await;
    let sdl = client().get(rig.url("/schema.graphql")).bearer_auth(TOKEN);
    assert_exceeded(sdl.send().await.unwrap(), limit).await;
    rig.clock.advance_ms(999);
    assert_exceeded(post(&rig, "{ hello }").send().await.unwrap(), limit).await;
    rig.clock.advance_ms(1);
    assert_eq!(post(&rig, "{ hello }").send().await.unwrap().status(), 200);
    assert_exceeded(post(&rig, "{ hello }").send().await.unwrap(), limit).await;
    // The connection lives on, and its operations with it.
    rig.clock.advance_ms(1_000);
    say(&mut socket, subscribe("c", "{ hello }")).await;
    assert_eq!(hear(&mut socket).await["payload"]["data"]["hello"], "hello you");
}

#[tokio::test]
async fn connections_of_a_token_are_bounded_over_websockets_and_event_streams_together() {
    let rig = start(&[("token_connections_max", "2")]).await;
    let first = initialised(&rig).await;
    let second = stream(&rig, "subscription { quiet }").send().await.unwrap();
    assert_eq!(second.status(), 200);
    assert_exceeded(stream(&rig, "subscription { quiet }").send().await.unwrap(), "token_connections_max").await;
    let mut third = open(&rig, &[PROTOCOL]).await.unwrap();
    let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {TOKEN}") } });
    say(&mut third, init.clone()).await;
    let closed = hear(&mut third).await;
    assert_eq!(closed["close"], 1013, "a code after which clients try again");
    assert!(closed["reason"].as_str().unwrap().contains("token_connections_max"), "{closed}");
    assert_eq!(post(&rig, "{ hello }").send().await.unwrap().status(), 200, "a request is no connection");
    drop(first);
    // The place is free as soon as the server sees that the client has gone.
    let free = async {
        loop {
            let mut again = open(&rig, &[PROTOCOL]).await.unwrap();
            say(&mut again, init.clone()).await;
            if hear(&mut again).await["type"] == "connection_ack" {
                return;
            }
        }
    };
    within(PATIENCE, "the place of a client that has gone", free).await;
}

#[tokio::test]
async fn subscriptions_of_a_token_are_bounded_over_all_of_its_connections() {
    let rig = start(&[("token_subscriptions_max", "2")]).await;
    let mut one = initialised(&rig).await;
    let mut other = initialised(&rig).await;
    say(&mut one, subscribe("a", "subscription { quiet }")).await;
    // This message is answered, so the one before it has been taken.
    say(&mut one, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut one).await["type"], "pong");
    let open = stream(&rig, "subscription { quiet }").send().await.unwrap();
    assert_eq!(open.status(), 200);
    say(&mut other, subscribe("a", "subscription { quiet }")).await;
    let refused = hear(&mut other).await;
    assert_eq!(refused["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
    assert!(refused["payload"][0]["message"].as_str().unwrap().contains("token_subscriptions_max"));
    assert_exceeded(stream(&rig, "subscription { quiet }").send().await.unwrap(), "token_subscriptions_max").await;
    // An operation that ends makes room at once.
    say(&mut one, json!({ "type": "complete", "id": "a" })).await;
    say(&mut one, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut one).await["type"], "pong");
    say(&mut other, subscribe("b", "{ hello }")).await;
    assert_eq!(hear(&mut other).await["type"], "next");
}

/// A document with so much text behind the query that its request is large.
fn large(query: &str) -> String {
    format!("{query} #{}", "x".repeat(LARGE_REQUEST_BYTES_MIN))
}

/// All the room for large requests that one holder may have. Nobody waits for so much.
async fn room_of(rig: &Rig, holder: u128) -> Option<LargePlace> {
    rig.state.large_requests.place(Holder(holder), LARGE_BYTES_OF_ONE_KEPT_MAX).await.ok().flatten()
}

/// The whole room, taken by as many holders as may have it, where nobody has any of it.
async fn whole_room(rig: &Rig) -> Option<Vec<LargePlace>> {
    let mut places = Vec::new();
    for holder in 1..=LARGE_BYTES_KEPT_MAX / LARGE_BYTES_OF_ONE_KEPT_MAX {
        places.push(room_of(rig, holder as u128).await?);
    }
    Some(places)
}

async fn room_is_free_again(rig: &Rig) {
    let free = async {
        while whole_room(rig).await.is_none() {
            tokio::task::yield_now().await;
        }
    };
    within(PATIENCE, "the room for large requests", free).await;
}

pub async fn assert_unavailable(request: RequestBuilder) {
    let refused = request.send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "1"));
    let body: Value = refused.json().await.unwrap();
    assert_eq!(body["errors"][0]["extensions"]["code"], "UNAVAILABLE");
}

pub async fn assert_unavailable_over(socket: &mut Socket, message: Value) {
    say(socket, message).await;
    let refused = hear(socket).await;
    assert_eq!((&refused["id"], &refused["type"]), (&json!("a"), &json!("error")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "UNAVAILABLE");
}

/// Asserts that no large request is taken over any transport, and answers the URL of one by GET.
async fn assert_large_are_refused(rig: &Rig, socket: &mut Socket) -> url::Url {
    let url = url::Url::parse_with_params(&rig.url("/graphql"), [("query", large("{ hello }"))]).unwrap();
    for request in [
        post(rig, &large("{ hello }")),
        client().get(url.clone()).bearer_auth(TOKEN),
        client().get(url.clone()).bearer_auth(TOKEN).header("accept", "text/event-stream"),
        stream(rig, &large("{ hello }")),
        stream(rig, &large("subscription { quiet }")),
    ] {
        assert_unavailable(request).await;
    }
    for query in ["{ hello }", "subscription { quiet }"] {
        assert_unavailable_over(socket, subscribe("a", &large(query))).await;
    }
    url
}

#[tokio::test]
async fn large_requests_of_a_token_have_a_part_of_the_room_over_every_transport_together() {
    let rig = start(&[]).await;
    // The rig's token is the holder of that number.
    let own = room_of(&rig, 0).await;
    assert!(own.is_some());
    let mut socket = initialised(&rig).await;
    assert_large_are_refused(&rig, &mut socket).await;
    assert!(room_of(&rig, 1).await.is_some(), "others have theirs");
    drop(own);
    assert_eq!(post(&rig, &large("{ hello }")).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_short_request_for_a_long_document_needs_the_place_of_the_document_over_every_transport() {
    let rig = start(&[]).await;
    let text = large("{ hello }");
    let sha256 = hex::encode(hookgraph_server::auth::sha256(&text));
    let extensions = json!({ "persistedQuery": { "version": 1, "sha256Hash": sha256 } });
    let named = json!({ "extensions": extensions });
    let sent = |body: &Value| client().post(rig.url("/graphql")).bearer_auth(TOKEN).json(body);
    for body in [json!({ "query": text, "extensions": extensions }), named.clone()] {
        assert_eq!(sent(&body).send().await.unwrap().status(), 200);
    }
    let taken = whole_room(&rig).await;
    assert!(taken.is_some());
    let by_get = url::Url::parse_with_params(&rig.url("/graphql"), [("extensions", extensions.to_string())]).unwrap();
    assert_unavailable(sent(&named)).await;
    assert_unavailable(sent(&named).header("accept", "text/event-stream")).await;
    assert_unavailable(client().get(by_get).bearer_auth(TOKEN)).await;
    let mut socket = initialised(&rig).await;
    let message = json!({ "id": "a", "type": "subscribe", "payload": named });
    assert_unavailable_over(&mut socket, message.clone()).await;
    assert_eq!(post(&rig, "{ hello }").send().await.unwrap().status(), 200);
    drop(taken);
    say(&mut socket, message).await;
    assert_eq!(hear(&mut socket).await["payload"]["data"]["hello"], "hello you");
}

#[tokio::test]
async fn large_requests_have_their_room_over_every_transport_together() {
    let rig = start(&[]).await;
    let taken = whole_room(&rig).await;
    assert!(taken.is_some());
    let mut socket = initialised(&rig).await;
    let url = assert_large_are_refused(&rig, &mut socket).await;
    // Small requests need none of the room.
    assert_eq!(post(&rig, "{ hello }").send().await.unwrap().status(), 200);
    say(&mut socket, subscribe("a", "{ hello }")).await;
    assert_eq!(hear(&mut socket).await["type"], "next");
    assert_eq!(hear(&mut socket).await["type"], "complete");
    drop(taken);
    for request in [post(&rig, &large("{ hello }")), client().get(url).bearer_auth(TOKEN)] {
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    let streamed = stream(&rig, &large("{ hello }")).send().await.unwrap().text().await.unwrap();
    assert!(streamed.contains("hello you"), "{streamed}");
    say(&mut socket, subscribe("a", &large("{ hello }"))).await;
    assert_eq!(hear(&mut socket).await["payload"]["data"]["hello"], "hello you");
}

#[tokio::test]
async fn a_large_query_keeps_its_place_while_it_runs_and_a_subscription_while_it_is_read() {
    let rig = start(&[]).await;
    // The head of the answer says that the request was taken.
    let running = stream(&rig, &large("{ never }")).send().await.unwrap();
    assert!(whole_room(&rig).await.is_none());
    drop(running);
    room_is_free_again(&rig).await;
    let quiet = stream(&rig, &large("subscription { quiet }")).send().await.unwrap();
    assert_eq!(quiet.status(), 200);
    assert!(whole_room(&rig).await.is_some());

    let mut socket = initialised(&rig).await;
    for (id, query, has_room) in [("a", "{ never }", false), ("b", "subscription { quiet }", true)] {
        say(&mut socket, subscribe(id, &large(query))).await;
        // This message is answered, so the one before it has been taken.
        say(&mut socket, json!({ "type": "ping" })).await;
        assert_eq!(hear(&mut socket).await["type"], "pong");
        assert_eq!(whole_room(&rig).await.is_some(), has_room, "{query}");
        say(&mut socket, json!({ "type": "complete", "id": id })).await;
        room_is_free_again(&rig).await;
    }
}

#[tokio::test]
async fn a_client_that_does_not_take_its_answer_keeps_no_place() {
    let rig = start(&[]).await;
    let untaken = untaken(&rig, "text/event-stream", &large("{ hello }")).await;
    room_is_free_again(&rig).await;
    drop(untaken);
}

/// The body of an answer to a client that takes none of it yet.
pub async fn untaken(rig: &Rig, accept: &str, query: &str) -> Body {
    let request = Request::post("/graphql")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("content-type", "application/json")
        .header("accept", accept)
        .body(Body::from(json!({ "query": query }).to_string()));
    let answer = router(rig.state.clone()).oneshot(request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.into_body()
}

#[tokio::test]
async fn a_full_server_says_when_to_come_again() {
    let rig = start(&[("websocket_connections_max", "1")]).await;
    let _open = initialised(&rig).await;
    let refused = stream(&rig, "subscription { quiet }").send().await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "1"));
}

/// The bytes that the server says until it closes the connection.
async fn said(mut stream: TcpStream) -> Vec<u8> {
    let mut said = Vec::new();
    // A reset is a close as well.
    let _ = within(PATIENCE, "the end of a connection", stream.read_to_end(&mut said)).await;
    said
}

/// The bytes that the server says to those first words until it closes the connection. A machine may be so slow that
/// the words come when the server waits for no more; they are then said again.
async fn said_to(rig: &Rig, words: &[u8]) -> Vec<u8> {
    let said = async {
        loop {
            let mut stream = TcpStream::connect(rig.address).await.unwrap();
            let _ = stream.write_all(words).await;
            let said = said(stream).await;
            if !said.is_empty() {
                return said;
            }
        }
    };
    within(PATIENCE, "an answer to words that are said in time", said).await
}

#[tokio::test]
async fn a_stranger_who_sends_no_whole_head_is_not_waited_for() {
    let rig = start(&[("http_idle_ms_max", "100")]).await;
    for begun in ["", "GET", "P", "PRI * HTTP/2.0\r\n", "GET /healthz HTTP/1.1\r\nhost: a\r\nx-slow: "] {
        let mut stranger = TcpStream::connect(rig.address).await.unwrap();
        stranger.write_all(begun.as_bytes()).await.unwrap();
        let said = said(stranger).await;
        assert!(!said.starts_with(b"HTTP/1.1 200"), "{begun:?}");
    }
    // The server does not wait either for a client that was answered and then says nothing.
    let answer = said_to(&rig, b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await;
    assert!(answer.starts_with(b"HTTP/1.1 200"));
}

/// Kinds of frames of HTTP/2, and the flag of a ping that answers another.
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const ACK: u8 = 1;

/// The kinds of the frames that the server sends, until it closes the connection, to a client of HTTP/2 that does no
/// more than to answer pings.
async fn frames_to_an_idle_client(rig: &Rig) -> Vec<u8> {
    let mut stranger = TcpStream::connect(rig.address).await.unwrap();
    // Its first words, and settings of which none is said.
    let _ = stranger.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    let (mut kinds, mut head) = (Vec::new(), [0; 9]);
    while stranger.read_exact(&mut head).await.is_ok() {
        kinds.push(head[3]);
        let mut payload = vec![0; usize::from(u16::from_be_bytes([head[1], head[2]]))];
        let is_whole = stranger.read_exact(&mut payload).await.is_ok();
        if is_whole && (head[3], head[4]) == (PING, 0) {
            head[4] = ACK;
            let _ = stranger.write_all(&[&head[..], &payload].concat()).await;
        }
    }
    kinds
}

#[tokio::test]
async fn a_stranger_who_speaks_http_2_and_does_no_more_than_answer_pings_is_not_waited_for() {
    let rig = start(&[("http_idle_ms_max", "100")]).await;
    let heard = async {
        loop {
            // To a client that stalls before its first words nothing is said: it says them again.
            let kinds = frames_to_an_idle_client(&rig).await;
            if !kinds.is_empty() {
                return kinds;
            }
        }
    };
    let kinds = within(PATIENCE, "the end of an idle connection over HTTP/2", heard).await;
    assert_eq!(kinds[0], SETTINGS, "{kinds:?}");
    assert!(kinds.contains(&GOAWAY) || kinds.contains(&PING), "{kinds:?}");
}

/// Reads one answer, whose head says how long its body is, and tells its status.
async fn answered(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_lowercase();
    let length = head.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next()).unwrap();
    let mut body = vec![0; length.parse::<usize>().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    head["http/1.1 ".len()..][..3].to_owned()
}

#[tokio::test]
async fn a_body_that_is_answered_before_its_end_may_be_sent_to_it_on_a_connection_that_lives_on() {
    let rig = start(&[("http_body_bytes_max", "1024")]).await;
    let body = vec![b' '; 4 * 1024 * 1024];
    let token = format!("authorization: Bearer {TOKEN}\r\n");
    let json = "content-type: application/json\r\n";
    for (path, headers, status) in [
        ("/graphql", String::new(), "401"),
        ("/graphql", token.clone(), "415"),
        ("/graphql", format!("{token}{json}"), "413"),
        ("/graphql", format!("{token}{json}accept: text/html\r\n"), "406"),
        ("/nowhere", String::new(), "404"),
    ] {
        let mut stream = TcpStream::connect(rig.address).await.unwrap();
        let length = body.len();
        let head = format!("POST {path} HTTP/1.1\r\nhost: a\r\n{headers}content-length: {length}\r\n\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body[..2_048]).await.unwrap();
        let told = within(PATIENCE, "an answer before the end of a body", answered(&mut stream)).await;
        assert_eq!(told, status, "{path} {headers}");
        stream.write_all(&body[2_048..]).await.unwrap();
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
        let told = within(PATIENCE, "the next answer", answered(&mut stream)).await;
        assert_eq!(told, "200", "{path} {headers}");
    }
}

/// Waits for a place for one more connection.
async fn answers_again(rig: &Rig) {
    let free = async { while client().get(rig.url("/healthz")).send().await.is_err() {} };
    within(PATIENCE, "the place of a connection that has gone", free).await;
}

#[tokio::test]
async fn connections_beyond_the_limit_are_closed_at_once_and_those_before_go_on() {
    let rig = start(&[("http_connections_max", "2")]).await;
    let first = TcpStream::connect(rig.address).await.unwrap();
    let mut second = TcpStream::connect(rig.address).await.unwrap();
    second.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let mut answer = [0; 12];
    within(PATIENCE, "an answer", second.read_exact(&mut answer)).await.unwrap();
    assert_eq!(&answer, b"HTTP/1.1 200");
    let third = TcpStream::connect(rig.address).await.unwrap();
    assert!(said(third).await.is_empty());
    drop(first);
    answers_again(&rig).await;
}

#[tokio::test]
async fn a_connection_that_became_a_websocket_leaves_its_place_to_others() {
    let rig = start(&[("http_connections_max", "1")]).await;
    let mut socket = initialised(&rig).await;
    answers_again(&rig).await;
    say(&mut socket, subscribe("a", "{ hello }")).await;
    assert_eq!(hear(&mut socket).await["type"], "next");
}
