//! Failures of an exchange: from the client's nested errors to a stable code and plain words.
//!
//! Words are ours for every case: the errors' own texts may hold URLs, and change with every update of a library.

use super::clients::NoClient;
use super::names::NameError;
use crate::limits::DETAIL_BYTES_MAX;
use hookgraph_domain::address::RefusedAddress;
use hookgraph_domain::attempt::OutcomeCode;
use rustls::{AlertDescription, CertificateError};
use std::error::Error as StdError;
use std::io;

/// Why there is no whole answer.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) code: OutcomeCode,
    pub(super) detail: String,
}

impl Failure {
    pub(super) fn new(code: OutcomeCode, detail: impl Into<String>) -> Self {
        let mut detail = detail.into();
        detail.truncate(detail.floor_char_boundary(DETAIL_BYTES_MAX));
        Self { code, detail }
    }

    pub(super) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(OutcomeCode::InvalidRequest, detail)
    }

    /// The URL's own host may not be called.
    pub(super) fn refused(refused: &RefusedAddress) -> Self {
        Self::new(OutcomeCode::AddressRefused, refused.to_string())
    }

    /// No client under the webhook's TLS settings.
    pub(super) fn of_client(error: NoClient) -> Self {
        match error {
            NoClient::Unusable(fault) => Self::new(OutcomeCode::TlsFailed, fault.message),
            NoClient::Broken(error) => {
                tracing::error!(%error, "no client can be made under the TLS settings of a webhook");
                Self::new(OutcomeCode::ServerFault, "no connection can be made under the webhook's TLS settings")
            }
        }
    }

    pub(super) fn timeout(what: &str, timeout_ms: u32) -> Self {
        Self::new(OutcomeCode::Timeout, format!("{what} within {timeout_ms} ms"))
    }

    /// The failure that a client's error stands for.
    pub(super) fn of(error: &reqwest::Error) -> Self {
        if error.is_builder() {
            return Self::invalid("the URL cannot be sent");
        }
        let causes = causes(error);
        if let Some(name) = causes.iter().find_map(|cause| cause.downcast_ref::<NameError>()) {
            return Self::of_name(name);
        }
        if let Some(tls) = causes.iter().find_map(|cause| cause.downcast_ref::<rustls::Error>()) {
            return Self::new(OutcomeCode::TlsFailed, tls_words(tls));
        }
        let io = causes.iter().filter_map(|cause| cause.downcast_ref::<io::Error>()).next_back();
        if ran_out_of_time(error, &causes) {
            return Self::new(OutcomeCode::Timeout, "no connection was made in time");
        }
        if error.is_connect() {
            return Self::of_connect(io);
        }
        let http = causes.iter().find_map(|cause| cause.downcast_ref::<hyper::Error>());
        Self::of_answer(http, io)
    }

    /// The same where an egress proxy stands between: what keeps this server from its proxy is a fault of ours.
    pub(super) fn of_proxied(error: &reqwest::Error) -> Self {
        let causes = causes(error);
        let has = |words: &str| causes.iter().any(|cause| cause.to_string().contains(words));
        // Where time ran out nothing says whether the proxy or the receiver kept silent.
        let is_dialling = error.is_connect()
            && !ran_out_of_time(error, &causes)
            && !causes.iter().any(|cause| cause.is::<rustls::Error>());
        let reached = has("tunnel error") && !has("failed to create underlying connection");
        if is_dialling && has("proxy authorization required") {
            return Self::new(OutcomeCode::ServerFault, "the egress proxy wants another user name or password");
        }
        if is_dialling && reached {
            return Self::new(OutcomeCode::ConnectFailed, "the egress proxy does not connect to the receiver");
        }
        if is_dialling {
            return Self::new(OutcomeCode::ServerFault, "the egress proxy cannot be reached");
        }
        Self::of(error)
    }

    fn of_name(error: &NameError) -> Self {
        match error {
            NameError::Refused => Self::new(OutcomeCode::AddressRefused, error.to_string()),
            NameError::Empty => Self::new(OutcomeCode::DnsFailed, "the name has no address"),
            NameError::Ours(words) => Self::new(OutcomeCode::ServerFault, *words),
            NameError::Failed(error) if is_ours(error) => Self::without_socket(),
            NameError::Failed(error) => {
                Self::new(OutcomeCode::DnsFailed, format!("the name does not resolve: {error}"))
            }
        }
    }

    fn without_socket() -> Self {
        Self::new(OutcomeCode::ServerFault, "this server has no free socket")
    }

    fn of_connect(io: Option<&io::Error>) -> Self {
        if io.is_some_and(is_ours) {
            return Self::without_socket();
        }
        let words = match io.map(io::Error::kind) {
            Some(io::ErrorKind::ConnectionRefused) => "the connection was refused",
            Some(io::ErrorKind::ConnectionReset) => "the connection was reset while it was being made",
            Some(io::ErrorKind::HostUnreachable) => "the host is unreachable",
            Some(io::ErrorKind::NetworkUnreachable) => "the network is unreachable",
            Some(io::ErrorKind::TimedOut) => "the connection was not answered",
            // A TCP connect never ends so: this is a TLS handshake that was cut.
            Some(io::ErrorKind::UnexpectedEof) => {
                return Self::new(OutcomeCode::TlsFailed, "the connection was closed during the TLS handshake");
            }
            _ => "no connection could be made",
        };
        Self::new(OutcomeCode::ConnectFailed, words)
    }

    fn of_answer(http: Option<&hyper::Error>, io: Option<&io::Error>) -> Self {
        let closed = http.is_some_and(|http| http.is_incomplete_message() || http.is_closed() || http.is_canceled())
            || io.is_some_and(|io| cuts_connection(io.kind()));
        if closed {
            return Self::new(OutcomeCode::ConnectionClosed, "the connection was closed before the answer ended");
        }
        Self::new(OutcomeCode::ProtocolError, "the answer is not valid HTTP, or its head is longer than what is read")
    }
}

