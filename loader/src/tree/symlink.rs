//! Where the text of a symlink leads.
use super::beneath::split;

/// Whether a symlink's text, taken literally, leads out of the tree.
pub fn leads_out(root: &[u8], rel: &[u8], target: &[u8]) -> bool {
    if target.first() == Some(&b'/') {
        return target
            .strip_prefix(root)
            .is_none_or(|r| !r.is_empty() && r[0] != b'/');
    }
    let (dir, _) = split(rel);
    let mut depth = dir.split(|&c| c == b'/').filter(|p| !p.is_empty()).count();
    for part in target.split(|&c| c == b'/') {
        match part {
            b"" | b"." => {}
            b".." if depth == 0 => return true,
            b".." => depth -= 1,
            _ => depth += 1,
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::leads_out;

    #[test]
    fn texts_are_judged() {
        for (rel, target, out) in [
            (&b"a"[..], &b"b"[..], false),
            (b"a", b"../b", true),
            (b"d/a", b"../b", false),
            (b"d/a", b"../../b", true),
            (b"a", b"/leg/x", false),
            (b"a", b"/legs", true),
            (b"a", b"/etc", true),
        ] {
            assert_eq!(
                leads_out(b"/leg", rel, target),
                out,
                "{}",
                String::from_utf8_lossy(target)
            );
        }
    }
}
