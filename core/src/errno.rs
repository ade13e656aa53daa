//! Error numbers and what a partner's error means for the pair (design: classes of partner errors).

/// A Linux error number (errno(3)), positive.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
#[repr(transparent)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident = $v:literal),* $(,)?) => {
        #[allow(missing_docs)]
        impl Errno { $(pub const $name: Errno = Errno($v);)*
            /// The symbolic name, or "E?" for a number that is not in the table.
            pub const fn name(self) -> &'static str { match self.0 { $($v => stringify!($name),)* _ => "E?" } }
        }
    };
}

errnos! {
    EPERM = 1, ENOENT = 2, ESRCH = 3, EINTR = 4, EIO = 5, ENXIO = 6, E2BIG = 7, ENOEXEC = 8, EBADF = 9,
    EAGAIN = 11, ENOMEM = 12, EACCES = 13, EFAULT = 14, EBUSY = 16, EEXIST = 17, EXDEV = 18, ENODEV = 19,
    ENOTDIR = 20, EISDIR = 21, EINVAL = 22, ENFILE = 23, EMFILE = 24, ENOTTY = 25, ETXTBSY = 26, EFBIG = 27,
    ENOSPC = 28, ESPIPE = 29, EROFS = 30, EMLINK = 31, EPIPE = 32, ERANGE = 34, EDEADLK = 35,
    ENAMETOOLONG = 36, ENOLCK = 37, ENOSYS = 38, ENOTEMPTY = 39, ELOOP = 40, ENODATA = 61, EPROTO = 71,
    EOVERFLOW = 75, EILSEQ = 84, EOPNOTSUPP = 95, ESHUTDOWN = 108, ETIMEDOUT = 110, ENOTCONN = 107,
    EHOSTDOWN = 112, EHOSTUNREACH = 113, ESTALE = 116, EREMOTEIO = 121, EDQUOT = 122, ENOMEDIUM = 123,
}

impl core::fmt::Debug for Errno {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{}({})", self.name(), self.0)
    }
}

/// What the failure of the partner leg means (design §5). The table is total: an unknown number is
/// treated as a refusal, which undoes and never changes the pair's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The leg itself is failing: policy decides.
    Leg,
    /// No space, or the leg cannot do this: undo, both stay equal, errno to the program.
    Refusal,
    /// Somebody changed one tree alone: this object is pending, the leg stays.
    Semantic,
    /// Only this process cannot: never changes the pair's state; undo.
    ProcessLocal,
}

impl Errno {
    /// The class of this error when the *partner* leg answers it.
    pub const fn class(self) -> ErrorClass {
        use ErrorClass::*;
        match self {
            Errno::EIO
            | Errno::ENODEV
            | Errno::ENXIO
            | Errno::ENOTCONN
            | Errno::ESTALE
            | Errno::ETIMEDOUT
            | Errno::EROFS
            | Errno::ESHUTDOWN
            | Errno::EHOSTDOWN
            | Errno::EHOSTUNREACH
            | Errno::EREMOTEIO
            | Errno::ENOMEDIUM => Leg,
            Errno::ENOENT
            | Errno::EEXIST
            | Errno::ENOTEMPTY
            | Errno::ENOTDIR
            | Errno::EISDIR
            | Errno::EACCES
            | Errno::EPERM
            | Errno::ELOOP
            | Errno::EXDEV
            | Errno::ENODATA
            | Errno::EBUSY => Semantic,
            Errno::EMFILE
            | Errno::ENFILE
            | Errno::ENOMEM
            | Errno::EINTR
            | Errno::EFAULT
            | Errno::EAGAIN
            | Errno::EBADF
            | Errno::ENOLCK => ProcessLocal,
            _ => Refusal,
        }
    }
}
