//! Tokens: an `authorization` is one bearer token or refused, and one that an operator may choose can be shown.

use hookgraph_server::auth::{AuthError, ShownToken, check_chosen_token};
use secrecy::SecretString;

pub fn hold(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match ShownToken::read(Some(text)) {
        Ok(shown) => {
            let (scheme, token) = text.trim().split_once(' ').expect("a scheme and a token");
            assert!(scheme.eq_ignore_ascii_case("bearer"), "{text:?}");
            assert_eq!(ShownToken::read(Some(&format!("BEARER {}", token.trim()))).ok(), Some(shown), "{text:?}");
        }
        Err(error) => {
            assert!(matches!(error, AuthError::Missing | AuthError::Malformed));
            // The refusals of what was not shown at all, and of another text: what is refused is not repeated.
            let refusal = |shown| ShownToken::read(shown).err().map(|error| error.to_string());
            let fixed = [refusal(None), refusal(Some("x"))];
            assert!(fixed.contains(&Some(error.to_string())), "the refusal repeats {text:?}");
        }
    }
    if check_chosen_token(&SecretString::from(text.to_owned())).is_ok() {
        assert!(ShownToken::read(Some(&format!("Bearer {text}"))).is_ok(), "{text:?}");
    }
}
