//! Core files, which the kernel writes when nobody is there any more to see it: where they go, and the list of
//! the directories of a pair in which one may appear (`.mirror/cores` of leg a). A line is the path of a directory
//! below the root (`.`: the root itself), written as in `.mirror/pending`.

/// The list, below leg a.
pub const FILE: &[u8] = b".mirror/cores";
/// It does not become longer: then any directory may have one.
pub const LONGEST: u64 = 256 * 1024;
/// The longest path in it.
pub const PATH: usize = 1024;
/// Where the kernel says how they are called.
pub const PATTERN: &[u8] = b"/proc/sys/kernel/core_pattern";

/// Where core files go, by the kernel's pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    /// The directory, as far as it is the same for all processes; from the process's own one, unless it begins
    /// with a slash.
    pub dir: &'a [u8],
    /// They are in directories below it.
    pub deeper: bool,
}

/// `None`: to another program, or over a socket.
pub fn place(pattern: &[u8]) -> Option<Place<'_>> {
    let text = pattern.split(|b| matches!(b, 0 | b'\n')).next()?;
    if matches!(text.first(), Some(b'|' | b'@')) {
        return None;
    }
    let above = |t: &[u8]| t.iter().rposition(|b| *b == b'/');
    let whole = above(text);
    let mut end = whole;
    let fixed = |end: usize| text.get(..end).unwrap_or(&[]);
    let varies = whole.and_then(|e| fixed(e).iter().position(|b| *b == b'%'));
    if let Some(at) = varies {
        end = above(fixed(at));
    }
    let dir = match end {
        None => b".",
        Some(0) => &b"/"[..],
        Some(e) => fixed(e),
    };
    Some(Place {
        dir,
        deeper: varies.is_some(),
    })
}

/// The lines of the list; the root is the empty path. With the escapes of `crate::escape`.
pub fn lines(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let all = list.split(|b| *b == b'\n').filter(|l| !l.is_empty());
    all.map(|l| if l == b"." { &[][..] } else { l })
}

/// What is read of a file to tell.
pub const HEAD: usize = 18;

/// Whether a file that begins so is a core file: ELF, of type ET_CORE.
pub fn is_core(head: &[u8; HEAD]) -> bool {
    let [0x7f, b'E', b'L', b'F', _, order, .., a, b] = *head else {
        return false;
    };
    // ELFDATA2MSB
    let kind = if order == 2 {
        u16::from_be_bytes([a, b])
    } else {
        u16::from_le_bytes([a, b])
    };
    kind == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pattern: &[u8]) -> Option<(&[u8], bool)> {
        place(pattern).map(|p| (p.dir, p.deeper))
    }

    #[test]
    fn places() {
        assert_eq!(of(b"core\n"), Some((&b"."[..], false)));
        assert_eq!(of(b"%e.%p"), Some((&b"."[..], false)));
        assert_eq!(of(b""), Some((&b"."[..], false)));
        assert_eq!(of(b"sub/core.%p\n"), Some((&b"sub"[..], false)));
        assert_eq!(of(b"../core\0/x"), Some((&b".."[..], false)));
        assert_eq!(of(b"a/%h/core"), Some((&b"a"[..], true)));
        assert_eq!(of(b"%h/core"), Some((&b"."[..], true)));
        assert_eq!(of(b"/core"), Some((&b"/"[..], false)));
        assert_eq!(of(b"/%u/core"), Some((&b"/"[..], true)));
        assert_eq!(of(b"/var/cores/x-%p"), Some((&b"/var/cores"[..], false)));
        assert_eq!(of(b"|/usr/lib/handler %p"), None);
        assert_eq!(of(b"@/run/socket"), None);
    }

    #[test]
    fn heads() {
        let mut head = *b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x04\0";
        assert!(is_core(&head));
        head[16] = 2;
        assert!(!is_core(&head));
        (head[5], head[16], head[17]) = (2, 0, 4);
        assert!(is_core(&head));
        head[0] = 0;
        assert!(!is_core(&head));
    }
}
