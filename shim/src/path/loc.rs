//! What a path leads to, as a value: texts, places, and what they were reached from.
use crate::path::outside::Outside;
use crate::process::limits::park;
use mirror_core::{Errno, Leg};
use mirror_sys as sys;

pub use mirror_core::path::{Name, Path, Whole};

/// A place in a leg, by text: not yet proved.
pub struct Loc {
    /// Pair index.
    pub pair: usize,
    /// The leg that the path addresses.
    pub leg: Leg,
    /// Relative path of the object.
    pub rel: Path,
    /// Its last component.
    pub name: Name,
    /// The text ended with '/'.
    pub slash: bool,
    /// It is a directory above a root.
    pub near: bool,
    /// It is outside, in a directory that has no text.
    pub deep: bool,
    /// No path can say where in the leg it is: `rel` is its name in the anchor, which is the directory itself.
    pub held: bool,
    /// What the request started from, if that is in the leg.
    pub anchor: Anchor,
    /// A magic link of /proc led here: the object is meant, whatever its name.
    pub jump: Option<Jump>,
    /// The pair of which V was seen to be the link to leg a, for another name of this very call.
    pub led: Option<usize>,
}

/// What a magic link of /proc led to.
#[derive(Clone, Copy)]
pub struct Jump {
    /// Device and inode number.
    pub object: (u64, u64),
    /// A descriptor of this process that is open on it, or −1.
    pub fd: i32,
}

/// A directory that the kernel knows better than its text: a renamed one keeps its descriptors. Under
/// the locks `rel[..len]` must still be this very directory.
pub struct Anchor {
    /// Descriptor, AT_FDCWD, or −1 for none.
    pub fd: i32,
    /// How much of the relative text leads to it.
    pub len: usize,
    owned: bool,
}

impl Anchor {
    /// None.
    pub const fn none() -> Anchor {
        Anchor {
            fd: -1,
            len: 0,
            owned: false,
        }
    }
    /// A descriptor that leads `len` bytes of the relative text far; closed with this if `owned`.
    pub fn set(&mut self, fd: i32, len: usize, owned: bool) {
        self.drop_fd();
        *self = Anchor { fd, len, owned };
    }
    /// What is held here is not in the way of the number that the program's open is to get.
    pub fn park(&mut self) {
        if self.owned {
            self.fd = park(self.fd);
        }
    }
    /// None any more.
    pub fn drop_fd(&mut self) {
        if self.owned {
            let _ = sys::close(self.fd);
        }
        self.fd = -1;
        self.owned = false;
    }
}

impl Drop for Anchor {
    fn drop(&mut self) {
        self.drop_fd();
    }
}

impl Loc {
    /// What records say of it: its path below the leg's root, or nothing.
    pub fn text(&self) -> &[u8] {
        match self.held {
            true => b"",
            false => self.rel.as_bytes(),
        }
    }
    /// The place that a record says.
    pub fn set_text(&mut self, rel: &[u8]) {
        let _ = self.rel.set(rel);
        self.held = false;
        self.anchor.drop_fd();
    }
    /// Nowhere.
    pub fn new() -> Loc {
        Loc {
            pair: 0,
            leg: Leg::A,
            rel: Path::new(),
            name: Name::new(),
            slash: false,
            near: false,
            deep: false,
            held: false,
            anchor: Anchor::none(),
            jump: None,
            led: None,
        }
    }
}

/// What a path turned out to be.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Not ours, with the proof: the kernel shall have the call as it is.
    Out(Outside),
    /// The way there fails with this. It is the answer: asked again later, outside the locks, the
    /// kernel might find a way into a leg.
    Fail(Errno),
    /// A leg's root, or V itself (true: the symlink of a link pair).
    Root(bool),
    /// A place in a leg; the Loc says where.
    In,
    /// Below the control folder: does not exist.
    Control,
    /// An open file without a name, reached through /proc.
    Nameless,
    /// The same, but another name of it lives somewhere in the leg, and was not found.
    Linked,
}

/// How to treat the last component.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Last {
    /// The name itself, also with '/' behind it (unlink, rename, mkdir…).
    Entry,
    /// The object itself (lchown, O_NOFOLLOW…); with '/' behind it, where it leads.
    Keep,
    /// Where it leads (chmod, truncate, open…).
    Follow,
}
