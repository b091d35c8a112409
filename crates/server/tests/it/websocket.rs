//! graphql-transport-ws, as a client sees it.

use crate::rig::socket::{PROTOCOL, Socket, hear, hear_answers, hear_close, initialised, open, say, subscribe};
use crate::rig::{TOKEN, start, until};
use futures::SinkExt;
use hookgraph_domain::ports::Clock;
use hookgraph_server::limits::{
    REQUEST_VALUES_MAX, UNACKNOWLEDGED_MESSAGE_BYTES_MAX, WEBSOCKETS_UNACKNOWLEDGED_MIN,
    WEBSOCKETS_UNACKNOWLEDGED_SHARE,
};
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};

#[tokio::test]
async fn a_subscription_yields_its_events_and_completes() {
    let rig = start(&[]).await;
    let mut socket = initialised(&rig).await;
    say(&mut socket, subscribe("a", "subscription { count(to: 2) }")).await;
    for count in 1..=2 {
        let next = json!({ "id": "a", "type": "next", "payload": { "data": { "count": count } } });
        assert_eq!(hear(&mut socket).await, next);
    }
    assert_eq!(hear(&mut socket).await, json!({ "id": "a", "type": "complete" }));
    say(&mut socket, subscribe("a", "{ hello }")).await;
    assert_eq!(hear(&mut socket).await["payload"]["data"]["hello"], "hello you");
}

#[tokio::test]
async fn a_request_error_ends_the_operation_and_frees_its_id() {
    let rig = start(&[]).await;
    let mut socket = initialised(&rig).await;
    for _ in 0..2 {
        say(&mut socket, subscribe("a", "subscription { nope }")).await;
        let error = hear(&mut socket).await;
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("a")));
        assert!(error["payload"][0]["message"].is_string());
    }
}

#[tokio::test]
async fn an_operation_that_panics_ends_with_an_error_and_frees_its_id_and_its_place() {
    let rig = start(&[("token_subscriptions_max", "1")]).await;
    let mut socket = initialised(&rig).await;
    for query in ["subscription { panics }", "{ panics }", "subscription { panics }"] {
        say(&mut socket, subscribe("a", query)).await;
        let error = hear(&mut socket).await;
        assert_eq!((&error["type"], &error["id"]), (&json!("error"), &json!("a")), "{query}");
        assert_eq!(error["payload"][0]["extensions"]["code"], "INTERNAL", "{query}");
    }
    say(&mut socket, subscribe("a", "{ hello }")).await;
    assert_eq!(hear(&mut socket).await["payload"]["data"]["hello"], "hello you");
}

#[tokio::test]
async fn each_break_of_the_protocol_has_its_close_code() {
    let silent = start(&[("websocket_init_ms_max", "50")]).await;
    let mut socket = open(&silent, &[PROTOCOL]).await.unwrap();
    assert_eq!(hear_close(&mut socket).await["close"], 4408);
    let rig = start(&[("websocket_init_ms_max", "60000")]).await;
    let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {TOKEN}") } });
    let wrong = json!({ "type": "connection_init", "payload": { "authorization": "Bearer wrong" } });
    let quiet = subscribe("a", "subscription { quiet }");
    let cases = [
        (vec![quiet.clone()], 4401),
        (vec![wrong], 4403),
        (vec![json!({ "type": "connection_init" })], 4403),
        (vec![init.clone(), init.clone()], 4429),
        (vec![init.clone(), quiet.clone(), quiet.clone()], 4409),
        (vec![json!({ "type": "connection_terminate" })], 4400),
        (vec![json!({ "type": "start", "id": "a" })], 4400),
        (vec![json!(7)], 4400),
        (vec![json!({})], 4400),
        (vec![json!({ "type": "connection_init", "payload": "x" })], 4400),
        (vec![json!({ "type": "connection_init", "payload": { "authorization": 7 } })], 4403),
        (vec![json!({ "type": "complete" })], 4400),
        (vec![init.clone(), json!({ "type": "subscribe", "id": "", "payload": { "query": "{ hello }" } })], 4400),
        (vec![init.clone(), json!({ "type": "subscribe", "id": 1, "payload": { "query": "{ hello }" } })], 4400),
        (vec![init.clone(), subscribe(&"x".repeat(257), "{ hello }")], 4400),
        (vec![init, json!({ "type": "subscribe", "payload": { "query": "{ hello }" } })], 4400),
    ];
    for (messages, code) in cases {
        let mut socket = open(&rig, &[PROTOCOL]).await.unwrap();
        for message in &messages {
            say(&mut socket, message.clone()).await;
        }
        assert_eq!(hear_close(&mut socket).await["close"], code, "{messages:?}");
    }
}

