//! Connections over streams in memory, where the clock stands unless everything waits for it; and over sockets, where
//! connections are counted.

use super::*;
use crate::limits::{ANSWER_PART_BYTES_MAX, UNTAKEN_MS_MAX};
use axum::body::Body;
use axum::extract::ws::WebSocketUpgrade;
use axum::routing::get;
use bytes::Bytes;
use futures::{StreamExt, stream};
use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Weak;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const IDLE_MAX: Duration = Duration::from_millis(75_000);
const UNTAKEN_MAX: Duration = Duration::from_millis(UNTAKEN_MS_MAX);
const GOING_AWAY_MAX: Duration = Duration::from_millis(GOING_AWAY_MS_MAX);
const HOUR: Duration = Duration::from_secs(3_600);

impl written::Room for DuplexStream {
    /// A stream in memory tells of all of its room.
    fn write_now(&self, _: &[u8]) -> Option<usize> {
        None
    }
}

/// A client's end of a connection that is served, and the time for which it is served.
fn opened(routes: Router, idle_max: Duration, spoken: Spoken, room: usize) -> (DuplexStream, JoinHandle<Duration>) {
    let (client, stream) = duplex(room);
    let stopping = CancellationToken::new();
    let served = Served { builder: Arc::new(builder(idle_max)), routes, idle_max, stopping };
    let descriptor = Arc::new(Semaphore::new(1)).try_acquire_owned().unwrap();
    let begun = Instant::now();
    let ended = tokio::spawn(async move {
        speak(served, spoken, Written::new(stream, descriptor)).await;
        begun.elapsed()
    });
    (client, ended)
}

/// The time for which the connection was served, which must end.
async fn served_for(ended: JoinHandle<Duration>) -> Duration {
    timeout(HOUR, ended).await.unwrap().unwrap()
}

// RFC 9113: types of frames, and flags of some.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

/// A client that speaks HTTP/2 in single frames, and answers what must be answered when it hears it.
struct Http2(DuplexStream);

impl Http2 {
    /// A client that has room for `room` bytes of each answer.
    async fn begun(mut stream: DuplexStream, room: u32) -> Self {
        stream.write_all(HTTP2_PREFACE).await.unwrap();
        let mut client = Self(stream);
        let [a, b, c, d] = room.to_be_bytes();
        // SETTINGS_INITIAL_WINDOW_SIZE
        client.say(SETTINGS, 0, 0, &[0, 4, a, b, c, d]).await;
        client
    }

    /// Sends a frame, unless the connection was closed meanwhile.
    async fn say(&mut self, kind: u8, flags: u8, stream_id: u32, payload: &[u8]) {
        let [_, high, middle, low] = u32::try_from(payload.len()).unwrap().to_be_bytes();
        let mut frame = vec![high, middle, low, kind, flags];
        frame.extend(stream_id.to_be_bytes());
        frame.extend(payload);
        let _ = self.0.write_all(&frame).await;
    }

    /// Asks for the whole of `/`.
    async fn ask(&mut self, stream_id: u32) {
        self.ask_for("/", stream_id).await;
    }

    async fn ask_for(&mut self, path: &str, stream_id: u32) {
        // HPACK: GET, http, the authority "a", and the path.
        let mut fields = vec![0x82, 0x86, 0x41, 1, b'a', 0x04, u8::try_from(path.len()).unwrap()];
        fields.extend(path.as_bytes());
        self.say(HEADERS, END_STREAM | END_HEADERS, stream_id, &fields).await;
    }

    async fn make_room(&mut self, stream_id: u32, bytes: usize) {
        self.say(WINDOW_UPDATE, 0, stream_id, &u32::try_from(bytes).unwrap().to_be_bytes()).await;
    }

    /// The type, flags and payload of the next frame; none when the connection is closed.
    async fn hear(&mut self) -> Option<(u8, u8, Vec<u8>)> {
        let (kind, flags, _, payload) = self.hear_frame().await?;
        Some((kind, flags, payload))
    }

