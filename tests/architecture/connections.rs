//! Connections to elsewhere: only the transport behind the address filter opens them.

use super::sources;

/// The names by which code opens a connection to elsewhere. The database's own connections are opened by the libraries
/// that speak its protocol.
const OPENING: &[&str] =
    &["reqwest::Client", "reqwest::get", "TcpStream::connect", "UdpSocket", "TcpSocket", "hyper_util::client"];

#[test]
fn nothing_but_the_checked_transport_opens_connections() {
    let opens = |(_, text): &(String, String)| OPENING.iter().any(|word| text.contains(word));
    let opening: Vec<_> = sources().into_iter().filter(opens).map(|(path, _)| path).collect();
    // The look-up of names asks the system for its route to addresses that have passed the filter, and sends nothing.
    // The collector's address is in the operator's configuration, in which no tenant has a say.
    let known =
        ["dispatcher/src/transport/clients.rs", "dispatcher/src/transport/names.rs", "server/src/traces/collector.rs"];
    assert_eq!(opening, known, "call the address filter's transport instead");
}