#[tokio::test]
async fn a_clients_close_is_answered_with_its_own_code() {
    let rig = start(&[]).await;
    for (code, is_initialised) in [(1000_u16, true), (4000, true), (1000, false)] {
        let mut socket = if is_initialised { initialised(&rig).await } else { open(&rig, &[PROTOCOL]).await.unwrap() };
        socket.close(Some(CloseFrame { code: code.into(), reason: "done".into() })).await.unwrap();
        assert_eq!(hear(&mut socket).await, json!({ "close": code, "reason": "done" }), "{is_initialised}");
    }
    let mut subscribed = initialised(&rig).await;
    say(&mut subscribed, subscribe("a", "subscription { big }")).await;
    assert_eq!(hear(&mut subscribed).await["type"], "next");
    subscribed.close(Some(CloseFrame { code: 1000_u16.into(), reason: "".into() })).await.unwrap();
    assert_eq!(hear_close(&mut subscribed).await["close"], 1000, "answers stand before the close");
}

#[tokio::test]
async fn another_subprotocol_is_closed_with_4406() {
    let rig = start(&[]).await;
    let mut socket = open(&rig, &[]).await.unwrap();
    assert_eq!(hear(&mut socket).await["close"], 4406);
}

#[tokio::test]
async fn a_token_in_the_header_serves_where_the_payload_has_none() {
    let rig = start(&[]).await;
    let mut socket = open(&rig, &[PROTOCOL, ("authorization", &format!("Bearer {TOKEN}"))]).await.unwrap();
    say(&mut socket, json!({ "type": "connection_init" })).await;
    assert_eq!(hear(&mut socket).await["type"], "connection_ack");
}

#[tokio::test]
async fn pages_of_strangers_are_refused_and_allowed_ones_are_not() {
    let rig = start(&[("allowed_origins", "https://console.example")]).await;
    let own = format!("http://{}", rig.address);
    assert!(open(&rig, &[PROTOCOL, ("origin", &own)]).await.is_ok());
    assert!(open(&rig, &[PROTOCOL, ("origin", "https://console.example")]).await.is_ok());
    let Err(Error::Http(refused)) = open(&rig, &[PROTOCOL, ("origin", "https://evil.example")]).await else {
        panic!("a stranger's page got in")
    };
    assert_eq!(refused.status(), 403);
}

