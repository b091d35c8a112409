//! The guard's verdict on documents alone, for tests that compare it with the verdicts of other implementations.

use super::Guard;
use crate::document::{Validator, judge};
use crate::{roots, sdl};
use hookgraph_domain::problem::Problem;

/// Judges documents of calls as the guard does, without a caller.
pub struct CallChecker(Guard);

impl CallChecker {
    /// A checker of calls of the management API.
    ///
    /// # Errors
    /// The fault of the schema, which a test of this crate rules out.
    pub fn for_management() -> Result<Self, String> {
        let validator = Validator::of_sdl(&sdl::of(&roots::management()))?;
        Ok(Self(Guard::new(validator, judge(|| roots::proving_management(true)))))
    }

    /// Every problem that a document has with any values of its variables.
    pub fn problems(&self, text: &str) -> Vec<Problem> {
        self.0.proven(text).err().map(|problems| problems.to_vec()).unwrap_or_default()
    }
}
