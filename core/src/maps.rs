//! A line of /proc/PID/maps (proc_pid_maps(5)): `start-end perms offset device inode   path`.

/// One mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mapping<'a> {
    /// First address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    /// Whether stores reach the file.
    pub shared: bool,
    /// What is mapped; of a file that has lost its name with ` (deleted)` behind it, newlines as `\012`.
    /// Empty: memory without a file.
    pub path: &'a [u8],
}

impl Mapping<'_> {
    /// The last component of the path.
    pub fn name(&self) -> &[u8] {
        let slash = self.path.iter().rposition(|&b| b == b'/');
        let at = slash.map_or(0, |i| i.wrapping_add(1));
        self.path.get(at..).unwrap_or(&[])
    }
}

/// Reads a line without its newline; `None`: it is no such line.
pub fn parse(line: &[u8]) -> Option<Mapping<'_>> {
    let mut fields = line.splitn(6, |&b| b == b' ');
    let (range, perms) = (fields.next()?, fields.next()?);
    let dash = range.iter().position(|&b| b == b'-')?;
    let (start, end) = (hex(range.get(..dash)?)?, hex(range.get(dash..)?.get(1..)?)?);
    let [_, _, _, kind @ (b's' | b'p')] = perms else {
        return None;
    };
    // Offset, device, inode: they must be there.
    fields.nth(2)?;
    let padded = fields.next().unwrap_or(&[]);
    let blanks = padded.iter().take_while(|&&b| b == b' ').count();
    (start <= end).then_some(Mapping {
        start,
        end,
        shared: *kind == b's',
        path: padded.get(blanks..).unwrap_or(&[]),
    })
}

fn hex(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0u64, |v, &d| {
        let d = match d {
            b'0'..=b'9' => d.wrapping_sub(b'0'),
            b'a'..=b'f' => d.wrapping_sub(b'a').wrapping_add(10),
            _ => return None,
        };
        Some(v << 4 | u64::from(d))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_kernel() {
        let m =
            parse(b"7f1c000-7f1d000 rw-s 00000000 fe:00 1234                  /srv/a b").unwrap();
        assert_eq!((m.start, m.end, m.shared), (0x7f1_c000, 0x7f1_d000, true));
        assert_eq!((m.path, m.name()), (&b"/srv/a b"[..], &b"a b"[..]));
        let m = parse(b"7f1c000-7f1d000 r-xp 00000000 00:00 0 ").unwrap();
        assert_eq!((m.shared, m.path), (false, &b""[..]));
        let m = parse(b"ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0   [vsyscall]");
        assert_eq!(m.unwrap().name(), b"[vsyscall]");
    }

    #[test]
    fn other_lines() {
        for bad in [
            &b""[..],
            b"7f1c000 rw-s 0 0 0 /a",
            b"-1 rw-s 0 0 0 /a",
            b"2-1 rw-s 0 0 0 /a",
            b"1-2 rw-x 0 0 0 /a",
            b"1-2 rw-s 0 0",
            b"1-11111111111111111 rw-s 0 0 0 /a",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
