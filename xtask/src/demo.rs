//! Not written yet.
use crate::Result;
pub fn demo() -> Result<bool> {
    Err("not yet".into())
}
