//! An issuer's keys as they are really read: over HTTP, from a server that misbehaves.

use crate::issuer_keys::{key, public};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use futures::StreamExt;
use hookgraph_dispatcher::transport::{HttpTransport, TransportOptions};
use hookgraph_domain::address::AddressRules;
use hookgraph_domain::ports::Clock;
use hookgraph_server::auth::AuthError;
use hookgraph_server::limits::{OIDC_ANSWER_BYTES_MAX, OIDC_REFETCH_S_MIN};
use hookgraph_server::oidc::{Fetch, HttpFetch, Issuer, OidcConfig};
use hookgraph_testkit::{ManualClock, sample};
use jsonwebtoken::{Algorithm, Header, encode};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The answer of the issuer at `/keys`.
#[derive(Clone)]
enum Answers {
    Keys(Vec<Value>),
    Status(u16),
    Redirect(String),
    Bytes(usize),
    /// As many bytes, without a length, in pieces.
    Endless,
    /// One piece, and never the next.
    Stalls,
    NoJson,
}

struct Served {
    issuer: String,
    /// The URL of the keys in the discovery document.
    jwks_url: String,
    answers: Answers,
    key_reads: usize,
}

struct World {
    clock: ManualClock,
    served: Arc<Mutex<Served>>,
    config: OidcConfig,
    fetch: Arc<HttpFetch>,
}

async fn discovery(State(served): State<Arc<Mutex<Served>>>) -> Response {
    let served = served.lock();
    axum::Json(json!({ "issuer": served.issuer, "jwks_uri": served.jwks_url })).into_response()
}

async fn keys(State(served): State<Arc<Mutex<Served>>>) -> Response {
    let mut served = served.lock();
    served.key_reads += 1;
    match served.answers.clone() {
        Answers::Keys(keys) => axum::Json(json!({ "keys": keys })).into_response(),
        Answers::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Answers::Redirect(to) => Redirect::temporary(&to).into_response(),
        Answers::Bytes(count) => ([(header::CONTENT_TYPE, "application/json")], " ".repeat(count)).into_response(),
        Answers::Endless => {
            let piece = || Ok::<_, std::io::Error>(bytes::Bytes::from(vec![b' '; 16 * 1024]));
            Body::from_stream(futures::stream::repeat_with(piece)).into_response()
        }
        Answers::Stalls => {
            let piece = futures::stream::iter([Ok::<_, std::io::Error>(bytes::Bytes::from_static(b"{"))]);
            Body::from_stream(piece.chain(futures::stream::pending())).into_response()
        }
        Answers::NoJson => "<html>".into_response(),
    }
}

fn fetch(issuer: &str, rules: AddressRules, clock: &ManualClock) -> HttpFetch {
    let _ = rustls::crypto::ring::default_provider().install_default();
    HttpFetch::new(issuer, rules, TransportOptions::default(), Arc::new(clock.clone())).unwrap()
}

/// An issuer on this machine. The operator has named its host and no other.
async fn world() -> World {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}", listener.local_addr().unwrap());
    let served = Arc::new(Mutex::new(Served {
        jwks_url: format!("{issuer}/keys"),
        issuer: issuer.clone(),
        answers: Answers::Keys(vec![public(1, "a")]),
        key_reads: 0,
    }));
    let routes = Router::new()
        .route("/.well-known/openid-configuration", axum::routing::get(discovery))
        .route("/keys", axum::routing::get(keys))
        .with_state(served.clone());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    let clock = ManualClock::at(sample::now());
    let fetch = Arc::new(fetch(&issuer, AddressRules::default(), &clock));
    let claim = |name: &str| name.to_owned();
    let config = OidcConfig {
        issuer,
        audience: "hookgraph".to_owned(),
        tenant_claim: claim("tenant"),
        permissions_claim: claim("permissions"),
    };
    World { clock, served, config, fetch }
}

impl World {
    fn issuer(&self) -> Issuer {
        Issuer::new(self.config.clone(), self.fetch.clone(), Arc::new(self.clock.clone()))
    }

    fn token(&self, seed: u8, kid: &str) -> String {
        let claims = json!({ "iss": self.config.issuer, "aud": "hookgraph", "sub": "ada", "tenant": "acme",
            "exp": self.clock.now().timestamp() + 3_600, "permissions": [] });
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &key(seed)).unwrap()
    }

    /// Reads the keys while the issuer answers like this.
    async fn read(&self, answers: Answers) -> Result<Value, String> {
        self.served.lock().answers = answers;
        self.fetch.json(&format!("{}/keys", self.config.issuer)).await
    }
}

