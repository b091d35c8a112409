//! The layers of the configuration: defaults, then the file, then the environment, then flags.

use super::keys::{self, KEYS, Key, KeyKind};
use hookgraph_domain::address::HostRule;
use ipnet::IpNet;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use url::Url;

/// The origin of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The table's default.
    Default,
    /// A line of that file.
    File(String),
    /// That environment variable.
    Environment(String),
    /// A flag of the command line.
    Flag(String),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::Default => f.write_str("default"),
            Source::File(path) => write!(f, "file {path}"),
            Source::Environment(name) => write!(f, "environment {name}"),
            Source::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// A configuration that cannot be used. The error names the key and where it was set, never a secret's value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// A key that does not exist.
    #[error("{origin}: there is no key {key:?}{}", meant(.nearest.as_deref()))]
    Unknown {
        /// The key as written.
        key: String,
        /// Where.
        origin: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A value that the key does not take.
    #[error("{origin}: {key} wants {wanted}, not {found}")]
    Value {
        /// The key.
        key: &'static str,
        /// Where it was set.
        origin: String,
        /// The values that the key takes.
        wanted: String,
        /// The value that was there.
        found: String,
    },
    /// A file that cannot be read.
    #[error("{path}: {message}")]
    File {
        /// Which file.
        path: String,
        /// The fault of the file.
        message: String,
    },
}

fn meant(nearest: Option<&str>) -> String {
    nearest.map(|name| format!(", did you mean {name:?}?")).unwrap_or_default()
}

/// The value of a key, parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// [`KeyKind::Address`].
    Address(SocketAddr),
    /// [`KeyKind::Text`], [`KeyKind::Choice`], [`KeyKind::Database`] and [`KeyKind::Log`].
    Text(String),
    /// [`KeyKind::Flag`].
    Flag(bool),
    /// [`KeyKind::Number`].
    Number(u64),
    /// [`KeyKind::Networks`].
    Networks(Vec<IpNet>),
    /// [`KeyKind::Hosts`].
    Hosts(Vec<HostRule>),
    /// [`KeyKind::Proxy`].
    Proxy(Option<Url>),
    /// [`KeyKind::Origins`].
    Origins(Vec<String>),
    /// [`KeyKind::Exposure`].
    Exposure(Exposure),
}

/// Where the metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exposure {
    /// Nowhere.
    Off,
    /// On the address of everything else, to everyone.
    Open,
    /// On an address of their own.
    Own(SocketAddr),
}

/// The value of every key, with its source.
#[derive(Clone, Debug)]
pub struct Layers {
    values: BTreeMap<&'static str, (String, Value, Source)>,
}

impl Layers {
    /// The defaults of the table.
    ///
    /// # Errors
    /// A default that its own kind refuses; a test holds that there is none.
    pub fn defaults() -> Result<Self, ConfigError> {
        let mut layers = Self { values: BTreeMap::new() };
        for key in KEYS {
            layers.set(key.name, key.default, Source::Default)?;
        }
        Ok(layers)
    }

    /// Lays the text of a TOML file over the layers that are there.
    ///
    /// # Errors
    /// [`ConfigError`], for the first line that is wrong.
    pub fn lay_file(&mut self, path: &str, text: &str) -> Result<(), ConfigError> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| ConfigError::File {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })?;
        for (name, value) in table {
            self.set(&name, &plain_text(&value), Source::File(path.to_owned()))?;
        }
        Ok(())
    }

    /// Lays every environment variable that begins with `HOOKGRAPH_` over the layers that are there.
    ///
    /// `HOOKGRAPH_CONFIG` (the file), `HOOKGRAPH_FAILPOINT` and `HOOKGRAPH_TEST_…` are no keys and are passed over.
    ///
    /// # Errors
    /// [`ConfigError`], for the first variable that is wrong.
    pub fn lay_environment(
        &mut self,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<(), ConfigError> {
        for (variable, text) in variables {
            let Some(name) = variable.strip_prefix("HOOKGRAPH_") else { continue };
            if name == "CONFIG" || name == "FAILPOINT" || name.starts_with("TEST_") {
                continue;
            }
            self.set(&name.to_ascii_lowercase(), &text, Source::Environment(variable))?;
        }
        Ok(())
    }

    /// Lays one flag over the layers that are there.
    ///
    /// # Errors
    /// [`ConfigError`] where the key is unknown or does not take the value.
    pub fn lay_flag(&mut self, flag: &str, name: &str, text: &str) -> Result<(), ConfigError> {
        self.set(name, text, Source::Flag(flag.to_owned()))
    }

    /// The text, value and source of a key of the table.
    pub fn get(&self, name: &str) -> Option<(&str, &Value, &Source)> {
        self.values.get(name).map(|(text, value, source)| (text.as_str(), value, source))
    }

    fn set(&mut self, name: &str, text: &str, source: Source) -> Result<(), ConfigError> {
        let Some(key) = keys::find(name) else {
            return Err(ConfigError::Unknown {
                key: name.to_owned(),
                origin: source.to_string(),
                nearest: keys::nearest(name).map(str::to_owned),
            });
        };
        let text = match text.trim() {
            // Compose files set variables to nothing that nobody has set.
            "" if key.kind == KeyKind::Log => key.default,
            text => text,
        };
        let value = parse(key, text).ok_or_else(|| refused(key, text, &source))?;
        self.values.insert(key.name, (text.to_owned(), value, source));
        Ok(())
    }
}

