//! The configuration's layers, keys and print.

use hookgraph_server::config::keys::KEYS;
use hookgraph_server::config::{Config, ConfigError, Exposure, Layers, Source, printed, printed_json};

fn environment(variables: &[(&str, &str)]) -> Result<Layers, ConfigError> {
    let mut layers = Layers::defaults()?;
    layers.lay_environment(variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))?;
    Ok(layers)
}

#[test]
fn each_default_is_taken_and_each_key_is_read() {
    let config = Config::from_layers(&Layers::defaults().unwrap());
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert!(config.refused_addresses.is_empty() && config.allowed_addresses.is_empty());
    assert!(config.bootstrap.tenant.is_none());
    for key in KEYS {
        assert!(key.meaning.ends_with('.'), "{}", key.name);
        assert!(key.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", key.name);
    }
}

#[test]
fn a_flag_wins_over_the_environment_over_the_file_over_the_default() {
    let mut layers = Layers::defaults().unwrap();
    let file =
        "listen = \"127.0.0.1:1\"\npoll_ms = 20\nallowed_addresses = [\"10.0.0.0/8\", \"::1\"]\ngraphiql = false\n";
    layers.lay_file("hookgraph.toml", file).unwrap();
    layers.lay_environment([("HOOKGRAPH_LISTEN".to_owned(), "127.0.0.1:2".to_owned())]).unwrap();
    assert_eq!(layers.get("listen").unwrap().0, "127.0.0.1:2");
    layers.lay_flag("--listen", "listen", "127.0.0.1:3").unwrap();
    let config = Config::from_layers(&layers);
    assert_eq!(config.listen.port(), 3);
    assert_eq!(config.delivery.poll.as_millis(), 20);
    assert_eq!(config.allowed_addresses.len(), 2);
    assert!(!config.graphiql);
    assert_eq!(layers.get("poll_ms").unwrap().2, &Source::File("hookgraph.toml".into()));
    assert_eq!(layers.get("log").unwrap().2, &Source::Default);
}

#[test]
fn metrics_are_off_open_or_on_an_address_of_their_own() {
    let metrics = |text: &str| Config::from_layers(&environment(&[("HOOKGRAPH_METRICS", text)]).unwrap()).metrics;
    assert_eq!(Config::from_layers(&Layers::defaults().unwrap()).metrics, Exposure::Off);
    assert_eq!(metrics("open"), Exposure::Open);
    assert_eq!(metrics("127.0.0.1:9090"), Exposure::Own("127.0.0.1:9090".parse().unwrap()));
}

#[test]
fn a_log_filter_is_a_level_or_directives_that_each_say_theirs() {
    let log = |text: &str| Config::from_layers(&environment(&[("HOOKGRAPH_LOG", text)]).unwrap()).log;
    for text in ["off", "WARN", "info,hookgraph_dispatcher=debug", "hookgraph_server::http=trace", "info,[request]=off"]
    {
        assert_eq!(log(text), text);
    }
    // The filter takes a blank for a part of a target's name.
    assert_eq!(log("info, hookgraph_dispatcher=debug,"), "info,hookgraph_dispatcher=debug");
    for empty in ["", " "] {
        assert_eq!(log(empty), "info");
    }
}

#[test]
fn a_directive_without_its_level_is_named_and_shown_with_one() {
    let error = |text: &str| environment(&[("HOOKGRAPH_LOG", text)]).unwrap_err().to_string();
    let told = error("info,hookgraph_dispatcher::flow,sqlx=warn");
    let shown = "as in hookgraph_dispatcher::flow=debug or hookgraph_dispatcher::flow=trace";
    assert!(told.ends_with(&format!("{shown}, not \"hookgraph_dispatcher::flow\"")), "{told}");
    let told = error("info,sqlx=loud");
    assert!(told.ends_with("divided by commas, not \"sqlx=loud\""), "{told}");
}

#[test]
fn an_unknown_key_is_an_error_that_names_the_nearest() {
    let mut layers = Layers::defaults().unwrap();
    let error = layers.lay_file("hookgraph.toml", "lisen = \"127.0.0.1:1\"").unwrap_err();
    assert_eq!(error.to_string(), r#"file hookgraph.toml: there is no key "lisen", did you mean "listen"?"#);
    let error = environment(&[("HOOKGRAPH_DATABSE", "x")]).unwrap_err();
    assert!(error.to_string().contains("did you mean \"database\"?"), "{error}");
    let error = layers.lay_flag("--set", "zzz", "1").unwrap_err();
    assert_eq!(error.to_string(), r#"flag --set: there is no key "zzz""#);
}

#[test]
fn a_value_of_another_kind_is_an_error_that_says_what_is_wanted() {
    let cases = [
        ("HOOKGRAPH_LISTEN", "8080", "address:port"),
        ("HOOKGRAPH_METRICS", "yes", "off, open or address:port"),
        ("HOOKGRAPH_DATABASE", "sqlite:data/hookgraph.db", "sqlite://PATH, sqlite::memory: or postgres://"),
        ("HOOKGRAPH_DATABASE", "sqlite://file:/data/h.db?mode=rwc", "sqlite://PATH, sqlite::memory: or postgres://"),
        ("HOOKGRAPH_DATABASE", "sqlite://file%3Adata/h.db", "sqlite://PATH, sqlite::memory: or postgres://"),
        ("HOOKGRAPH_DATABASE", "sqlite://:memory:", "sqlite://PATH, sqlite::memory: or postgres://"),
        ("HOOKGRAPH_DATABASE", "sqlite::memory:x", "sqlite://PATH, sqlite::memory: or postgres://"),
        ("HOOKGRAPH_DATABASE", "sqlite://", "sqlite://PATH, sqlite::memory: or postgres://"),
        ("HOOKGRAPH_DATABASE", "mysql://user:secret@host/name", "sqlite://PATH, sqlite::memory: or postgres://"),
        ("HOOKGRAPH_POLL_MS", "1", "number from 10 to 600000"),
        ("HOOKGRAPH_POLL_MS", "-5", "number from 10 to 600000"),
        ("HOOKGRAPH_GRAPHIQL", "yes", "true or false"),
        ("HOOKGRAPH_LOG_FORMAT", "xml", "text or json"),
        ("HOOKGRAPH_LOG", "verbose", "off, error, warn, info, debug or trace, alone or as target=level"),
        ("HOOKGRAPH_LOG", "inof", "off, error, warn, info, debug or trace"),
        ("HOOKGRAPH_LOG", "info,verbose", "off, error, warn, info, debug or trace"),
        ("HOOKGRAPH_LOG", "info,hookgraph_dispatcher", "off, error, warn, info, debug or trace"),
        ("HOOKGRAPH_LOG", "hookgraph_dispatcher=", "off, error, warn, info, debug or trace"),
        ("HOOKGRAPH_LOG", "hookgraph_dispatcher=loud", "off, error, warn, info, debug or trace"),
        ("HOOKGRAPH_LOG", "[request", "off, error, warn, info, debug or trace"),
        ("HOOKGRAPH_LOG", "=info", "off, error, warn, info, debug or trace"),
        ("HOOKGRAPH_LOG", ",", "off, error, warn, info, debug or trace"),
        ("HOOKGRAPH_REFUSED_ADDRESSES", "8.8.4.0/33", "list of CIDR networks"),
        ("HOOKGRAPH_ALLOWED_ADDRESSES", "10.0.0.0/8,nonsense", "list of CIDR networks"),
        ("HOOKGRAPH_REFUSED_ADDRESSES", "8.8.4.0/24,1.2.3.4/24", "1.2.3.0/24 or 1.2.3.4 alone, not \"1.2.3.4/24\""),
        ("HOOKGRAPH_ALLOWED_HOSTS", "receiver.lan,10.0.0.1", "list of host names"),
        ("HOOKGRAPH_EGRESS_PROXY", "proxy.lan:3128", "URL of an HTTP proxy"),
        ("HOOKGRAPH_EGRESS_PROXY", "socks5://proxy.lan:3128", "URL of an HTTP proxy"),
        ("HOOKGRAPH_ALLOWED_ORIGINS", "https://a.example/path", "list of origins"),
    ];
    for (name, value, wanted) in cases {
        let error = environment(&[(name, value)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("environment {name}")) && error.contains(wanted), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
    let error = Layers::defaults().unwrap().lay_file("f", "listen = ").unwrap_err().to_string();
    assert!(error.starts_with("f: "), "{error}");
}

#[test]
fn variables_that_are_no_keys_are_passed_over() {
    environment(&[("HOOKGRAPH_TEST_POSTGRES", "x"), ("HOOKGRAPH_FAILPOINT", "x"), ("PATH", "x")]).unwrap();
}

#[test]
fn the_print_is_a_file_that_can_be_read_back_and_shows_no_secret() {
    let layers = environment(&[
        ("HOOKGRAPH_BOOTSTRAP_TOKEN", "hgt_very-secret"),
        ("HOOKGRAPH_DATABASE", "postgres://me:hidden@db/hookgraph"),
        ("HOOKGRAPH_REFUSED_ADDRESSES", "8.8.4.0/24, 2606:4700::/32, 1.1.1.1"),
        ("HOOKGRAPH_ALLOWED_ADDRESSES", "10.0.0.0/8, 127.0.0.1/32"),
        ("HOOKGRAPH_ALLOWED_HOSTS", "receiver.lan, *.internal.example"),
        ("HOOKGRAPH_EGRESS_PROXY", "http://me:hidden@proxy.lan:3128"),
    ])
    .unwrap();
    let text = printed(&layers);
    let json = printed_json(&layers).to_string();
    for shown in [&text, &json] {
        assert!(!shown.contains("very-secret") && !shown.contains("hidden"), "{shown}");
        assert!(shown.contains("environment HOOKGRAPH_DATABASE"), "{shown}");
    }
    let mut read_back = Layers::defaults().unwrap();
    read_back.lay_file("printed", &text).unwrap();
    let config = Config::from_layers(&read_back);
    let refused: Vec<_> = config.refused_addresses.iter().map(ToString::to_string).collect();
    assert_eq!(refused, ["8.8.4.0/24", "2606:4700::/32", "1.1.1.1/32"]);
    assert_eq!(config.allowed_addresses.len(), 2);
    assert_eq!(config.allowed_hosts.len(), 2);
    assert_eq!(config.egress_proxy.unwrap().host_str(), Some("proxy.lan"));
}

#[test]
fn a_proxys_password_is_not_shown_where_its_url_is_refused() {
    let error = environment(&[("HOOKGRAPH_EGRESS_PROXY", "http://me:hidden@proxy.lan/path")]).unwrap_err().to_string();
    assert!(!error.contains("hidden"), "{error}");
}