#[tokio::test]
async fn operations_and_connections_are_bounded() {
    let rig = start(&[("websocket_subscriptions_max", "1"), ("websocket_connections_max", "1")]).await;
    let mut socket = initialised(&rig).await;
    assert_is_to_try_again(open(&rig, &[PROTOCOL]).await.unwrap()).await;
    say(&mut socket, subscribe("a", "subscription { quiet }")).await;
    say(&mut socket, subscribe("b", "subscription { quiet }")).await;
    let refused = hear(&mut socket).await;
    assert_eq!((&refused["id"], &refused["type"]), (&json!("b"), &json!("error")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "LIMIT_EXCEEDED");
    say(&mut socket, json!({ "id": "a", "type": "complete" })).await;
    say(&mut socket, subscribe("b", "{ hello }")).await;
    assert_eq!(hear(&mut socket).await["type"], "next");
}

/// A message of `bytes` bytes that lets its client in.
fn init_of(bytes: usize) -> Value {
    let init = |padding: &str| {
        let payload = json!({ "authorization": format!("Bearer {TOKEN}"), "padding": padding });
        json!({ "type": "connection_init", "payload": payload })
    };
    init(&"x".repeat(bytes - init("").to_string().len()))
}

#[tokio::test]
async fn strangers_that_say_nothing_hold_no_place_of_a_client() {
    let max = 2 * WEBSOCKETS_UNACKNOWLEDGED_SHARE * WEBSOCKETS_UNACKNOWLEDGED_MIN;
    let rig = start(&[("websocket_connections_max", &max.to_string()), ("websocket_init_ms_max", "60000")]).await;
    let mut strangers = Vec::new();
    for _ in 0..max / WEBSOCKETS_UNACKNOWLEDGED_SHARE {
        strangers.push(open(&rig, &[PROTOCOL]).await.unwrap());
    }
    assert!(matches!(open(&rig, &[PROTOCOL]).await, Err(Error::Http(refused)) if refused.status() == 503));
    assert_eq!(rig.state.connections.available_permits(), max, "none of the places of clients is taken");
    // A connection that shows its token leaves its place to the next.
    let mut client = strangers.pop().unwrap();
    say(&mut client, init_of(1_024)).await;
    assert_eq!(hear(&mut client).await["type"], "connection_ack");
    assert_eq!(rig.state.connections.available_permits(), max - 1);
    strangers.push(open(&rig, &[PROTOCOL]).await.unwrap());
}

#[tokio::test]
async fn few_places_leave_some_for_clients_that_begin_at_once() {
    let max = WEBSOCKETS_UNACKNOWLEDGED_MIN;
    let rig = start(&[("websocket_connections_max", &max.to_string()), ("websocket_init_ms_max", "60000")]).await;
    let mut begun = Vec::new();
    for _ in 0..max {
        begun.push(open(&rig, &[PROTOCOL]).await.unwrap());
    }
    for client in &mut begun {
        say(client, init_of(1_024)).await;
        assert_eq!(hear(client).await["type"], "connection_ack");
    }
    assert_is_to_try_again(open(&rig, &[PROTOCOL]).await.unwrap()).await;
}

#[tokio::test]
async fn strangers_that_say_nothing_refuse_no_client_for_whom_there_is_a_place() {
    let max = 2 * WEBSOCKETS_UNACKNOWLEDGED_MIN;
    let rig = start(&[("websocket_connections_max", &max.to_string()), ("websocket_init_ms_max", "60000")]).await;
    let clients = u32::try_from(max - 1).unwrap();
    let _clients = rig.state.connections.clone().try_acquire_many_owned(clients).unwrap();
    let mut strangers = Vec::new();
    for _ in 1..WEBSOCKETS_UNACKNOWLEDGED_MIN {
        strangers.push(open(&rig, &[PROTOCOL]).await.unwrap());
    }
    let mut client = open(&rig, &[PROTOCOL]).await.unwrap();
    say(&mut client, init_of(1_024)).await;
    assert_eq!(hear(&mut client).await["type"], "connection_ack");
}

#[tokio::test]
async fn a_token_whose_look_up_hangs_keeps_no_connection_beyond_its_time_and_no_server_from_stopping() {
    for (init_ms_max, code) in [("50", 4408), ("60000", 1001)] {
        let rig = start(&[("websocket_init_ms_max", init_ms_max)]).await;
        rig.tokens.is_hanging.store(true, Ordering::SeqCst);
        let mut socket = open(&rig, &[PROTOCOL]).await.unwrap();
        say(&mut socket, init_of(1_024)).await;
        if code == 1001 {
            until("the look-up of the token", || rig.tokens.lookups.load(Ordering::SeqCst) > 0).await;
            rig.stopping.cancel();
        }
        assert_eq!(hear(&mut socket).await["close"], code);
    }
}

#[tokio::test]
async fn a_client_whose_place_was_taken_before_it_showed_its_token_is_to_try_again() {
    let rig = start(&[("websocket_connections_max", "1")]).await;
    let late = open(&rig, &[PROTOCOL]).await.unwrap();
    let _taken = rig.state.connections.clone().try_acquire_owned().unwrap();
    assert_is_to_try_again(late).await;
}

/// Shows a token, and asserts that the client finds no place and is told to try again.
async fn assert_is_to_try_again(mut late: Socket) {
    say(&mut late, init_of(1_024)).await;
    let closed = hear(&mut late).await;
    assert_eq!(closed["close"], 1013, "a code after which clients try again");
    assert!(closed["reason"].as_str().unwrap().contains("websocket_connections_max"), "{closed}");
}

#[tokio::test]
async fn messages_are_small_until_the_connection_is_acknowledged() {
    let rig = start(&[]).await;
    let mut client = open(&rig, &[PROTOCOL]).await.unwrap();
    say(&mut client, init_of(UNACKNOWLEDGED_MESSAGE_BYTES_MAX)).await;
    assert_eq!(hear(&mut client).await["type"], "connection_ack");
    let long = "x".repeat(UNACKNOWLEDGED_MESSAGE_BYTES_MAX);
    let ping = json!({ "type": "ping", "payload": { "padding": long } });
    say(&mut client, ping.clone()).await;
    assert_eq!(hear(&mut client).await["type"], "pong");
    let operation = subscribe("a", &format!("{{ hello }} #{long}"));
    for message in [init_of(UNACKNOWLEDGED_MESSAGE_BYTES_MAX + 1), ping, operation] {
        let mut stranger = open(&rig, &[PROTOCOL]).await.unwrap();
        say(&mut stranger, message).await;
        let closed = hear(&mut stranger).await;
        assert_eq!(closed["close"], 4400);
        assert!(closed["reason"].as_str().unwrap().contains("16384 bytes"), "{closed}");
    }
}

#[tokio::test]
async fn pings_are_answered_and_sent() {
    let rig = start(&[]).await;
    let mut socket = initialised(&rig).await;
    say(&mut socket, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut socket).await, json!({ "type": "pong" }));
    let rig = start(&[("websocket_ping_ms", "100")]).await;
    let mut quiet = initialised(&rig).await;
    assert_eq!(hear(&mut quiet).await, json!({ "type": "ping" }));
}