fn refused(key: &Key, text: &str, source: &Source) -> ConfigError {
    let (mut wanted, mut found) = (key.kind.describe(), format!("{text:?}"));
    match key.kind {
        // These URLs may hold a password.
        KeyKind::Proxy | KeyKind::Database => found = "what is there".into(),
        _ if key.is_secret => found = "what is there".into(),
        KeyKind::Networks => {
            let mut networks = items(text).filter_map(|item| item.parse::<IpNet>().ok());
            if let Some(within) = networks.find(|network| *network != network.trunc()) {
                wanted = format!("{wanted}, such as {} or {} alone", within.trunc(), within.addr());
                found = format!("\"{within}\"");
            }
        }
        KeyKind::Log => {
            if let Some(directive) = items(text).find(|directive| !says_its_level(directive)) {
                found = format!("{directive:?}");
                if is_target(directive) {
                    wanted = format!("{wanted}; a target with its level, as in {directive}=debug or {directive}=trace");
                }
            }
        }
        _ => {}
    }
    ConfigError::Value { key: key.name, origin: source.to_string(), wanted, found }
}

fn plain_text(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Array(items) => items.iter().map(plain_text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// The items of a list that are divided by commas.
fn items(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty())
}

fn parse(key: &Key, text: &str) -> Option<Value> {
    let items = || items(text);
    match key.kind {
        KeyKind::Address => text.parse().ok().map(Value::Address),
        KeyKind::Text => Some(Value::Text(text.to_owned())),
        KeyKind::Flag => text.parse().ok().map(Value::Flag),
        KeyKind::Number(min, max) => text.parse().ok().filter(|number| (min..=max).contains(number)).map(Value::Number),
        KeyKind::Choice(words) => words.contains(&text).then(|| Value::Text(text.to_owned())),
        KeyKind::Networks => items().map(network).collect::<Option<_>>().map(Value::Networks),
        KeyKind::Hosts => items().map(|item| item.parse().ok()).collect::<Option<_>>().map(Value::Hosts),
        KeyKind::Proxy if text.is_empty() => Some(Value::Proxy(None)),
        KeyKind::Proxy => proxy(text).map(|url| Value::Proxy(Some(url))),
        KeyKind::Origins => items().map(origin).collect::<Option<_>>().map(Value::Origins),
        KeyKind::Exposure => exposure(text).map(Value::Exposure),
        KeyKind::Database => is_database(text).then(|| Value::Text(text.to_owned())),
        KeyKind::Log => log_filter(items()).map(Value::Text),
    }
}

/// The directives, where each says its level, as the filter reads them. The filter takes a bare word that is no level
/// for the name of a target, and then logs nothing else: a level that is misspelled would silence the log.
fn log_filter<'a>(directives: impl Iterator<Item = &'a str>) -> Option<String> {
    let directives: Vec<_> = directives.collect();
    let filter = directives.join(",");
    let is_filter = directives.iter().all(|directive| says_its_level(directive)) && EnvFilter::try_new(&filter).is_ok();
    (is_filter && !directives.is_empty()).then_some(filter)
}

fn says_its_level(directive: &str) -> bool {
    let level = directive.rsplit_once('=').map_or(directive, |(_, level)| level);
    !level.is_empty() && level.parse::<LevelFilter>().is_ok()
}

/// Whether the text is the name of a target alone, which is a path of modules.
fn is_target(directive: &str) -> bool {
    directive.chars().all(|character| character.is_ascii_alphanumeric() || matches!(character, '_' | ':'))
}

/// Whether the text names a database. Each has one spelling: a file with two would be two places for a server.
fn is_database(text: &str) -> bool {
    let has_more = |scheme| text.strip_prefix(scheme).is_some_and(|rest: &str| !rest.is_empty());
    // SQLite would read such a name as a URL of its own, of another file or of none.
    let is_url =
        || hookgraph_storage::sqlite_file(text).is_some_and(|file| file.to_string_lossy().starts_with("file:"));
    text == "sqlite::memory:"
        || text.starts_with("sqlite::memory:?")
        || ["postgres://", "postgresql://"].into_iter().any(has_more)
        || has_more("sqlite://") && !is_url()
}

fn exposure(text: &str) -> Option<Exposure> {
    match text {
        "off" => Some(Exposure::Off),
        "open" => Some(Exposure::Open),
        address => address.parse().ok().map(Exposure::Own),
    }
}

fn network(text: &str) -> Option<IpNet> {
    let network: IpNet = text.parse().ok().or_else(|| text.parse::<std::net::IpAddr>().ok().map(IpNet::from))?;
    // An address of a network is not its name: whoever wrote it may have meant the address alone.
    (network == network.trunc()).then_some(network)
}

fn proxy(text: &str) -> Option<Url> {
    let url = Url::parse(text).ok()?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && is_bare).then_some(url)
}

fn origin(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let is_bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    (matches!(url.scheme(), "http" | "https") && is_bare).then(|| url.origin().ascii_serialization())
}
