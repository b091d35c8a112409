//! Address rules: which addresses a webhook may call.
//!
//! Refused by default is everything that is not globally routable (IANA's special-purpose registries), judged on the
//! address that is dialled. IPv6 forms by which an IPv4 address is reached (mapped, NAT64) are judged as that address. What is
//! public and the operator's own is refused where the operator says so.

mod hosts;

pub use hosts::{HostRule, HostRuleError};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use url::Host;

/// IPv4 ranges that are not globally routable, with what they are for. Azure's host has a public address, but answers the machines
/// on it alone, with their settings and secrets.
const REFUSED_V4: [([u8; 4], u8, &str); 16] = [
    ([0, 0, 0, 0], 8, "this network"),
    ([10, 0, 0, 0], 8, "private use"),
    ([100, 64, 0, 0], 10, "carrier-grade NAT"),
    ([127, 0, 0, 0], 8, "loopback"),
    ([168, 63, 129, 16], 32, "Azure's host"),
    ([169, 254, 0, 0], 16, "link local"),
    ([172, 16, 0, 0], 12, "private use"),
    ([192, 0, 0, 0], 24, "protocol assignments"),
    ([192, 0, 2, 0], 24, "documentation"),
    ([192, 88, 99, 0], 24, "6to4 relays"),
    ([192, 168, 0, 0], 16, "private use"),
    ([198, 18, 0, 0], 15, "benchmarking"),
    ([198, 51, 100, 0], 24, "documentation"),
    ([203, 0, 113, 0], 24, "documentation"),
    ([224, 0, 0, 0], 4, "multicast"),
    ([240, 0, 0, 0], 4, "reserved, and broadcast"),
];

/// IPv6 ranges that are not globally routable, with what they are for; after unwrapping what carries an IPv4 address.
const REFUSED_V6: [([u16; 8], u8, &str); 12] = [
    ([0x64, 0xff9b, 1, 0, 0, 0, 0, 0], 48, "local NAT64"),
    ([0, 0, 0, 0, 0, 0, 0, 0], 8, "loopback, unspecified and reserved"),
    ([0x100, 0, 0, 0, 0, 0, 0, 0], 64, "discard"),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, "protocol assignments"),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, "documentation"),
    ([0x2002, 0, 0, 0, 0, 0, 0, 0], 16, "6to4"),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, "documentation"),
    ([0x5f00, 0, 0, 0, 0, 0, 0, 0], 16, "segment routing"),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, "unique local"),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, "link local"),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, "site local"),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, "multicast"),
];

/// What the operator refuses and allows beside the ranges that are refused by default.
#[derive(Clone, Debug, Default)]
pub struct AddressRules {
    /// Ranges that may never be called, whatever else allows them. An IPv4 range refuses the IPv6 forms that carry its
    /// addresses too.
    pub refused: Vec<IpNet>,
    /// Ranges that may be called although they are not globally routable. An IPv4 range allows the IPv6 forms that carry
    /// its addresses too.
    pub allowed: Vec<IpNet>,
    /// Names that may be called at whatever address they resolve to.
    pub allowed_hosts: Vec<HostRule>,
}

