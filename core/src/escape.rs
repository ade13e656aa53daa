//! fstab's escapes: how a path stands in one field of a line of text (the mirrortab, `.mirror/pending`).
//!
//! A space, a tab, a newline and a backslash are written as a backslash and three octal digits.

/// The bytes of a field that says `bytes`.
pub fn escaped(bytes: &[u8]) -> impl Iterator<Item = u8> {
    bytes.iter().flat_map(|&b| {
        let octal = |shift: u32| b'0'.wrapping_add(b >> shift & 7);
        let (digits, used) = match b {
            b' ' | b'\t' | b'\n' | b'\\' => ([b'\\', octal(6), octal(3), octal(0)], 4),
            _ => ([b, 0, 0, 0], 1),
        };
        digits.into_iter().take(used)
    })
}

/// What a field says. A backslash without three octal digits of a byte behind it stands for itself: the
/// kernel escapes more bytes in its own lists than [`escaped`] does, and others may have written the file.
pub fn unescaped(field: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = field;
    core::iter::from_fn(move || {
        let (&first, tail) = rest.split_first()?;
        if first == b'\\'
            && let Some([a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7']) = tail.first_chunk()
        {
            rest = tail.get(3..).unwrap_or(&[]);
            return Some((a & 7) << 6 | (b & 7) << 3 | (c & 7));
        }
        rest = tail;
        Some(first)
    })
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn both_ways() {
        let text = b"a b\t\n\\c\xff";
        let field: Vec<u8> = escaped(text).collect();
        assert_eq!(field, b"a\\040b\\011\\012\\134c\xff");
        assert!(unescaped(&field).eq(text.iter().copied()));
    }

    #[test]
    fn what_is_no_escape_stands_for_itself() {
        for same in [&b"\\"[..], b"\\04", b"\\+12", b"\\400", b"\\08x"] {
            assert!(unescaped(same).eq(same.iter().copied()), "{same:?}");
        }
        assert!(unescaped(b"\\043").eq(*b"#"), "the kernel's");
    }
}
