//! What number a user has in a user namespace: /proc/PID/uid_map (user_namespaces(7)).

/// Whom the kernel shows in the place of a user that a namespace does not map (kernel.overflowuid, if nobody has
/// changed it).
pub const NOBODY: u32 = 65534;

/// The number that a user of the namespace around has in the one with this map, the whole file. `None`: it cannot
/// be understood. (An empty one maps nobody.)
pub fn shown(map: &[u8], outside: u32) -> Option<u32> {
    if map.is_empty() {
        return Some(NOBODY);
    }
    let lines = map.strip_suffix(b"\n")?.split(|&b| b == b'\n');
    let mut found = NOBODY;
    for line in lines {
        let mut fields = line.split(|&b| b == b' ').filter(|f| !f.is_empty());
        let (first, from, count) = (
            number(fields.next()?)?,
            number(fields.next()?)?,
            number(fields.next()?)?,
        );
        if fields.next().is_some() {
            return None;
        }
        match outside.checked_sub(from) {
            Some(nth) if nth < count => found = first.checked_add(nth)?,
            _ => {}
        }
    }
    Some(found)
}

fn number(digits: &[u8]) -> Option<u32> {
    let mut n = 0u32;
    for d in digits {
        let d = d.checked_sub(b'0').filter(|d| *d < 10)?;
        n = n.checked_mul(10)?.checked_add(u32::from(d))?;
    }
    (!digits.is_empty()).then_some(n)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_have_the_numbers_that_the_kernel_shows() {
        let all = b"         0          0 4294967295\n";
        assert_eq!((shown(all, 0), shown(all, 1000)), (Some(0), Some(1000)));
        let own = b"         0       1000          1\n";
        assert_eq!(shown(own, 1000), Some(0));
        assert_eq!(
            (shown(own, 0), shown(own, 1001)),
            (Some(NOBODY), Some(NOBODY))
        );
        let two = b"0 1000 1\n1 100000 65536\n";
        assert_eq!(
            (shown(two, 100_004), shown(two, 165_535)),
            (Some(5), Some(65536))
        );
        assert_eq!(shown(two, 165_536), Some(NOBODY));
        assert_eq!(shown(b"", 0), Some(NOBODY));
        for bad in [
            &b"0 0"[..],
            b"0 0 1",
            b"0 0\n",
            b"0 0 1 2\n",
            b"a 0 1\n",
            b"0 0 4294967296\n",
        ] {
            assert_eq!(shown(bad, 0), None);
        }
    }
}
