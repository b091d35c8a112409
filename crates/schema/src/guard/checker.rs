//! The guard's verdict on documents alone, to be held against others' verdicts.

use super::Guard;
use crate::document::{Validator, judge};
use crate::{roots, sdl};
use hookgraph_domain::problem::Problem;

/// Judges documents of calls as the guard does, whoever calls.
pub struct CallChecker(Guard);

impl CallChecker {
    /// A checker of calls of the management API.
    ///
    /// # Errors
    /// Why the schema is none, which a test of this crate rules out.
    pub fn for_management() -> Result<Self, String> {
        let validator = Validator::of_sdl(&sdl::of(&roots::management()))?;
        Ok(Self(Guard::new(validator, judge(|| roots::proving_management(true)))))
    }

    /// Every problem of a document, whatever its variables are.
    pub fn problems(&self, text: &str) -> Vec<Problem> {
        self.0.proven(text).err().map(|problems| problems.to_vec()).unwrap_or_default()
    }
}
