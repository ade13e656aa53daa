//! Lexical work on path texts. Nothing here is believed: a text only becomes a place in a leg when
//! the kernel has proved it (`openat2` with BENEATH and NO_SYMLINKS).

/// Longest path text the kernel takes, with its NUL (PATH_MAX, limits.h).
pub const PATH_MAX: usize = 4096;
/// Longest name (NAME_MAX).
pub const NAME_MAX: usize = 255;
/// The control folder at each leg's root. It does not exist for preloaded programs.
pub const CONTROL: &[u8] = b".mirror";

/// A path text.
pub type Path = PathText<PATH_MAX>;
/// A last component, with the '/' it was given with. Some file systems count characters, not bytes.
pub type Name = PathText<1024>;
/// Room for a directory's text and a path below it.
pub type Whole = PathText<{ 2 * PATH_MAX }>;

/// A path text in a buffer of its own; never allocates.
#[derive(Clone)]
pub struct PathText<const N: usize = PATH_MAX> {
    buf: [u8; N],
    len: usize,
}

/// The text does not fit (ENAMETOOLONG).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooLong;

impl<const N: usize> PathText<N> {
    /// The empty text.
    pub const fn new() -> Self {
        PathText {
            buf: [0; N],
            len: 0,
        }
    }
    /// A copy of `s`.
    pub fn from_bytes(s: &[u8]) -> Result<Self, TooLong> {
        let mut t = Self::new();
        t.set(s)?;
        Ok(t)
    }
    /// Replaces the text.
    pub fn set(&mut self, s: &[u8]) -> Result<(), TooLong> {
        self.len = 0;
        self.append(s)
    }
    /// Appends bytes; room for the NUL is kept.
    pub fn append(&mut self, s: &[u8]) -> Result<(), TooLong> {
        let end = self.len.checked_add(s.len()).ok_or(TooLong)?;
        if end >= N {
            return Err(TooLong);
        }
        let Some(room) = self.buf.get_mut(self.len..end) else {
            return Err(TooLong);
        };
        room.copy_from_slice(s);
        self.len = end;
        if let Some(z) = self.buf.get_mut(end) {
            *z = 0;
        }
        Ok(())
    }
    /// Appends one component, with a '/' in between where one is needed.
    pub fn push(&mut self, name: &[u8]) -> Result<(), TooLong> {
        if self.len > 0 && self.as_bytes().last() != Some(&b'/') {
            self.append(b"/")?;
        }
        self.append(name)
    }
    /// Drops the last component ("/a/b" → "/a", "/a" → "/", "a" → "").
    pub fn pop(&mut self) {
        let cut = match self.as_bytes().iter().rposition(|&c| c == b'/') {
            Some(0) => 1.min(self.len),
            Some(i) => i,
            None => 0,
        };
        self.truncate(cut);
    }
    /// Shortens the text to `n` bytes.
    pub fn truncate(&mut self, n: usize) {
        if n <= self.len {
            self.len = n;
            if let Some(z) = self.buf.get_mut(n) {
                *z = 0;
            }
        }
    }
    /// The bytes, without the NUL.
    pub fn as_bytes(&self) -> &[u8] {
        self.buf.get(..self.len).unwrap_or(&[])
    }
    /// Pointer to the NUL-terminated text, for system calls.
    pub fn as_ptr(&self) -> *const u8 {
        self.buf.as_ptr()
    }
    /// The whole buffer, for a system call to fill; follow with [`Self::set_len`].
    pub fn buffer(&mut self) -> &mut [u8] {
        &mut self.buf
    }
    /// Declares how many bytes of the buffer are text.
    pub fn set_len(&mut self, n: usize) {
        let n = n.min(N.saturating_sub(1));
        self.len = n;
        if let Some(z) = self.buf.get_mut(n) {
            *z = 0;
        }
    }
    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.len
    }
    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl<const N: usize> Default for PathText<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// Where a text stands relative to a root (both absolute and normal).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Under<'a> {
    /// The root itself.
    Root,
    /// Below it: the relative text, without a leading '/'.
    Below(&'a [u8]),
    /// The text is a proper ancestor of the root.
    Ancestor,
    /// Neither.
    Outside,
}

/// Compares two absolute, normal texts component-wise.
pub fn under<'a>(root: &[u8], text: &'a [u8]) -> Under<'a> {
    if root == b"/" {
        return match text {
            b"/" => Under::Root,
            [b'/', rest @ ..] => Under::Below(rest),
            _ => Under::Outside,
        };
    }
    if let Some(rest) = text.strip_prefix(root) {
        return match rest {
            [] => Under::Root,
            [b'/', rel @ ..] => Under::Below(rel),
            _ => Under::Outside,
        };
    }
    if text == b"/" {
        return Under::Ancestor;
    }
    match root.strip_prefix(text) {
        Some([b'/', ..]) => Under::Ancestor,
        _ => Under::Outside,
    }
}

