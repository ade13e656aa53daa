//! Not written yet.
use crate::Result;
pub fn tidy() -> Result<bool> {
    Err("not yet".into())
}