#[tokio::test]
async fn a_stop_closes_connections_with_1001() {
    let rig = start(&[]).await;
    let mut socket = initialised(&rig).await;
    rig.stopping.cancel();
    assert_eq!(hear(&mut socket).await["close"], 1001);
}

#[tokio::test]
async fn a_client_that_does_not_read_is_read_no_further_than_its_queue() {
    let rig = start(&[]).await;
    let mut slow = initialised(&rig).await;
    say(&mut slow, subscribe("a", "subscription { big }")).await;
    // Another client gets its 200 answers over a connection of its own meanwhile.
    let mut quick = initialised(&rig).await;
    say(&mut quick, subscribe("a", "subscription { count(to: 200) }")).await;
    hear_answers(&mut quick).await;
    // 16 queued, one being written, one in hand, and what the sockets' buffers take.
    let produced = rig.produced.load(Ordering::SeqCst) - 200;
    assert!(produced < 60, "{produced} answers of a mebibyte were made for a client that reads none");
}

#[tokio::test]
async fn a_token_that_expires_ends_its_subscriptions() {
    let rig = start(&[]).await;
    let expires_at = rig.clock.now() + chrono::Duration::milliseconds(100);
    rig.tokens.expires_at_us.store(expires_at.timestamp_micros(), Ordering::SeqCst);
    let mut socket = initialised(&rig).await;
    say(&mut socket, subscribe("a", "subscription { quiet }")).await;
    // The server looks again after so much of its own time, and finds the token expired when its clock says so.
    rig.clock.advance_ms(100);
    assert_eq!(hear(&mut socket).await["close"], 4403);
    let Ok(mut late) = open(&rig, &[PROTOCOL]).await else { panic!("a connection is open before it is let in") };
    say(&mut late, json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {}", TOKEN) } }))
        .await;
    assert_eq!(hear(&mut late).await["close"], 4403);
}

#[tokio::test]
async fn a_token_that_cannot_be_looked_up_again_keeps_its_connection_until_it_expires() {
    let rig = start(&[("token_recheck_ms", "100")]).await;
    let expires_at = rig.clock.now() + chrono::Duration::seconds(60);
    rig.tokens.expires_at_us.store(expires_at.timestamp_micros(), Ordering::SeqCst);
    let mut socket = initialised(&rig).await;
    rig.tokens.is_failing.store(true, Ordering::SeqCst);
    let lookups = rig.tokens.lookups.load(Ordering::SeqCst);
    until("look-ups that fail", || rig.tokens.lookups.load(Ordering::SeqCst) > lookups + 1).await;
    say(&mut socket, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut socket).await, json!({ "type": "pong" }));
    rig.clock.advance_ms(60_000);
    assert_eq!(hear(&mut socket).await["close"], 4403);
}

