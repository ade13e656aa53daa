//! Numbers, times and paths as people read them.
use jiff::Timestamp;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path's bytes as one line of text: control characters, backslashes and what is not UTF-8 escaped.
pub fn show(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\\' => out.push_str("\\134"),
                c if c.is_control() || turns_text(c) => {
                    let mut b = [0; 4];
                    for byte in c.encode_utf8(&mut b).bytes() {
                        out.push_str(&format!("\\{byte:03o}"));
                    }
                }
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\{byte:03o}"));
        }
    }
    out
}

/// What changes the direction of the text around it (Unicode's bidirectional controls): a name that has one
/// could look like another on a terminal.
fn turns_text(c: char) -> bool {
    matches!(c, '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// [`show`] for a path.
pub fn path(p: &Path) -> String {
    show(p.as_os_str().as_bytes())
}

/// Longest path that a report writes out: a longer one no program could be given anyway.
const SHOWN: usize = 4095;

/// A path below a leg for a report. Of one that is longer than a path may be, the beginning and the end:
/// whole names, and how many bytes are between them.
pub fn below(rel: &[u8]) -> String {
    const END: usize = 512;
    if rel.len() <= SHOWN {
        return show(rel);
    }
    let slash = |b: &u8| *b == b'/';
    let (first, last) = (&rel[..END], &rel[rel.len() - END..]);
    let first = &first[..first.iter().rposition(slash).map_or(END, |i| i + 1)];
    let last = &last[last.iter().position(slash).unwrap_or(0)..];
    let between = rel.len() - first.len() - last.len();
    format!(
        "{}[{} bytes]{}",
        show(first),
        count(between as u64),
        show(last)
    )
}

/// The path as one word that every POSIX shell takes, on one line of text. Control characters and what is
/// not UTF-8 go through printf.
pub fn shell(p: &Path) -> String {
    let mut bytes = p.as_os_str().as_bytes().to_vec();
    if bytes.first() == Some(&b'-') {
        bytes.splice(0..0, *b"./");
    }
    let plain = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    match std::str::from_utf8(&bytes) {
        Ok(s) if !s.is_empty() && s.chars().all(plain) => return s.into(),
        Ok(s) if !s.chars().any(char::is_control) => {
            return format!("'{}'", s.replace('\'', "'\\''"));
        }
        _ => {}
    }
    if bytes.ends_with(b"\n") {
        // $(…) drops newlines at its end.
        bytes.push(b'/');
    }
    let safe: String = show(&bytes)
        .chars()
        .map(|c| match c {
            '\'' => "\\047".into(),
            '%' => "%%".into(),
            c => c.to_string(),
        })
        .collect();
    format!("\"$(printf '{safe}')\"")
}

/// The way out that a message names, for the code it ends with: `M-NNN`.
pub fn code(text: &str) -> Option<&str> {
    let at = text.rfind("M-")?;
    let code = text.get(at..at + 5)?;
    code[2..]
        .bytes()
        .all(|b| b.is_ascii_digit())
        .then_some(code)
}

/// Bytes of a path for the tab and the pending log: fstab's escapes.
pub fn escape(bytes: &[u8]) -> Vec<u8> {
    mirror_core::escape::escaped(bytes).collect()
}

/// The inverse of [`escape`].
pub fn unescape(bytes: &[u8]) -> Vec<u8> {
    mirror_core::escape::unescaped(bytes).collect()
}

/// The word that was probably meant: one that begins so, else the one with the fewest typing errors.
pub fn near<'a>(typed: &str, words: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    const ERRORS: usize = 4;
    words
        .map(|w| {
            (
                !w.starts_with(typed),
                strsim::damerau_levenshtein(typed, w),
                w,
            )
        })
        .min()
        .filter(|(other, errors, w)| !other || *errors <= ERRORS.min(w.len() / 2))
        .map(|(.., w)| w)
}

/// 1204551 → 1,204,551
pub fn count(n: u64) -> String {
    let s = n.to_string();
    let mut out = String::new();
    for (i, c) in s.chars().enumerate() {
        if i > 0 && (s.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// 3 → "3 files", 1 → "1 file".
pub fn plural(n: u64, one: &str) -> String {
    let many = match one.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{one}s"),
    };
    format!("{} {}", count(n), if n == 1 { one } else { &many })
}

/// Three significant digits and a binary unit.
pub fn bytes(n: u64) -> String {
    const UNITS: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut v, mut u) = (n as f64, 0);
    while v >= 1000.0 && u + 1 < UNITS.len() {
        v /= 1024.0;
        u += 1;
    }
    match (u, v) {
        (0, _) => format!("{n} B"),
        (_, v) if v < 10.0 => format!("{v:.2} {}", UNITS[u]),
        (_, v) if v < 100.0 => format!("{v:.1} {}", UNITS[u]),
        (_, v) => format!("{v:.0} {}", UNITS[u]),
    }
}

/// A user's name, or `user N`.
pub fn user(uid: u32) -> String {
    let mut buf = vec![0u8; 4096];
    // SAFETY: a zeroed passwd is a valid out-buffer; the strings that the call points it to lie in
    // `buf`, which is read before it is dropped.
    unsafe {
        let mut pwd: libc::passwd = std::mem::zeroed();
        let mut found = std::ptr::null_mut();
        let r = libc::getpwuid_r(
            uid,
            &mut pwd,
            buf.as_mut_ptr().cast(),
            buf.len(),
            &mut found,
        );
        if r == 0 && !found.is_null() && !pwd.pw_name.is_null() {
            return show(std::ffi::CStr::from_ptr(pwd.pw_name).to_bytes());
        }
    }
    format!("user {uid}")
}

/// Seconds since 1970.
pub fn now() -> u64 {
    u64::try_from(Timestamp::now().as_second()).unwrap_or(0)
}

/// ISO-8601 in UTC, to the second. A time beyond the year 9999 is shown as the last one before.
pub fn iso(secs: u64) -> String {
    let secs = i64::try_from(secs).unwrap_or(i64::MAX);
    Timestamp::from_second(secs)
        .unwrap_or(Timestamp::MAX)
        .strftime("%Y-%m-%dT%H:%M:%SZ")
        .to_string()
}

/// Seconds of what [`iso`] wrote.
pub fn from_iso(s: &str) -> Option<u64> {
    let t: Timestamp = s.trim().parse().ok()?;
    let secs = u64::try_from(t.as_second()).ok()?;
    (iso(secs) == s.trim()).then_some(secs)
}

/// How long ago, in one unit: "3 d ago".
pub fn ago(then: u64) -> String {
    let s = now().saturating_sub(then);
    match s {
        0..120 => format!("{s} s ago"),
        120..7200 => format!("{} min ago", s / 60),
        7200..172_800 => format!("{} h ago", s / 3600),
        _ => format!("{} d ago", s / 86400),
    }
}

/// For what is no text.
pub fn base64(b: &[u8]) -> String {
    const T: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for c in b.chunks(3) {
        let v = u32::from(c[0]) << 16
            | u32::from(*c.get(1).unwrap_or(&0)) << 8
            | u32::from(*c.get(2).unwrap_or(&0));
        for i in 0..4 {
            out.push(if i <= c.len() {
                T[(v >> (18 - 6 * i)) as usize & 63] as char
            } else {
                '='
            });
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_there_and_back() {
        for t in [0, 951_782_399, 951_782_400, 1_709_164_800, 4_102_444_799] {
            assert_eq!(from_iso(&iso(t)), Some(t));
        }
        assert_eq!(iso(951_782_400), "2000-02-29T00:00:00Z");
        for bad in [
            "yesterday",
            "2026-11-27",
            "2026-11-27T10:00:00+01:00",
            "2026-11-27T10:00:00.5Z",
        ] {
            assert_eq!(from_iso(bad), None, "{bad}");
        }
        assert_eq!(iso(u64::MAX), "9999-12-30T22:00:00Z");
    }

    #[test]
    fn what_turns_text_round_is_written_as_bytes() {
        assert_eq!(show("a\u{202e}txt.sh".as_bytes()), "a\\342\\200\\256txt.sh");
        assert_eq!(show("שלום".as_bytes()), "שלום");
    }

    #[test]
    fn numbers_and_names() {
        assert_eq!(count(1_204_551), "1,204,551");
        assert_eq!(
            (bytes(999), bytes(1 << 30), bytes(412 << 30)),
            ("999 B".into(), "1.00 GiB".into(), "412 GiB".into())
        );
        assert_eq!(
            (plural(1, "entry"), plural(2, "entry"), plural(0, "file")),
            ("1 entry".into(), "2 entries".into(), "0 files".into())
        );
        assert_eq!(show(b"a\nb\\\xff"), "a\\012b\\134\\377");
        assert_eq!(below(&b"d/".repeat(2000)), "d/".repeat(2000));
        let long = [&b"top/"[..], &b"dir/".repeat(1200), b"end"].concat();
        let shown = below(&long);
        assert!(
            shown.starts_with("top/dir/") && shown.ends_with("/dir/end"),
            "{shown}"
        );
        let middle = &shown[shown.find('[').unwrap()..=shown.find(']').unwrap()];
        let bytes = (long.len() - (shown.len() - middle.len())) as u64;
        assert_eq!(middle, format!("[{} bytes]", count(bytes)));
        let word = |s: &[u8]| shell(Path::new(std::ffi::OsStr::from_bytes(s)));
        assert_eq!(word(b"/a-b.c"), "/a-b.c");
        assert_eq!(word(b"/a b$x"), "'/a b$x'");
        assert_eq!(word(b"/it's"), "'/it'\\''s'");
        assert_eq!(word(b"-x"), "./-x");
        assert_eq!(word(b"/a\nb'%"), "\"$(printf '/a\\012b\\047%%')\"");
        assert_eq!(word(b"/\xff\n"), "\"$(printf '/\\377\\012/')\"");
        let words = || ["on-failure", "on-full", "uid"].into_iter();
        assert_eq!(near("on-fail", words()), Some("on-failure"));
        assert_eq!(near("no-full", words()), Some("on-full"));
        assert_eq!(near("gid", words()), Some("uid"));
        assert_eq!(near("stripes", words()), None);
        assert_eq!((code("no (M-203)"), code("M-x")), (Some("M-203"), None));
        assert_eq!(unescape(&escape(b"a b\t\n\\c")), b"a b\t\n\\c");
        assert_eq!(
            (base64(b"f"), base64(b"fo"), base64(b"foo")),
            ("Zg==".into(), "Zm8=".into(), "Zm9v".into())
        );
    }
}