impl AddressRules {
    /// Whether a connection to that address may be dialled.
    ///
    /// # Errors
    /// The name of the range that refuses it.
    pub fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        self.check_operators(address)?;
        if containing(&self.allowed, address).is_some() {
            return Ok(());
        }
        match refusing_range(unwrapped(address)) {
            Some(range) => Err(RefusedAddress { address, range, is_by_operator: false }),
            None => Ok(()),
        }
    }

    /// Whether a connection to that address may be dialled for that name.
    ///
    /// # Errors
    /// The name of the range that refuses it.
    pub fn check_resolved(&self, name: &str, address: IpAddr) -> Result<(), RefusedAddress> {
        if self.allows_host(name) { self.check_operators(address) } else { self.check(address) }
    }

    /// Whether a URL's host may be called as far as its text says: an IP literal by its address, `localhost` by the two
    /// loopback addresses, of which one must be allowed. Other names are judged by what they resolve to when dialled.
    ///
    /// # Errors
    /// The name of the range that refuses it.
    pub fn check_host(&self, host: &Host<&str>) -> Result<(), RefusedAddress> {
        match host {
            Host::Ipv4(address) => self.check((*address).into()),
            Host::Ipv6(address) => self.check((*address).into()),
            Host::Domain(name) if is_localhost(name) => {
                let loopback = self.check_resolved(name, Ipv4Addr::LOCALHOST.into());
                loopback.or_else(|refused| self.check_resolved(name, Ipv6Addr::LOCALHOST.into()).map_err(|_| refused))
            }
            Host::Domain(_) => Ok(()),
        }
    }

    fn check_operators(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        match containing(&self.refused, address) {
            Some(range) => {
                let range = format!("{range} (refused by the operator)");
                Err(RefusedAddress { address, range, is_by_operator: true })
            }
            None => Ok(()),
        }
    }

    fn allows_host(&self, name: &str) -> bool {
        self.allowed_hosts.iter().any(|rule| rule.covers(name))
    }
}

/// An address that may not be called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{address} is in {range}, which webhooks may not call")]
pub struct RefusedAddress {
    /// The address.
    pub address: IpAddr,
    /// Its range, with what it is for.
    pub range: String,
    /// Whether the operator refuses it: nothing can allow it then.
    pub is_by_operator: bool,
}

/// RFC 6761: `localhost` and all names below it mean this machine. A name with more than one dot at its end is none, but who
/// knows what a resolver makes of it.
fn is_localhost(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || name.ends_with(".localhost")
}

/// The range among these that has the address, or the one that it carries.
fn containing(ranges: &[IpNet], address: IpAddr) -> Option<&IpNet> {
    let judged = unwrapped(address);
    ranges.iter().find(|range| range.contains(&judged) || range.contains(&address))
}

/// The IPv4 address that an IPv6 address carries, or the address itself.
fn unwrapped(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => carried(address).map_or(IpAddr::V6(address), IpAddr::V4),
    }
}

fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let [a, b, c, d, e, f, high, low] = address.segments();
    // ::ffff:0:0/96 (mapped, RFC 4291), 64:ff9b::/96 (NAT64, RFC 6052).
    let carries = matches!([a, b, c, d, e, f], [0, 0, 0, 0, 0, 0xffff] | [0x64, 0xff9b, 0, 0, 0, 0]);
    carries.then(|| Ipv4Addr::from((u32::from(high) << 16) | u32::from(low)))
}