#[tokio::test]
async fn keys_are_discovered_and_a_rotation_is_followed() {
    let world = world().await;
    let issuer = world.issuer();
    assert!(issuer.vouched(&world.token(1, "a")).await.is_ok());
    world.served.lock().answers = Answers::Keys(vec![public(1, "a"), public(2, "b")]);
    world.clock.advance_ms(u64::try_from(OIDC_REFETCH_S_MIN).unwrap() * 1_000);
    assert!(issuer.vouched(&world.token(2, "b")).await.is_ok());
    assert!(issuer.vouched(&world.token(1, "a")).await.is_ok(), "both hold while they overlap");
    world.served.lock().answers = Answers::Keys(vec![public(2, "b")]);
    world.clock.advance_ms(u64::try_from(OIDC_REFETCH_S_MIN).unwrap() * 1_000);
    assert!(issuer.vouched(&world.token(3, "c")).await.is_err(), "an unknown one has them read again");
    assert!(issuer.vouched(&world.token(1, "a")).await.is_err());
    assert_eq!(world.served.lock().key_reads, 3);
}

#[tokio::test]
async fn an_issuer_that_cannot_be_read_lets_nobody_in_and_says_that_it_is_not_their_fault() {
    let world = world().await;
    world.served.lock().answers = Answers::Status(500);
    let refused = world.issuer().vouched(&world.token(1, "a")).await;
    assert!(matches!(refused, Err(AuthError::Unavailable(_))));
}

#[tokio::test]
async fn answers_that_are_too_long_elsewhere_or_nothing_are_refused() {
    let world = world().await;
    for (answers, wanted) in [
        (Answers::Status(404), "404"),
        (Answers::Redirect(format!("{}/.well-known/openid-configuration", world.config.issuer)), "307"),
        (Answers::Bytes(OIDC_ANSWER_BYTES_MAX + 1), "bytes"),
        (Answers::Endless, "bytes"),
        (Answers::NoJson, "no JSON"),
    ] {
        let error = world.read(answers).await.unwrap_err();
        assert!(error.contains(wanted) && error.contains("/keys"), "{error}");
    }
    assert!(world.read(Answers::Keys(Vec::new())).await.is_ok());
    assert!(world.read(Answers::Bytes(OIDC_ANSWER_BYTES_MAX)).await.unwrap_err().contains("no JSON"));
}

#[tokio::test]
async fn an_issuer_that_never_answers_or_never_ends_is_given_up_in_time() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let allowed = AddressRules { allowed: vec!["127.0.0.1/32".parse().unwrap()], ..AddressRules::default() };
    let _ = rustls::crypto::ring::default_provider().install_default();
    let transport = HttpTransport::new(allowed, Arc::new(ManualClock::at(sample::now()))).unwrap();
    let world = world().await;
    world.served.lock().answers = Answers::Stalls;
    for url in [format!("http://{}/keys", silent.local_addr().unwrap()), format!("{}/keys", world.config.issuer)] {
        let error = transport.fetch(&url, Duration::from_millis(100), OIDC_ANSWER_BYTES_MAX).await.unwrap_err();
        assert!(error.to_string().contains("within 100 ms"), "{error}");
    }
}

#[tokio::test]
async fn what_an_issuer_names_beside_itself_is_judged_as_a_webhooks_address_is() {
    let world = world().await;
    let port = world.config.issuer.rsplit_once(':').unwrap().1.to_owned();
    for elsewhere in ["http://127.0.0.2", "http://[::1]", "http://169.254.169.254", "http://10.0.0.1"] {
        let error = world.fetch.json(&format!("{elsewhere}:{port}/keys")).await.unwrap_err();
        assert!(error.contains("ADDRESS_REFUSED"), "{error}");
    }
    world.served.lock().jwks_url = format!("http://127.0.0.2:{port}/keys");
    assert!(matches!(world.issuer().vouched(&world.token(1, "a")).await, Err(AuthError::Unavailable(_))));
    // Unless the operator allows it.
    let allowed = AddressRules { allowed: vec!["127.0.0.2/32".parse().unwrap()], ..AddressRules::default() };
    let fetch = fetch(&world.config.issuer, allowed, &world.clock);
    let error = fetch.json(&format!("http://127.0.0.2:{port}/keys")).await.err();
    assert!(error.is_none_or(|error| !error.contains("ADDRESS_REFUSED")));
}

#[tokio::test]
async fn what_describes_another_issuer_or_has_keys_in_the_clear_is_not_believed() {
    let world = world().await;
    world.served.lock().issuer = "https://evil.example".to_owned();
    assert!(world.issuer().vouched(&world.token(1, "a")).await.is_err());
    assert_eq!(world.served.lock().key_reads, 0);
}
