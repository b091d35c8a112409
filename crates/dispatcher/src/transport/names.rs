//! Names to addresses, and the filter between them: a name whose answers are not all allowed is not dialled at all.
//!
//! The HTTP client asks this resolver at the dial and dials exactly what it answers, so a name that is bound anew between a
//! check and a dial gains nothing. It does not ask for hosts that are addresses already: those are checked on the URL.

use super::look_ups::LookUps;
use async_trait::async_trait;
use hookgraph_domain::address::{AddressRules, RefusedAddress};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use url::{Host, Url};

/// Looks names up.
#[async_trait]
pub trait NameResolver: Send + Sync {
    /// All addresses of the name.
    ///
    /// # Errors
    /// What the look-up failed of.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// The system's resolver: a look-up holds a thread until it ends, whether or not someone still waits for it.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemNames;

#[async_trait]
impl NameResolver for SystemNames {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Why a name is not dialled.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum NameError {
    #[error("the name cannot be looked up")]
    Failed(#[source] Arc<io::Error>),
    /// A fault of ours, in plain words.
    #[error("{0}")]
    Ours(&'static str),
    #[error("the name has no address")]
    Empty,
    /// Without the address: attempts are shown to tenants, who must not learn from them what internal names resolve to.
    #[error("the name leads to an address that webhooks may not call")]
    Refused,
}

/// The client's resolver hook. Clones share their bounds.
#[derive(Clone)]
pub(super) struct CheckedNames {
    names: LookUps,
    rules: Option<Arc<AddressRules>>,
}

impl CheckedNames {
    /// Without rules every address passes: what is asked for then is the name of the operator's own proxy.
    pub(super) fn new(names: LookUps, rules: Option<Arc<AddressRules>>) -> Self {
        Self { names, rules }
    }
}

impl Resolve for CheckedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { names, rules } = self.clone();
        Box::pin(async move {
            let addresses = reachable(checked(&names, rules.as_deref(), name.as_str()).await?, has_route);
            // Port 0 stands for the URL's.
            let addresses: Addrs = Box::new(addresses.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

/// The addresses to dial for a name.
pub(super) async fn checked(
    names: &LookUps,
    rules: Option<&AddressRules>,
    name: &str,
) -> Result<Vec<IpAddr>, NameError> {
    let addresses = names.addresses(name).await?;
    if addresses.is_empty() {
        return Err(NameError::Empty);
    }
    if let Some(rules) = rules {
        for address in &addresses {
            if let Err(RefusedAddress { address, range, .. }) = rules.check_resolved(name, *address) {
                tracing::debug!(host = name, %address, range, "a name leads to an address that is refused");
                return Err(NameError::Refused);
            }
        }
    }
    Ok(addresses)
}

/// Without the addresses to which this machine has no route, where it has one to others: the client tells the failure of the last
/// address alone, and an address family that this machine lacks is no fault of the receiver's, nor one that hides the receiver's.
fn reachable(addresses: Vec<IpAddr>, has_route: impl Fn(IpAddr) -> bool) -> Vec<IpAddr> {
    let routed: Vec<IpAddr> = addresses.iter().copied().filter(|address| has_route(*address)).collect();
    if routed.is_empty() { addresses } else { routed }
}

/// Whether this machine has an address to send from to that one; of IPv4 that is taken for granted. Nothing is sent: a datagram socket
/// that is connected has its route.
fn has_route(address: IpAddr) -> bool {
    const ANY_PORT: u16 = 9;
    address.is_ipv4()
        || UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_ok_and(|socket| socket.connect((address, ANY_PORT)).is_ok())
}

/// The address and port that the URL's host is, in any of its spellings: WHATWG parsing has made `127.1` and `0x7f.1` one
/// already.
pub(super) fn literal_address(url: &Url) -> Option<SocketAddr> {
    let address: IpAddr = match url.host()? {
        Host::Domain(_) => return None,
        Host::Ipv4(address) => address.into(),
        Host::Ipv6(address) => address.into(),
    };
    Some(SocketAddr::new(address, url.port_or_known_default()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_family_without_a_route_is_left_out_where_there_is_another() {
        let addresses =
            |texts: &[&str]| texts.iter().map(|text| text.parse().expect("an address")).collect::<Vec<IpAddr>>();
        let both = addresses(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]);
        assert_eq!(reachable(both.clone(), |address| address.is_ipv4()), addresses(&["192.0.2.1", "192.0.2.2"]));
        assert_eq!(reachable(both.clone(), |_| true), both);
        assert_eq!(reachable(both.clone(), |_| false), both);
        let only = addresses(&["2001:db8::1"]);
        assert_eq!(reachable(only.clone(), |address| address.is_ipv4()), only);
    }

    #[test]
    fn ipv4_needs_no_look_at_the_routes() {
        assert!(has_route("192.0.2.1".parse().expect("an address")));
    }
}