#[tokio::test]
async fn a_connection_whose_token_is_looked_up_without_end_is_answered_and_ends_with_its_server() {
    let rig = start(&[("token_recheck_ms", "100")]).await;
    let mut socket = initialised(&rig).await;
    rig.tokens.is_hanging.store(true, Ordering::SeqCst);
    let lookups = rig.tokens.lookups.load(Ordering::SeqCst);
    until("a look-up that hangs", || rig.tokens.lookups.load(Ordering::SeqCst) > lookups).await;
    say(&mut socket, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut socket).await, json!({ "type": "pong" }));
    say(&mut socket, subscribe("a", "{ hello }")).await;
    assert_eq!(hear(&mut socket).await["payload"]["data"]["hello"], "hello you");
    assert_eq!(hear(&mut socket).await["type"], "complete");
    rig.stopping.cancel();
    assert_eq!(hear(&mut socket).await["close"], 1001);
}

#[tokio::test]
async fn a_connection_whose_token_is_looked_up_without_end_ends_when_its_token_expires() {
    let rig = start(&[("token_recheck_ms", "100")]).await;
    let expires_at = rig.clock.now() + chrono::Duration::milliseconds(300);
    rig.tokens.expires_at_us.store(expires_at.timestamp_micros(), Ordering::SeqCst);
    let mut socket = initialised(&rig).await;
    rig.tokens.is_hanging.store(true, Ordering::SeqCst);
    assert_eq!(hear(&mut socket).await["close"], 4403);
}