    /// The type, flags, stream and payload of the next frame; none when the connection is closed.
    async fn hear_frame(&mut self) -> Option<(u8, u8, u32, Vec<u8>)> {
        let mut head = [0; 9];
        self.0.read_exact(&mut head).await.ok()?;
        let [high, middle, low, kind, flags, stream_id @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, high, middle, low]) as usize];
        self.0.read_exact(&mut payload).await.ok()?;
        match (kind, flags & ACK) {
            (SETTINGS, 0) => self.say(SETTINGS, ACK, 0, &[]).await,
            (PING, 0) => self.say(PING, ACK, 0, &payload).await,
            _ => {}
        }
        Some((kind, flags, u32::from_be_bytes(stream_id), payload))
    }

    /// The next stream that is reset; none when the connection is closed before.
    async fn hear_reset(&mut self) -> Option<u32> {
        loop {
            let (kind, _, stream_id, _) = self.hear_frame().await?;
            if kind == RST_STREAM {
                return Some(stream_id);
            }
        }
    }

    async fn hear_to_the_end(&mut self) {
        while self.hear().await.is_some() {}
    }

    /// The next `bytes_min` bytes of an answer at least, and the flags of the last frame of them.
    async fn hear_data(&mut self, bytes_min: usize) -> (u8, Vec<u8>) {
        let mut heard = Vec::new();
        loop {
            let (kind, flags, payload) = self.hear().await.unwrap();
            if kind == DATA {
                heard.extend(payload);
                if heard.len() >= bytes_min {
                    return (flags, heard);
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http_2_that_asks_nothing_is_not_waited_for_whether_it_answers_pings_or_not() {
    for (answers, lasts) in [(true, IDLE_MAX), (false, IDLE_MAX + GOING_AWAY_MAX)] {
        let (stream, ended) = opened(Router::new(), IDLE_MAX, Spoken::Http2, 64 * 1024);
        let mut client = Http2::begun(stream, 65_535).await;
        if answers {
            timeout(HOUR, client.hear_to_the_end()).await.unwrap();
        }
        assert_eq!(served_for(ended).await.as_millis(), lasts.as_millis());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_http_2_is_idle_from_the_end_of_its_last_answer() {
    let routes = Router::new().route("/", get(|| async { "an answer" }));
    let (stream, ended) = opened(routes, IDLE_MAX, Spoken::Http2, 64 * 1024);
    let mut client = Http2::begun(stream, 65_535).await;
    for stream_id in [1, 3] {
        sleep(IDLE_MAX - Duration::from_secs(1)).await;
        client.ask(stream_id).await;
        assert_eq!(client.hear_data(9).await, (END_STREAM, b"an answer".to_vec()));
    }
    timeout(HOUR, client.hear_to_the_end()).await.unwrap();
    let lasts = 3 * IDLE_MAX - Duration::from_secs(2);
    assert_eq!(served_for(ended).await.as_millis(), lasts.as_millis());
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http_2_that_makes_no_room_for_its_answer_is_not_waited_for() {
    let routes = Router::new().route("/", get(|| async { "an answer" }));
    let (stream, ended) = opened(routes, IDLE_MAX, Spoken::Http2, 64 * 1024);
    let mut client = Http2::begun(stream, 0).await;
    client.ask(1).await;
    timeout(HOUR, client.hear_to_the_end()).await.unwrap();
    assert_eq!(served_for(ended).await.as_millis(), UNTAKEN_MAX.as_millis());
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http_2_that_takes_a_part_of_a_small_answer_is_not_waited_for() {
    let routes = Router::new().route("/", get(|| async { "0123456789" }));
    for (taken, rest) in [(1, "123456789"), (9, "9")] {
        let (stream, ended) = opened(routes.clone(), HOUR, Spoken::Http2, 64 * 1024);
        let mut client = Http2::begun(stream, taken).await;
        let begun = Instant::now();
        client.ask(1).await;
        let taken = taken as usize;
        assert_eq!(client.hear_data(taken).await, (0, b"0123456789"[..taken].to_vec()), "{rest} is left");
        assert_eq!(timeout(HOUR, client.hear_reset()).await.unwrap(), Some(1));
        assert_eq!(begun.elapsed().as_millis(), UNTAKEN_MAX.as_millis());
        timeout(HOUR, client.hear_to_the_end()).await.unwrap();
        assert_eq!(served_for(ended).await.as_millis(), UNTAKEN_MAX.as_millis());
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_over_http_2_that_takes_no_answer_is_told_that_it_ends_and_ends_whether_it_listens_or_not() {
    for (listens, lasts) in [(true, UNTAKEN_MAX), (false, UNTAKEN_MAX + GOING_AWAY_MAX)] {
        let routes = Router::new().route("/", get(|| async { "an answer" }));
        let (stream, ended) = opened(routes, HOUR, Spoken::Http2, 64 * 1024);
        let mut client = Http2::begun(stream, 0).await;
        client.ask(1).await;
        if listens {
            let told = async { while client.hear().await.unwrap().0 != GOAWAY {} };
            timeout(HOUR, told).await.unwrap();
            timeout(HOUR, client.hear_to_the_end()).await.unwrap();
        }
        assert_eq!(served_for(ended).await.as_millis(), lasts.as_millis());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_http_2_that_is_not_taken_ends_alone_while_others_of_its_connection_go_on() {
    let begun = || stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"begun"))]).chain(stream::pending());
    let routes = Router::new()
        .route("/", get(|| async { vec![b'x'; 3 * ANSWER_PART_BYTES_MAX] }))
        .route("/events", get(move || async move { Body::from_stream(begun()) }));
    let (stream, ended) = opened(routes, IDLE_MAX, Spoken::Http2, 64 * 1024);
    // The client has room for the text of the events, and for as many bytes of the other answers.
    let mut client = Http2::begun(stream, 5).await;
    client.ask_for("/events", 1).await;
    assert_eq!(client.hear_data(5).await, (0, b"begun".to_vec()));
    let mut asked_at = Vec::new();
    for stream_id in [3, 5] {
        asked_at.push(Instant::now());
        client.ask(stream_id).await;
        assert_eq!(client.hear_data(5).await, (0, b"xxxxx".to_vec()));
        sleep(Duration::from_secs(1)).await;
    }
    for (stream_id, asked_at) in [3, 5].into_iter().zip(asked_at) {
        assert_eq!(timeout(HOUR, client.hear_reset()).await.unwrap(), Some(stream_id));
        assert_eq!(asked_at.elapsed().as_millis(), UNTAKEN_MAX.as_millis());
    }
    assert!(timeout(HOUR, client.hear_reset()).await.is_err(), "the events go on");
    drop(client);
    served_for(ended).await;
}

#[tokio::test(start_paused = true)]
async fn of_a_large_answer_over_http_2_no_more_is_kept_than_what_was_not_taken() {
    let (kept, answered) = watched(vec![b'x'; 2 * ANSWER_PART_BYTES_MAX]);
    let answered = Arc::new(parking_lot::Mutex::new(Some(answered)));
    let routes = Router::new().route("/", get(move || async move { answered.lock().take().unwrap() }));
    let (stream, _ended) = opened(routes, IDLE_MAX, Spoken::Http2, 64 * 1024);
    // The client has room for one byte of the last part.
    let mut client = Http2::begun(stream, u32::try_from(ANSWER_PART_BYTES_MAX + 1).unwrap()).await;
    client.ask(1).await;
    assert_eq!(client.hear_data(ANSWER_PART_BYTES_MAX + 1).await.1.len(), ANSWER_PART_BYTES_MAX + 1);
    sleep(Duration::from_secs(1)).await;
    assert!(kept.upgrade().is_none(), "all of it is kept for its last part");
    client.make_room(1, ANSWER_PART_BYTES_MAX).await;
    assert_eq!(client.hear_data(ANSWER_PART_BYTES_MAX - 1).await, (END_STREAM, vec![b'x'; ANSWER_PART_BYTES_MAX - 1]));
}

/// Bytes, and a reference that tells whether any of them are kept.
fn watched(bytes: Vec<u8>) -> (Weak<[u8]>, Bytes) {
    let bytes: Arc<[u8]> = bytes.into();
    (Arc::downgrade(&bytes), Bytes::from_owner(bytes))
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http_2_is_told_how_much_it_may_ask_for_at_a_time_and_of_nothing_that_is_refused() {
    let (stream, _ended) = opened(Router::new(), IDLE_MAX, Spoken::Http2, 64 * 1024);
    let mut client = Http2::begun(stream, 65_535).await;
    let said = loop {
        if let (SETTINGS, 0, said) = client.hear().await.unwrap() {
            break said;
        }
    };
    let mut settings = HashMap::new();
    for setting in said.chunks_exact(6) {
        let value = [2, 3, 4, 5].map(|at| setting[at]);
        settings.insert(u16::from_be_bytes([setting[0], setting[1]]), u32::from_be_bytes(value));
    }
    // SETTINGS_MAX_CONCURRENT_STREAMS, and SETTINGS_ENABLE_CONNECT_PROTOCOL: WebSockets over HTTP/2 (RFC 8441) are not
    // served.
    assert_eq!((settings.get(&3), settings.get(&8)), (Some(&100), None));
}

#[tokio::test(start_paused = true)]
async fn a_client_of_http_2_that_takes_its_answer_part_by_part_gets_all_of_it() {
    let routes = Router::new().route("/", get(|| async { vec![b'x'; 3 * ANSWER_PART_BYTES_MAX] }));
    let (stream, _ended) = opened(routes, IDLE_MAX, Spoken::Http2, 64 * 1024);
    let mut client = Http2::begun(stream, 0).await;
    client.ask(1).await;
    for flags in [0, 0, END_STREAM] {
        sleep(UNTAKEN_MAX - Duration::from_secs(1)).await;
        client.make_room(1, ANSWER_PART_BYTES_MAX).await;
        let (last, part) = client.hear_data(ANSWER_PART_BYTES_MAX).await;
        assert_eq!((last, part.len()), (flags, ANSWER_PART_BYTES_MAX));
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_over_http_2_that_is_taken_may_go_on_for_ever() {
    let events = || stream::iter([Ok::<_, Infallible>(Bytes::from_static(b"begun"))]).chain(stream::pending());
    let routes = Router::new().route("/", get(move || async move { Body::from_stream(events()) }));
    let (stream, ended) = opened(routes, IDLE_MAX, Spoken::Http2, 64 * 1024);
    let mut client = Http2::begun(stream, 65_535).await;
    client.ask(1).await;
    assert_eq!(client.hear_data(5).await, (0, b"begun".to_vec()));
    assert!(timeout(HOUR, client.hear_to_the_end()).await.is_err(), "it is served still");
    drop(client);
    served_for(ended).await;
}

/// Asks over HTTP/1 for more bytes than there is room for on the way.
async fn asked_for_much() -> (DuplexStream, JoinHandle<Duration>) {
    let routes = Router::new().route("/", get(|| async { vec![b'x'; 8 * ROOM] }));
    // The idle time runs from when hyper has the whole answer.
    let (mut client, ended) = opened(routes, HOUR, Spoken::Http1, ROOM);
    client.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").await.unwrap();
    (client, ended)
}

const ROOM: usize = 1024;

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_no_byte_of_its_answer_is_not_waited_for() {
    let (_client, ended) = asked_for_much().await;
    assert_eq!(served_for(ended).await.as_millis(), UNTAKEN_MAX.as_millis());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_its_answer_slowly_gets_all_of_it() {
    let (mut client, ended) = asked_for_much().await;
    let (mut taken, mut part) = (Vec::new(), [0; ROOM]);
    loop {
        sleep(UNTAKEN_MAX - Duration::from_secs(1)).await;
        let count = client.read(&mut part).await.unwrap();
        if count == 0 {
            break;
        }
        taken.extend_from_slice(&part[..count]);
    }
    assert!(taken.ends_with(&[b'x'; 8 * ROOM]));
    assert!(served_for(ended).await > UNTAKEN_MAX);
}

/// The bytes that the server says until it closes the connection.
async fn answer_to(mut client: TcpStream, request: &[u8]) -> Vec<u8> {
    let mut said = Vec::new();
    // The connection may be closed at once, and a reset is a close as well.
    let _ = client.write_all(request).await;
    let _ = client.read_to_end(&mut said).await;
    said
}

#[tokio::test]
async fn a_connection_keeps_its_descriptor_as_a_websocket_too_and_others_are_closed_at_once() {
    let upgraded = |upgrade: WebSocketUpgrade| async move {
        upgrade.on_upgrade(|mut socket| async move { while socket.recv().await.is_some() {} })
    };
    let routes = Router::new().route("/", get(|| async { "an answer" })).route("/socket", get(upgraded));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let limits = ConnectionLimits { connections_max: 10, websockets_max: 10, idle_max: IDLE_MAX };
    let descriptors = Arc::new(Semaphore::new(1));
    tokio::spawn(serve_within(descriptors, listener, routes, limits, CancellationToken::new()));

    let mut socket = TcpStream::connect(address).await.unwrap();
    let handshake = b"GET /socket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    socket.write_all(handshake).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await.unwrap());
    }
    assert!(head.starts_with(b"HTTP/1.1 101"));

    let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    assert!(answer_to(TcpStream::connect(address).await.unwrap(), request).await.is_empty());
    drop(socket);
    // The descriptor is free as soon as the server sees that the client has gone.
    while answer_to(TcpStream::connect(address).await.unwrap(), request).await.is_empty() {}
}

#[cfg(unix)]
#[tokio::test]
async fn a_socket_takes_nothing_while_it_is_full_and_something_once_some_was_read() {
    use written::Room;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (stream, _) = listener.accept().await.unwrap();
    let part = vec![b'x'; 64 * 1024];
    let mut filled = 0;
    while let Some(count) = stream.write_now(&part) {
        filled += count;
    }
    let (mut read, mut buffer) = (0, vec![0; part.len()]);
    while stream.write_now(&part).is_none() {
        assert!(read < filled, "all was read");
        read += client.read(&mut buffer).await.unwrap();
    }
}
