//! Bearer JWTs against an issuer in this process: which tokens let their callers in, and the effect of a rotation of
//! the issuer's keys.

use crate::issuer_keys::{key, public};
use crate::rig::{PATIENCE, until, within};
use async_trait::async_trait;
use futures::FutureExt;
use hookgraph_domain::change::{Change, Write};
use hookgraph_domain::ids::TenantId;
use hookgraph_domain::permission::{Permission, PermissionSet};
use hookgraph_domain::ports::{Clock, UnitOfWork};
use hookgraph_server::auth::{AuthError, Authenticator, ShownToken};
use hookgraph_server::limits::{OIDC_KEYS_KEPT_S, OIDC_LEEWAY_S, OIDC_REFETCH_S_MIN};
use hookgraph_server::oidc::{Fetch, Issuer, OidcConfig};
use hookgraph_testkit::{ManualClock, MemoryStore, sample};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;
use uuid::Uuid;

const ISSUER: &str = "https://login.example";

/// An issuer that serves its two documents.
#[derive(Default)]
struct Scripted {
    keys: Mutex<Vec<Value>>,
    is_down: AtomicBool,
    /// Whether the issuer takes requests and does not answer.
    hangs: watch::Sender<bool>,
    reads: AtomicUsize,
}

#[async_trait]
impl Fetch for Scripted {
    async fn json(&self, url: &str) -> Result<Value, String> {
        if self.is_down.load(Ordering::SeqCst) {
            return Err("down".to_owned());
        }
        match url {
            "https://login.example/.well-known/openid-configuration" => {
                self.reads.fetch_add(1, Ordering::SeqCst);
                self.hangs.subscribe().wait_for(|hangs| !hangs).await.map_err(|_| "gone")?;
                Ok(json!({ "issuer": ISSUER, "jwks_uri": "https://login.example/keys" }))
            }
            "https://login.example/keys" => Ok(json!({ "keys": *self.keys.lock().unwrap() })),
            other => Err(format!("nothing at {other}")),
        }
    }
}

struct World {
    issuer: Issuer,
    scripted: Arc<Scripted>,
    clock: ManualClock,
}

fn world() -> World {
    let (scripted, clock) = (Arc::new(Scripted::default()), ManualClock::at(sample::now()));
    // A key of a kind that nobody knows is passed over.
    *scripted.keys.lock().unwrap() = vec![json!({ "kty": "new", "kid": "n" }), public(1, "a")];
    let config = OidcConfig {
        issuer: ISSUER.to_owned(),
        audience: "hookgraph".to_owned(),
        tenant_claim: "tenant".to_owned(),
        permissions_claim: "permissions".to_owned(),
    };
    World { issuer: Issuer::new(config, scripted.clone(), Arc::new(clock.clone())), scripted, clock }
}

impl World {
    fn claims(&self) -> Value {
        json!({ "iss": ISSUER, "aud": ["hookgraph", "other"], "sub": "ada", "exp": self.clock.now().timestamp() + 300,
            "tenant": "acme", "permissions": ["ORDERS_READ", "openid"] })
    }

    fn token(&self, seed: u8, kid: &str, changed: Value) -> String {
        let mut claims = self.claims();
        for (name, value) in changed.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let header = Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
        encode(&header, &claims, &key(seed)).unwrap()
    }

    async fn is_let_in(&self, token: &str) -> bool {
        match self.issuer.vouched(token).await {
            Ok(_) => true,
            Err(AuthError::Invalid) => false,
            Err(other) => panic!("{other:?}"),
        }
    }

    fn reads(&self) -> usize {
        self.scripted.reads.load(Ordering::SeqCst)
    }

    /// Waits until the issuer was asked `reads` times.
    async fn was_asked(&self, reads: usize) {
        until("the issuer to be asked", || self.reads() >= reads).await;
    }

