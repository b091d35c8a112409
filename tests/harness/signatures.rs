//! Checks both signatures of a request with the receiver's own code.

use super::SIGNATURE_SECRET;
use hookgraph_testkit::receiver::{ReceivedRequest, jwt_claims, standard_webhook};

/// Verifies both signatures with the installation's secret; `url` is the configured one.
///
/// # Errors
/// What does not match.
pub fn verify_signatures(request: &ReceivedRequest, url: &str) -> anyhow::Result<()> {
    let claims = jwt_claims(request, url, SIGNATURE_SECRET)?;
    anyhow::ensure!(claims.exp > claims.iat, "the signature is never valid");
    standard_webhook(request, url, SIGNATURE_SECRET)?;
    Ok(())
}
