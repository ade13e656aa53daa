//! One physical tree: its root, its objects, their contents.
pub mod beneath;
pub mod content;
pub mod differs;
pub mod flags;
pub mod locks;
pub mod mounts;
pub mod object;
pub mod outer;
pub mod probe;
pub mod symlink;