    fn wait_s(&self, seconds: i64) {
        self.clock.advance_ms(u64::try_from(seconds).unwrap() * 1_000);
    }
}

#[tokio::test]
async fn a_token_of_the_issuer_vouches_for_its_claims_until_it_expires() {
    let world = world();
    let token = world.token(1, "a", json!({}));
    let vouched = world.issuer.vouched(&token).await.unwrap();
    assert_eq!((vouched.tenant.as_str(), vouched.subject.as_str()), ("acme", "ada"));
    assert_eq!(vouched.permissions, PermissionSet::NONE.with(Permission::OrdersRead));
    let scopes = world.token(1, "a", json!({ "permissions": "openid MARKETS_READ ITEMS_WRITE" }));
    let scopes = world.issuer.vouched(&scopes).await.unwrap().permissions;
    assert_eq!(scopes.names(), ["ITEMS_WRITE", "MARKETS_READ"]);
    world.wait_s(300 + OIDC_LEEWAY_S - 1);
    assert!(world.is_let_in(&token).await);
    world.wait_s(2);
    assert!(!world.is_let_in(&token).await);
}

#[tokio::test]
async fn a_claim_with_a_tenants_id_leads_to_that_tenant_whatever_another_one_is_called() {
    let (world, store) = (world(), Arc::new(MemoryStore::default()));
    let [acme, other] = [0xa1, 0xb2].map(|id| TenantId(Uuid::from_u128(id)));
    let mut change = Change::at(sample::now());
    change.writes.push(Write::InsertTenant(sample::tenant(acme, "acme")));
    change.writes.push(Write::InsertTenant(sample::tenant(other, &acme.to_string())));
    store.commit(change).await.unwrap();
    let shown = |tenant: &str| {
        let token = world.token(1, "a", json!({ "tenant": tenant }));
        ShownToken::read(Some(&format!("Bearer {token}"))).unwrap()
    };
    let [by_id, by_identifier, by_others_id, by_nothing] =
        [acme.to_string().as_str(), "acme", other.to_string().as_str(), "nobody"].map(shown);
    let clock = Arc::new(world.clock.clone());
    let auth = Authenticator::new(store.clone(), store.clone(), clock, PATIENCE).believing(world.issuer, store);
    for (shown, tenant_id) in [(by_id, acme), (by_identifier, acme), (by_others_id, other)] {
        assert_eq!(auth.session(&shown).await.unwrap().caller.tenant_id, tenant_id);
    }
    assert!(matches!(auth.session(&by_nothing).await, Err(AuthError::Invalid)));
}

#[tokio::test]
async fn whatever_is_wrong_with_a_token_keeps_it_out() {
    let world = world();
    let now = world.clock.now().timestamp();
    for changed in [
        json!({ "iss": "https://evil.example" }),
        json!({ "aud": "other" }),
        json!({ "exp": now - OIDC_LEEWAY_S - 1 }),
        json!({ "exp": "never" }),
        json!({ "nbf": now + OIDC_LEEWAY_S + 1 }),
        json!({ "tenant": null }),
        json!({ "tenant": "" }),
        json!({ "sub": null }),
    ] {
        assert!(!world.is_let_in(&world.token(1, "a", changed.clone())).await, "{changed}");
    }
    assert!(!world.is_let_in(&world.token(2, "a", json!({}))).await, "another key under that name");
    let good = world.token(1, "a", json!({}));
    let (signed, signature) = good.rsplit_once('.').unwrap();
    assert!(!world.is_let_in(&format!("{signed}.")).await);
    assert!(!world.is_let_in(&format!("{signed}.{}", signature.replace(&signature[..1], "_"))).await);
    // A published key is no secret: a signature that is made with it as one must not be believed.
    let confused = Header { kid: Some("a".to_owned()), ..Header::new(Algorithm::HS256) };
    let published = public(1, "a")["x"].as_str().unwrap().to_owned();
    let confused = encode(&confused, &world.claims(), &EncodingKey::from_secret(published.as_bytes())).unwrap();
    assert!(!world.is_let_in(&confused).await);
    let none = "eyJhbGciOiJub25lIiwia2lkIjoiYSJ9";
    assert!(!world.is_let_in(&format!("{none}.{}.", good.split('.').nth(1).unwrap())).await);
    assert!(world.is_let_in(&good).await);
}