/// Whether all the time that the making of a connection may take has passed. What the system says of one address alone is an
/// I/O error.
fn ran_out_of_time(error: &reqwest::Error, causes: &[&(dyn StdError + 'static)]) -> bool {
    error.is_connect() && error.is_timeout() && !causes.iter().any(|cause| cause.is::<io::Error>())
}

/// Out of file descriptors, buffers or local ports: the receiver had no part in it.
fn is_ours(error: &io::Error) -> bool {
    const ENFILE: i32 = 23;
    const EMFILE: i32 = 24;
    const ENOBUFS: i32 = 105;
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error().is_some_and(|code| [ENFILE, EMFILE, ENOBUFS].contains(&code))
}

fn cuts_connection(kind: io::ErrorKind) -> bool {
    matches!(
        kind,
        io::ErrorKind::UnexpectedEof
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::NotConnected
            | io::ErrorKind::TimedOut
    )
}

/// The error and all beneath it. What an I/O error carries is not its source, so it is looked into as well.
fn causes<'a>(error: &'a (dyn StdError + 'static)) -> Vec<&'a (dyn StdError + 'static)> {
    let mut causes = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        causes.push(cause);
        let carried = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match carried {
            Some(carried) => Some(carried),
            None => cause.source(),
        };
    }
    causes
}

/// What receivers say of a client certificate that is missing or that they do not take.
const fn wants_another_certificate(alert: AlertDescription) -> bool {
    use AlertDescription as Alert;
    matches!(
        alert,
        Alert::AccessDenied
            | Alert::BadCertificate
            | Alert::CertificateExpired
            | Alert::CertificateRequired
            | Alert::CertificateRevoked
            | Alert::CertificateUnknown
            | Alert::NoCertificate
            | Alert::UnknownCA
            | Alert::UnsupportedCertificate
    )
}

fn tls_words(error: &rustls::Error) -> String {
    let words = match error {
        rustls::Error::InvalidCertificate(certificate) => match certificate {
            CertificateError::UnknownIssuer => "the certificate's issuer is not trusted",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => "the certificate has expired",
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                "the certificate is not valid yet"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate is for another name"
            }
            CertificateError::Revoked => "the certificate is revoked",
            _ => "the certificate is not valid, or signed by itself",
        },
        rustls::Error::InvalidMessage(_) => "the receiver does not speak TLS on this port",
        rustls::Error::AlertReceived(alert) if wants_another_certificate(*alert) => {
            "the receiver wants a client certificate that it trusts"
        }
        rustls::Error::AlertReceived(_) => "the receiver ended the TLS handshake",
        rustls::Error::PeerIncompatible(_) => "the receiver speaks no version of TLS that is safe",
        rustls::Error::NoApplicationProtocol => "the receiver offers neither HTTP/1.1 nor HTTP/2",
        _ => "the TLS handshake failed",
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_detail_is_cut_at_its_bound_between_two_characters() {
        let longest = "x".repeat(DETAIL_BYTES_MAX);
        for given in [longest.clone(), format!("{longest}y")] {
            assert_eq!(Failure::invalid(given).detail, longest);
        }
        let shorter = &longest[1..];
        assert_eq!(Failure::invalid(format!("{shorter}\u{e9}")).detail, shorter);
    }

    #[test]
    fn running_out_of_sockets_is_a_fault_of_ours() {
        for code in [23, 24, 99, 105] {
            let failure = Failure::of_connect(Some(&io::Error::from_raw_os_error(code)));
            assert_eq!(failure.code, OutcomeCode::ServerFault, "{code}");
        }
        let refused = Failure::of_connect(Some(&io::Error::from(io::ErrorKind::ConnectionRefused)));
        assert_eq!(refused.code, OutcomeCode::ConnectFailed);
    }

    #[test]
    fn a_look_up_that_fails_of_this_server_is_a_fault_of_ours() {
        let failed = |error| Failure::of_name(&NameError::Failed(Arc::new(error)));
        for code in [23, 24, 99, 105] {
            assert_eq!(failed(io::Error::from_raw_os_error(code)).code, OutcomeCode::ServerFault, "{code}");
        }
        let unknown = failed(io::Error::new(io::ErrorKind::NotFound, "no such host"));
        assert_eq!(unknown.code, OutcomeCode::DnsFailed);
        let ours = Failure::of_name(&NameError::Ours("no place"));
        assert_eq!((ours.code, ours.detail.as_str()), (OutcomeCode::ServerFault, "no place"));
    }
}
