//! mirror-loader: the parts of the `mirror` command that other programs may use.
pub mod image;
pub mod verdict;