/// A key as the issuer publishes it, with other members.
fn published(seed: u8, kid: &str, changed: &Value) -> Value {
    let mut jwk = public(seed, kid);
    for (name, value) in changed.as_object().unwrap() {
        jwk[name] = value.clone();
    }
    jwk
}

#[tokio::test]
async fn a_key_verifies_what_the_issuer_publishes_it_for_and_nothing_else() {
    for (changed, is_let_in) in [
        (json!({}), true),
        (json!({ "use": "sig" }), true),
        (json!({ "alg": null }), true),
        (json!({ "use": "enc" }), false),
        (json!({ "use": "other" }), false),
        (json!({ "alg": "ES256" }), false),
        (json!({ "alg": "RSA-OAEP" }), false),
        (json!({ "alg": "new" }), false),
    ] {
        let world = world();
        *world.scripted.keys.lock().unwrap() = vec![published(1, "a", &changed)];
        let nameless = encode(&Header::new(Algorithm::EdDSA), &world.claims(), &key(1)).unwrap();
        for token in [world.token(1, "a", json!({})), nameless] {
            assert_eq!(world.is_let_in(&token).await, is_let_in, "{changed}");
        }
    }
}

#[tokio::test]
async fn a_token_that_names_no_key_is_verified_by_the_only_one_for_it() {
    for (changed, is_let_in) in [(json!({ "use": "enc" }), true), (json!({ "use": "sig" }), false)] {
        let world = world();
        *world.scripted.keys.lock().unwrap() = vec![published(2, "b", &changed), public(1, "a")];
        let nameless = encode(&Header::new(Algorithm::EdDSA), &world.claims(), &key(1)).unwrap();
        assert_eq!(world.is_let_in(&nameless).await, is_let_in, "{changed}");
    }
}

#[tokio::test]
async fn a_new_key_is_read_when_it_is_named_and_an_old_one_ends_with_it() {
    let world = world();
    let old = world.token(1, "a", json!({ "exp": world.clock.now().timestamp() + 100_000 }));
    assert!(world.is_let_in(&old).await);
    *world.scripted.keys.lock().unwrap() = vec![public(2, "b")];
    world.wait_s(OIDC_REFETCH_S_MIN);
    assert!(world.is_let_in(&world.token(2, "b", json!({}))).await);
    assert!(!world.is_let_in(&old).await);
}

#[tokio::test]
async fn a_withdrawn_key_ends_with_the_next_reading_and_at_twice_the_time_that_keys_are_kept_at_the_latest() {
    for (waited_s, is_let_in_once) in [(OIDC_KEYS_KEPT_S, true), (2 * OIDC_KEYS_KEPT_S, false)] {
        let world = world();
        let old = world.token(1, "a", json!({ "exp": world.clock.now().timestamp() + 100_000 }));
        assert!(world.is_let_in(&old).await);
        *world.scripted.keys.lock().unwrap() = vec![public(2, "b")];
        world.wait_s(waited_s);
        assert_eq!(world.is_let_in(&old).await, is_let_in_once, "after {waited_s} s");
        // Until the reading that it began has ended, which takes a few turns.
        let withdrawn = async {
            while world.is_let_in(&old).await {
                tokio::task::yield_now().await;
            }
        };
        within(PATIENCE, "the keys to be read again", withdrawn).await;
        assert_eq!(world.reads(), 2);
    }
}