#[tokio::test]
async fn the_use_of_a_token_is_written_down_once_a_minute() {
    let rig = start(&[]).await;
    for _ in 0..3 {
        initialised(&rig).await;
    }
    assert_eq!(rig.tokens.uses.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn frames_that_are_no_text_or_no_json_are_closed_with_4400() {
    let rig = start(&[]).await;
    for frame in [Message::binary(vec![0xff]), Message::text("{"), Message::text("")] {
        let mut socket = open(&rig, &[PROTOCOL]).await.unwrap();
        socket.send(frame.clone()).await.unwrap();
        assert_eq!(hear(&mut socket).await["close"], 4400, "{frame:?}");
    }
}

#[tokio::test]
async fn a_message_with_two_ids_starts_nothing_and_ends_the_connection() {
    let rig = start(&[]).await;
    let mut socket = initialised(&rig).await;
    let message = r#"{"id":"a","id":"b","type":"subscribe","payload":{"query":"{ hello }"}}"#;
    socket.send(Message::text(message)).await.unwrap();
    assert_eq!(hear(&mut socket).await["close"], 4400);
}

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_connection() {
    let rig = start(&[("websocket_message_bytes_max", "1024")]).await;
    let mut socket = initialised(&rig).await;
    say(&mut socket, subscribe("a", &format!("{{ hello }} #{}", "x".repeat(2048)))).await;
    assert_eq!(hear(&mut socket).await["close"], 4400);
}

#[tokio::test]
async fn an_operation_of_too_many_values_is_refused_and_any_other_message_of_as_many_ends_the_connection() {
    let rig = start(&[]).await;
    let mut socket = initialised(&rig).await;
    let many = json!({ "v": vec![1; REQUEST_VALUES_MAX] });
    let payload = json!({ "query": "{ hello }", "variables": many });
    say(&mut socket, json!({ "id": "a", "type": "subscribe", "payload": payload })).await;
    let refused = hear(&mut socket).await;
    assert_eq!((&refused["id"], &refused["type"]), (&json!("a"), &json!("error")));
    assert_eq!(refused["payload"][0]["extensions"]["code"], "BAD_USER_INPUT");
    assert_eq!(refused["payload"][0]["message"], "the message holds more than 100000 values: send it in parts");
    say(&mut socket, subscribe("a", "{ hello }")).await;
    assert_eq!(hear(&mut socket).await["type"], "next");
    assert_eq!(hear(&mut socket).await["type"], "complete");
    say(&mut socket, json!({ "type": "ping", "payload": many })).await;
    assert_eq!(hear(&mut socket).await["close"], 4400);
}

#[tokio::test]
async fn a_revoked_token_closes_its_connections_with_4403() {
    let rig = start(&[("token_recheck_ms", "100")]).await;
    let mut socket = initialised(&rig).await;
    say(&mut socket, subscribe("a", "subscription { quiet }")).await;
    rig.tokens.is_revoked.store(true, Ordering::SeqCst);
    assert_eq!(hear(&mut socket).await["close"], 4403);
}

#[tokio::test]
async fn a_client_that_answers_no_ping_is_given_up() {
    let rig = start(&[("websocket_ping_ms", "100")]).await;
    let mut socket = initialised(&rig).await;
    for _ in 0..2 {
        assert_eq!(hear(&mut socket).await, json!({ "type": "ping" }));
    }
    assert_eq!(hear(&mut socket).await["close"], 1000);
}

#[tokio::test]
async fn a_pong_nobody_asked_for_and_the_end_of_an_unknown_operation_change_nothing() {
    let rig = start(&[]).await;
    let mut socket = initialised(&rig).await;
    say(&mut socket, json!({ "type": "pong", "payload": { "a": 1 } })).await;
    say(&mut socket, json!({ "type": "complete", "id": "unknown" })).await;
    say(&mut socket, json!({ "type": "ping", "payload": { "a": 1 } })).await;
    assert_eq!(hear(&mut socket).await, json!({ "type": "pong" }));
}

#[tokio::test]
async fn a_ping_before_the_init_is_answered_and_a_second_init_is_too_many_even_while_one_is_judged() {
    let rig = start(&[]).await;
    let mut socket = open(&rig, &[PROTOCOL]).await.unwrap();
    say(&mut socket, json!({ "type": "ping" })).await;
    assert_eq!(hear(&mut socket).await, json!({ "type": "pong" }));
    let init = json!({ "type": "connection_init", "payload": { "authorization": format!("Bearer {TOKEN}") } });
    say(&mut socket, init.clone()).await;
    say(&mut socket, init).await;
    assert_eq!(hear(&mut socket).await["type"], "connection_ack");
    assert_eq!(hear(&mut socket).await["close"], 4429);
}

#[tokio::test]
async fn an_id_is_free_as_soon_as_its_client_ends_the_operation() {
    let rig = start(&[]).await;
    let mut socket = initialised(&rig).await;
    for _ in 0..3 {
        say(&mut socket, subscribe("a", "subscription { quiet }")).await;
        say(&mut socket, json!({ "type": "complete", "id": "a" })).await;
    }
    say(&mut socket, subscribe("a", "{ hello }")).await;
    let next = json!({ "id": "a", "type": "next", "payload": { "data": { "hello": "hello you" } } });
    assert_eq!(hear(&mut socket).await, next);
}
