//! Names that the operator vouches for: whatever they resolve to may be called.

use std::str::FromStr;
use url::Host;

/// A name that may be called at any address, or, as `*.name`, all names below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostRule {
    /// In lower case, as punycode, without a dot at its end.
    name: String,
    is_suffix: bool,
}

/// A text that is no [`HostRule`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no name such as receiver.lan or *.internal.example: addresses go into allowed_addresses")]
pub struct HostRuleError(String);

impl FromStr for HostRule {
    type Err = HostRuleError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (name, is_suffix) = text.strip_prefix("*.").map_or((text, false), |suffix| (suffix, true));
        let refused = || HostRuleError(text.to_owned());
        match Host::parse(name).map_err(|_| refused())? {
            Host::Domain(name) if !plain(&name).is_empty() && !name.contains('*') => {
                Ok(Self { name: plain(&name), is_suffix })
            }
            _ => Err(refused()),
        }
    }
}

impl HostRule {
    /// Whether the rule speaks of that name. `*.name` speaks of all names below it, not of itself.
    pub fn covers(&self, name: &str) -> bool {
        let name = plain(name);
        match name.strip_suffix(&self.name) {
            Some("") => !self.is_suffix,
            Some(below) => self.is_suffix && below.len() > 1 && below.ends_with('.'),
            None => false,
        }
    }
}

/// One name has one form: in lower case, without the dot that says that it is absolute.
pub(super) fn plain(name: &str) -> String {
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_covers_itself_in_every_form_and_nothing_else() {
        let rule: HostRule = "Receiver.LAN.".parse().unwrap();
        for (name, is_covered) in [
            ("receiver.lan", true),
            ("RECEIVER.lan", true),
            ("receiver.lan.", true),
            ("a.receiver.lan", false),
            ("lan", false),
            ("evilreceiver.lan", false),
            ("receiver.lan.example", false),
            ("", false),
        ] {
            assert_eq!(rule.covers(name), is_covered, "{name}");
        }
    }

    #[test]
    fn a_star_covers_what_is_below_and_not_the_name_itself() {
        let rule: HostRule = "*.internal.example".parse().unwrap();
        for (name, is_covered) in [
            ("a.internal.example", true),
            ("a.b.internal.example.", true),
            ("internal.example", false),
            (".internal.example", false),
            ("evilinternal.example", false),
            ("a.internal.example.evil.example", false),
        ] {
            assert_eq!(rule.covers(name), is_covered, "{name}");
        }
    }

    #[test]
    fn international_names_are_covered_as_they_are_dialled() {
        let rule: HostRule = "bücher.example".parse().unwrap();
        assert!(rule.covers("xn--bcher-kva.example"));
    }

    #[test]
    fn what_is_no_name_is_no_rule() {
        for text in [
            "",
            ".",
            "*",
            "*.",
            "10.0.0.1",
            "[::1]",
            "2130706433",
            "a b",
            "https://a.example",
            "a.example:80",
            "*.*.example",
        ] {
            assert!(text.parse::<HostRule>().is_err(), "{text:?}");
        }
    }
}
