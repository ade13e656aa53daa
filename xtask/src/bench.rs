//! Not written yet.
use crate::Result;
pub fn bench(_quick: bool) -> Result<bool> {
    Err("not yet".into())
}
