//! Why a change went round the mirror.

macro_rules! whys {
    ($($(#[$doc:meta])* $name:ident, $key:literal, $word:literal;)*) => {
        /// Why a change was not carried out on both legs.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Why {
            $($(#[$doc])* $name,)*
        }

        impl Why {
            /// Every one.
            pub const ALL: &'static [Why] = &[$(Why::$name,)*];

            /// In a line of the audit.
            pub const fn word(self) -> &'static str {
                match self {
                    $(Why::$name => $word,)*
                }
            }

            /// In JSON and metrics.
            pub const fn key(self) -> &'static str {
                match self {
                    $(Why::$name => $key,)*
                }
            }
        }
    };
}

whys! {
    /// Who it was is not known, or has ended.
    #[default]
    Unknown, "unknown", "unknown";
    /// A program that can be mirrored and was started without the library.
    NotPreloaded, "not-preloaded", "not preloaded";
    /// A static program.
    Static, "static", "static";
    /// A set-id program, or one with file capabilities.
    SetId, "set-id", "set-id";
    /// A Go program.
    Go, "go", "Go";
    /// Another C library, or none.
    NoLibc, "no-libc", "no glibc";
    /// A program of another architecture, or no ELF file.
    Foreign, "foreign", "foreign";
    /// The kernel itself: nfsd, a loop device, swap.
    Kernel, "kernel", "kernel";
    /// A mirrored program's call that the library does not see.
    Call, "call", "call past the library";
    /// A ring of io_uring.
    Ring, "io-uring", "io_uring";
    /// A store through a mapping.
    Mapping, "mapping", "mapping";
    /// A mirrored program; why this change has no match is not known.
    Mirrored, "mirrored", "mirrored program";
}
