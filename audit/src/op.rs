//! What a change is.

/// The kinds of changes that matter when two legs are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Bytes of a file, or its size.
    Data,
    /// Mode, owner, times, extended attributes, flags.
    Attributes,
    /// Names: what is made, removed or moved.
    Names,
}

macro_rules! ops {
    ($($(#[$doc:meta])* $name:ident = $n:literal, $word:literal, $class:ident;)*) => {
        /// A change, as far as its source tells them apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Op {
            $($(#[$doc])* $name = $n,)*
        }

        impl Op {
            /// Every one.
            pub const ALL: &'static [Op] = &[$(Op::$name,)*];

            /// Its word in reports.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Op::$name => $word,)*
                }
            }

            /// What it changes.
            pub const fn class(self) -> Class {
                match self {
                    $(Op::$name => Class::$class,)*
                }
            }

            /// The one with this number.
            pub const fn of(n: u8) -> Option<Op> {
                match n {
                    $($n => Some(Op::$name),)*
                    _ => None,
                }
            }
        }
    };
}

ops! {
    /// Something that the source cannot name.
    Change = 0, "change", Data;
    /// Bytes were written: write, copy_file_range, splice, a ring.
    Write = 1, "write", Data;
    /// truncate, O_TRUNC.
    Resize = 2, "truncate", Data;
    /// fallocate, with holes or without.
    Allocate = 3, "fallocate", Data;
    /// Ranges of another file became part of it.
    Clone = 4, "clone", Data;
    /// A store through a shared mapping, or such a mapping.
    Map = 5, "mapped write", Data;
    /// A file that was open for writing was closed.
    Close = 6, "close", Data;
    /// A file was made.
    Create = 16, "create", Names;
    /// A directory was made.
    Mkdir = 17, "mkdir", Names;
    /// A fifo, socket or device was made.
    Mknod = 18, "mknod", Names;
    /// A symlink was made.
    Symlink = 19, "symlink", Names;
    /// A further name.
    Link = 20, "link", Names;
    /// A name was removed.
    Unlink = 21, "unlink", Names;
    /// A directory was removed.
    Rmdir = 22, "rmdir", Names;
    /// A name was moved, within the leg, into it or out of it.
    Rename = 23, "rename", Names;
    /// Two names were exchanged.
    Exchange = 24, "exchange", Names;
    /// Mode, owner or times; a source that cannot tell them apart says this.
    Attributes = 32, "attributes", Attributes;
    /// chmod.
    Mode = 33, "chmod", Attributes;
    /// chown.
    Owner = 34, "chown", Attributes;
    /// utimens.
    Times = 35, "utimens", Attributes;
    /// An extended attribute, or an ACL.
    Xattr = 36, "setxattr", Attributes;
    /// Flags of the inode (chattr).
    Flags = 37, "chattr", Attributes;
    /// The leg's root itself went away: removed, moved or unmounted.
    Root = 48, "leg's root", Names;
}

impl Op {
    /// Whether a name goes away by it.
    pub const fn removes(self) -> bool {
        matches!(self, Op::Unlink | Op::Rmdir | Op::Root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_of_their_ops() {
        for op in Op::ALL {
            assert_eq!(Op::of(*op as u8), Some(*op));
        }
        assert_eq!(Op::of(255), None);
    }
}