#[tokio::test]
async fn a_clock_that_is_set_back_makes_no_key_hold_longer_and_has_them_read_again() {
    let world = world();
    let old = world.token(1, "a", json!({ "exp": world.clock.now().timestamp() + 100_000 }));
    assert!(world.is_let_in(&old).await);
    *world.scripted.keys.lock().unwrap() = vec![public(2, "b")];
    world.clock.set(world.clock.now() - chrono::Duration::hours(1));
    assert!(!world.is_let_in(&old).await);
    assert!(world.is_let_in(&world.token(2, "b", json!({}))).await);
    assert_eq!(world.reads(), 2, "they are read once for it");
}

#[tokio::test]
async fn a_strangers_key_names_cost_the_issuer_nothing() {
    let world = world();
    for kid in 0..50 {
        assert!(!world.is_let_in(&world.token(9, &kid.to_string(), json!({}))).await);
    }
    assert_eq!(world.scripted.reads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_issuer_that_is_down_is_believed_a_while_and_not_for_ever() {
    let world = world();
    let token = world.token(1, "a", json!({ "exp": world.clock.now().timestamp() + 100_000 }));
    assert!(world.is_let_in(&token).await);
    world.scripted.is_down.store(true, Ordering::SeqCst);
    world.wait_s(OIDC_KEYS_KEPT_S + 1);
    assert!(world.is_let_in(&token).await);
    world.wait_s(OIDC_KEYS_KEPT_S);
    assert!(matches!(world.issuer.vouched(&token).await, Err(AuthError::Unavailable(_))));
}

#[tokio::test]
async fn while_an_issuer_hangs_known_keys_hold_and_whoever_needs_another_waits_for_the_one_reading() {
    let world = world();
    let exp = world.clock.now().timestamp() + 100_000;
    let [known, new] = [(1, "a"), (2, "b")].map(|(seed, kid)| world.token(seed, kid, json!({ "exp": exp })));
    assert!(world.is_let_in(&known).await);
    world.scripted.hangs.send_replace(true);
    world.wait_s(OIDC_KEYS_KEPT_S);
    assert_eq!(world.is_let_in(&known).now_or_never(), Some(true), "it begins the reading, and is known");
    world.was_asked(2).await;
    assert_eq!(world.is_let_in(&known).now_or_never(), Some(true), "it is known, and not for too long");
    *world.scripted.keys.lock().unwrap() = vec![public(1, "a"), public(2, "b")];
    let mut waits = Box::pin(world.is_let_in(&new));
    assert!(waits.as_mut().now_or_never().is_none());
    world.wait_s(OIDC_KEYS_KEPT_S);
    let mut too_late = Box::pin(world.is_let_in(&known));
    assert!(too_late.as_mut().now_or_never().is_none(), "what is known is too old by now");
    world.scripted.hangs.send_replace(false);
    assert_eq!(tokio::join!(waits, too_late), (true, true));
    assert_eq!(world.reads(), 2);
}

#[tokio::test]
async fn a_reading_goes_on_without_whoever_began_it_and_the_next_waits_from_its_end() {
    let world = world();
    world.scripted.hangs.send_replace(true);
    let stranger = world.token(9, "x", json!({}));
    let mut begins = Box::pin(world.is_let_in(&stranger));
    assert!(begins.as_mut().now_or_never().is_none());
    world.was_asked(1).await;
    drop(begins);
    let mut waits = Box::pin(world.is_let_in(&stranger));
    assert!(waits.as_mut().now_or_never().is_none());
    world.wait_s(OIDC_REFETCH_S_MIN);
    world.scripted.hangs.send_replace(false);
    assert!(!waits.await);
    assert!(!world.is_let_in(&stranger).await);
    world.wait_s(OIDC_REFETCH_S_MIN - 1);
    assert!(!world.is_let_in(&stranger).await);
    assert_eq!(world.reads(), 1, "it began long ago, and ended just now");
    world.wait_s(1);
    assert!(!world.is_let_in(&stranger).await);
    assert_eq!(world.reads(), 2);
}
