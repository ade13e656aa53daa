//! Entries of a listing, as the kernel gives them.

/// An entry of a listing.
pub struct Entry<'a> {
    /// Inode number.
    pub ino: u64,
    /// Where the listing goes on.
    pub next: i64,
    /// DT_ type.
    pub kind: u8,
    /// Its name.
    pub name: &'a [u8],
}

/// The entry at `at` and where the next one begins: d_ino 8, d_off 8, d_reclen 2, d_type 1, name, NUL.
pub fn entry(buf: &[u8], at: usize) -> Option<(Entry<'_>, usize)> {
    let word = |from: usize| -> Option<u64> {
        let from = at.checked_add(from)?;
        let bytes = buf.get(from..from.checked_add(8)?)?;
        Some(u64::from_le_bytes(bytes.try_into().ok()?))
    };
    let (ino, next, rest) = (word(0)?, word(8)?, word(16)?);
    let [lo, hi, kind, ..] = rest.to_le_bytes();
    let end = at.checked_add(usize::from(u16::from_le_bytes([lo, hi])))?;
    let name = buf.get(at.checked_add(19)?..end)?;
    let name = name.split(|&b| b == 0).next().unwrap_or(&[]);
    let e = Entry {
        ino,
        next: next as i64,
        kind,
        name,
    };
    Some((e, end))
}