fn refusing_range(address: IpAddr) -> Option<String> {
    match address {
        IpAddr::V4(address) => REFUSED_V4.iter().find_map(|(start, prefix, what_for)| {
            let range = Ipv4Net::new(Ipv4Addr::from(*start), *prefix).ok()?;
            range.contains(&address).then(|| format!("{range} ({what_for})"))
        }),
        IpAddr::V6(address) => REFUSED_V6.iter().find_map(|(start, prefix, what_for)| {
            let range = Ipv6Net::new(Ipv6Addr::from(*start), *prefix).ok()?;
            range.contains(&address).then(|| format!("{range} ({what_for})"))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn refused(rules: &AddressRules, address: &str) -> bool {
        rules.check(address.parse().unwrap()).is_err()
    }

    #[test]
    fn the_first_and_last_address_of_every_range_is_refused_and_their_neighbours_are_not() {
        let rules = AddressRules::default();
        for (first, last, before, after) in [
            ("0.0.0.0", "0.255.255.255", None, Some("1.0.0.0")),
            ("10.0.0.0", "10.255.255.255", Some("9.255.255.255"), Some("11.0.0.0")),
            ("100.64.0.0", "100.127.255.255", Some("100.63.255.255"), Some("100.128.0.0")),
            ("127.0.0.0", "127.255.255.255", Some("126.255.255.255"), Some("128.0.0.0")),
            ("168.63.129.16", "168.63.129.16", Some("168.63.129.15"), Some("168.63.129.17")),
            ("169.254.0.0", "169.254.255.255", Some("169.253.255.255"), Some("169.255.0.0")),
            ("172.16.0.0", "172.31.255.255", Some("172.15.255.255"), Some("172.32.0.0")),
            ("192.0.0.0", "192.0.0.255", Some("191.255.255.255"), Some("192.0.1.0")),
            ("192.0.2.0", "192.0.2.255", Some("192.0.1.255"), Some("192.0.3.0")),
            ("192.88.99.0", "192.88.99.255", Some("192.88.98.255"), Some("192.88.100.0")),
            ("192.168.0.0", "192.168.255.255", Some("192.167.255.255"), Some("192.169.0.0")),
            ("198.18.0.0", "198.19.255.255", Some("198.17.255.255"), Some("198.20.0.0")),
            ("198.51.100.0", "198.51.100.255", Some("198.51.99.255"), Some("198.51.101.0")),
            ("203.0.113.0", "203.0.113.255", Some("203.0.112.255"), Some("203.0.114.0")),
            ("224.0.0.0", "239.255.255.255", Some("223.255.255.255"), None),
            ("240.0.0.0", "255.255.255.255", None, None),
            ("::", "ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
            ("64:ff9b:1::", "64:ff9b:1:ffff:ffff:ffff:ffff:ffff", None, None),
            ("100::", "100::ffff:ffff:ffff:ffff", None, Some("100:0:0:1::")),
            ("2001::", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2000:ffff::"), Some("2001:200::")),
            ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:db7:ffff::"), Some("2001:db9::")),
            ("2002::", "2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("2001:ffff::"), Some("2003::")),
            ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Some("3ffe:ffff::"), Some("3fff:1000::")),
            ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("5eff:ffff::"), Some("5f01::")),
            ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("fbff:ffff::"), Some("fe00::")),
            ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some("fe7f:ffff::"), None),
            ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
            ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", None, None),
        ] {
            assert!(refused(&rules, first), "{first}");
            assert!(refused(&rules, last), "{last}");
            for neighbour in [before, after].into_iter().flatten() {
                assert!(!refused(&rules, neighbour), "{neighbour}");
            }
        }
    }

    #[test]
    fn an_address_that_carries_another_is_judged_as_that_one() {
        let rules = AddressRules::default();
        for (address, is_refused) in [
            ("::ffff:127.0.0.1", true),
            ("::ffff:10.1.2.3", true),
            ("::ffff:168.63.129.16", true),
            ("64:ff9b::168.63.129.16", true),
            ("::ffff:8.8.8.8", false),
            ("64:ff9b::192.168.1.1", true),
            ("64:ff9b::8.8.8.8", false),
            ("::169.254.169.254", true),
            ("::8.8.8.8", true),
            ("::ffff:0:127.0.0.1", true),
            ("::ffff:0:8.8.8.8", true),
            ("::", true),
            ("::1", true),
            ("2606:4700::1111", false),
            ("8.8.8.8", false),
        ] {
            assert_eq!(refused(&rules, address), is_refused, "{address}");
        }
    }

    #[test]
    fn a_refusal_names_the_address_and_its_range() {
        let error = AddressRules::default().check("::ffff:10.0.0.1".parse().unwrap()).unwrap_err();
        assert_eq!(error.to_string(), "::ffff:10.0.0.1 is in 10.0.0.0/8 (private use), which webhooks may not call");
    }

    #[test]
    fn an_allowed_range_may_be_called_in_every_form_and_no_more() {
        let rules = AddressRules {
            allowed: vec!["10.1.0.0/16".parse().unwrap(), "fd00::/8".parse().unwrap()],
            ..AddressRules::default()
        };
        for (address, is_refused) in [
            ("10.1.2.3", false),
            ("::ffff:10.1.2.3", false),
            ("10.2.0.0", true),
            ("fd12::1", false),
            ("fc00::1", true),
            ("127.0.0.1", true),
        ] {
            assert_eq!(refused(&rules, address), is_refused, "{address}");
        }
    }

    #[test]
    fn what_the_operator_refuses_is_refused_in_every_form_whatever_is_allowed() {
        let networks = |texts: &[&str]| -> Vec<IpNet> { texts.iter().map(|text| text.parse().unwrap()).collect() };
        let rules = AddressRules {
            refused: networks(&["8.8.4.0/24", "2606:4700:64::/96", "10.1.2.0/24", "127.0.0.0/8", "::1/128"]),
            allowed: networks(&["8.8.0.0/16", "10.1.0.0/16", "127.0.0.0/8"]),
            allowed_hosts: vec!["receiver.lan".parse().unwrap(), "localhost".parse().unwrap()],
        };
        for (address, is_refused) in [
            ("8.8.4.4", true),
            ("::ffff:8.8.4.4", true),
            ("64:ff9b::8.8.4.4", true),
            ("8.8.5.0", false),
            ("2606:4700:64::8.8.8.8", true),
            ("2606:4700:65::8.8.8.8", false),
            ("10.1.2.3", true),
            ("10.1.3.3", false),
        ] {
            assert_eq!(refused(&rules, address), is_refused, "{address}");
            let resolved = rules.check_resolved("receiver.lan", address.parse().unwrap());
            assert_eq!(resolved.is_err(), is_refused, "{address}, of an allowed name");
        }
        assert!(rules.check_resolved("receiver.lan", "192.168.0.1".parse().unwrap()).is_ok());
        assert!(rules.check_host(&Host::Domain("localhost")).is_err());
        let error = rules.check("::ffff:8.8.4.4".parse().unwrap()).unwrap_err();
        assert_eq!((error.range.as_str(), error.is_by_operator), ("8.8.4.0/24 (refused by the operator)", true));
        assert!(!rules.check("192.168.0.1".parse().unwrap()).unwrap_err().is_by_operator);
    }

    #[test]
    fn a_host_is_judged_by_its_text_where_that_is_an_address_or_localhost() {
        let open = AddressRules::default();
        let local = AddressRules { allowed: vec!["127.0.0.0/8".parse().unwrap()], ..AddressRules::default() };
        for (url, open_refuses, local_refuses) in [
            ("http://127.0.0.1/", true, false),
            ("http://2130706433/", true, false),
            ("http://0x7f.1/", true, false),
            ("http://[::1]/", true, true),
            ("http://[::ffff:127.0.0.1]/", true, false),
            ("http://localhost/", true, false),
            ("http://LOCALHOST./", true, false),
            ("http://a.localhost/", true, false),
            ("http://a.localhost../", true, false),
            ("http://localhost.../", true, false),
            ("http://localhost.example/", false, false),
            ("http://receiver.example/", false, false),
            ("http://8.8.8.8/", false, false),
        ] {
            let url = url::Url::parse(url).unwrap();
            let host = url.host().unwrap();
            assert_eq!(open.check_host(&host).is_err(), open_refuses, "{url}");
            assert_eq!(local.check_host(&host).is_err(), local_refuses, "{url}");
        }
    }

    #[test]
    fn an_allowed_host_may_be_called_wherever_it_is_and_no_other() {
        let rules = AddressRules {
            allowed_hosts: vec!["receiver.lan".parse().unwrap(), "*.localhost".parse().unwrap()],
            ..AddressRules::default()
        };
        let inside: IpAddr = "10.0.0.1".parse().unwrap();
        assert!(rules.check_resolved("receiver.lan.", inside).is_ok());
        assert!(rules.check_resolved("other.lan", inside).is_err());
        assert!(rules.check(inside).is_err());
        assert!(rules.check_host(&Host::Domain("a.localhost")).is_ok());
        assert!(rules.check_host(&Host::Domain("localhost")).is_err());
    }

    proptest! {
        #[test]
        fn an_ipv4_address_and_the_forms_that_carry_it_are_judged_alike(bits in any::<u32>()) {
            let rules = AddressRules::default();
            let plain = Ipv4Addr::from(bits);
            let expected = rules.check(plain.into()).map_err(|refused| refused.range);
            for prefix in ["::ffff:", "64:ff9b::"] {
                let carrying = Ipv6Addr::from(u128::from(format!("{prefix}0.0.0.0").parse::<Ipv6Addr>().unwrap()) | u128::from(bits));
                prop_assert_eq!(rules.check(carrying.into()).map_err(|refused| refused.range), expected.clone());
            }
        }
    }
}