/// How exact a lexical normalisation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exact {
    /// No ".." stood behind a named component: the text walks the very components it names.
    Yes,
    /// A ".." followed a name that may be a symlink: only the kernel can say where this leads.
    DotDot,
}

/// Appends the components of `text` to `base` (absolute, canonical), removing "." and "//" and
/// folding "..". `base` is kept as root when `text` is absolute.
pub fn join<const N: usize>(base: &mut PathText<N>, text: &[u8]) -> Result<Exact, TooLong> {
    let mut exact = Exact::Yes;
    let mut named = false;
    if text.first() == Some(&b'/') {
        base.set(b"/")?;
    }
    for c in text.split(|&c| c == b'/') {
        match c {
            b"" | b"." => {}
            b".." => {
                if named {
                    exact = Exact::DotDot;
                }
                base.pop();
                if base.is_empty() {
                    base.set(b"/")?;
                }
            }
            name => {
                named = true;
                base.push(name)?;
            }
        }
    }
    Ok(exact)
}

/// Splits into (parent, last component); trailing slashes belong to neither and are reported.
/// "a/b//" → ("a", "b", true); "b" → ("", "b", false); "/" → ("/", "", true).
pub fn split(text: &[u8]) -> (&[u8], &[u8], bool) {
    let mut end = text.len();
    while end > 0 && text.get(end.wrapping_sub(1)) == Some(&b'/') {
        end = end.wrapping_sub(1);
    }
    let slash = end < text.len();
    let t = text.get(..end).unwrap_or(&[]);
    if t.is_empty() {
        return (if text.is_empty() { b"" } else { b"/" }, b"", slash);
    }
    match t.iter().rposition(|&c| c == b'/') {
        None => (b"", t, slash),
        Some(0) => (b"/", t.get(1..).unwrap_or(&[]), slash),
        Some(i) => (
            t.get(..i).unwrap_or(&[]),
            t.get(i.wrapping_add(1)..).unwrap_or(&[]),
            slash,
        ),
    }
}

/// Whether a relative text inside a leg names the control folder or something below it.
pub fn is_control(rel: &[u8]) -> bool {
    match rel.strip_prefix(CONTROL) {
        Some(rest) => rest.is_empty() || rest.first() == Some(&b'/'),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn norm(base: &[u8], t: &[u8]) -> (PathText<64>, Exact) {
        let mut b = PathText::<64>::from_bytes(base).unwrap();
        let e = join(&mut b, t).unwrap();
        (b, e)
    }

    #[test]
    fn join_normalises() {
        for (base, t, want, e) in [
            (&b"/a/b"[..], &b"c"[..], &b"/a/b/c"[..], Exact::Yes),
            (b"/a/b", b"../c", b"/a/c", Exact::Yes),
            (b"/a/b", b"../../../c", b"/c", Exact::Yes),
            (b"/a/b", b"x/../c", b"/a/b/c", Exact::DotDot),
            (b"/a/b", b"/x//y/./z/", b"/x/y/z", Exact::Yes),
            (b"/", b"x", b"/x", Exact::Yes),
            (b"/a", b".", b"/a", Exact::Yes),
            (b"/a", b"/", b"/", Exact::Yes),
        ] {
            let (got, ex) = norm(base, t);
            assert_eq!((got.as_bytes(), ex), (want, e));
        }
    }

    #[test]
    fn under_is_by_component() {
        assert_eq!(under(b"/a/b", b"/a/b"), Under::Root);
        assert_eq!(under(b"/a/b", b"/a/b/c"), Under::Below(b"c"));
        assert_eq!(under(b"/a/b", b"/a/bc"), Under::Outside);
        assert_eq!(under(b"/a/b", b"/a"), Under::Ancestor);
        assert_eq!(under(b"/a/b", b"/"), Under::Ancestor);
        assert_eq!(under(b"/a/b", b"/x"), Under::Outside);
    }

    #[test]
    fn split_keeps_the_slash() {
        assert_eq!(split(b"a/b//"), (&b"a"[..], &b"b"[..], true));
        assert_eq!(split(b"b"), (&b""[..], &b"b"[..], false));
        assert_eq!(split(b"/b"), (&b"/"[..], &b"b"[..], false));
        assert_eq!(split(b"/"), (&b"/"[..], &b""[..], true));
        assert_eq!(split(b""), (&b""[..], &b""[..], false));
    }

    #[test]
    fn control_is_a_component() {
        assert!(is_control(b".mirror") && is_control(b".mirror/locks"));
        assert!(!is_control(b".mirrors") && !is_control(b"d/.mirror"));
    }

    #[test]
    fn too_long_is_an_error() {
        let mut t = PathText::<8>::new();
        assert_eq!(t.set(b"12345678"), Err(TooLong));
        assert_eq!(t.set(b"1234567"), Ok(()));
    }
}
