//! Address rules: which addresses a webhook may call.

use ipnet::IpNet;
use std::net::IpAddr;

/// The ranges that are refused unless allowed, and those that the operator allows.
#[derive(Clone, Debug, Default)]
pub struct AddressRules {
    /// Ranges that may be called although they are not globally routable.
    pub allowed: Vec<IpNet>,
}

impl AddressRules {
    /// Whether a connection to that address may be dialled.
    ///
    /// # Errors
    /// The name of the range that refuses it.
    pub fn check(&self, address: IpAddr) -> Result<(), RefusedAddress> {
        let _ = address;
        todo!()
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
}
