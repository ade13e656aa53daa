//! Texts: the tab, paths, lines of the kernel's and of our own lists.
use crate::Source;
use mirror_core::escape::{escaped, unescaped};
use mirror_core::maps;
use mirror_core::path::{self, Exact, PathText, Under};
use mirror_core::tab::{self, Entry};

/// Absolute, no empty part, none of "." and "..", no NUL: what the kernel finds the same thing by.
fn is_normal(p: &[u8]) -> bool {
    let part = |c: &[u8]| !matches!(c, b"" | b"." | b"..") && !c.contains(&0);
    p == b"/"
        || p.strip_prefix(b"/")
            .is_some_and(|r| r.split(|&c| c == b'/').all(part))
}

/// An entry that was taken: its paths are what the library relies on, and its line can be written.
fn entry_is_sound(e: &Entry<'_>) {
    let [v, a, b] = e.paths();
    assert!([v, a, b].into_iter().all(|p| is_normal(p) && p != b"/"));
    assert!(!tab::overlap(a, b) && !tab::overlap(b, a));
    assert!(e.in_place() || [a, b].into_iter().all(|l| !tab::overlap(v, l)));
    let mut line = Vec::new();
    for p in [v, a, b] {
        line.extend(escaped(p));
        line.push(b' ');
    }
    let mut room = [0; tab::ROOM];
    let mut again = Entry::over(&mut room);
    // A '#' may begin a path only behind another field, and paths begin with '/'.
    assert_eq!(tab::parse_line(&line, e.line, &mut again), Ok(true));
    assert_eq!(again.paths(), [v, a, b]);
}

/// The mirrortab, and the variable MIRROR.
pub fn tab(data: &[u8]) {
    let mut room = [0; tab::ROOM];
    let mut e = Entry::over(&mut room);
    let mut lines = 0usize;
    for (number, line) in tab::lines(data) {
        lines += 1;
        assert_eq!(number as usize, lines);
        if tab::parse_line(line, number, &mut e) == Ok(true) {
            assert_eq!(e.line, number);
            entry_is_sound(&e);
        }
    }
    let newlines = data.iter().filter(|&&b| b == b'\n').count();
    assert_eq!(lines, newlines + 1);
    if tab::parse_mirror(data, &mut e).is_ok() {
        entry_is_sound(&e);
    }
    // A line that has what a line needs.
    let mut s = Source(data);
    let fields = [s.text(), s.text(), s.text(), s.0];
    let line = [
        b"/", fields[0], b" /", fields[1], b"\t/", fields[2], b" ", fields[3],
    ]
    .concat();
    if tab::parse_line(&line, 1, &mut e) == Ok(true) {
        entry_is_sound(&e);
    }
}

/// Joining, splitting and comparing of paths.
pub fn paths(data: &[u8]) {
    let mut s = Source(data);
    let (base, text) = (s.text(), s.text());
    let mut at = PathText::<512>::new();
    // A base is always absolute and canonical.
    if at.set(b"/").is_err() || path::join(&mut at, base).is_err() {
        return;
    }
    let root = at.clone();
    joined(&mut at, &root, text);
    splits(text);
    related(root.as_bytes(), at.as_bytes());
    let slash = text.iter().position(|&b| b == b'/').unwrap_or(text.len());
    assert_eq!(path::is_control(text), &text[..slash] == path::CONTROL);
}

fn joined(at: &mut PathText<512>, root: &PathText<512>, text: &[u8]) {
    let Ok(exact) = path::join(at, text) else {
        assert!(root.len() + text.len() + 2 >= 512, "it would have fitted");
        return;
    };
    // The same, with a list of parts.
    let parts = |p: &'_ [u8]| -> Vec<Vec<u8>> {
        let named = p.split(|&c| c == b'/').filter(|c| !c.is_empty());
        named.map(<[u8]>::to_vec).collect()
    };
    let mut model = if text.first() == Some(&b'/') {
        Vec::new()
    } else {
        parts(root.as_bytes())
    };
    let mut named = false;
    let mut folds = false;
    for part in parts(text) {
        match &part[..] {
            b"." => {}
            b".." => {
                folds |= named;
                model.pop();
            }
            _ => {
                named = true;
                model.push(part);
            }
        }
    }
    let whole: Vec<u8> = [b"/".to_vec(), model.join(&b'/')].concat();
    assert_eq!(at.as_bytes(), whole);
    assert_eq!(exact == Exact::DotDot, folds);
    let mut up = at.clone();
    up.pop();
    model.pop();
    assert_eq!(up.as_bytes(), [b"/".to_vec(), model.join(&b'/')].concat());
}

fn splits(text: &[u8]) {
    let (parent, name, slash) = path::split(text);
    assert_eq!(slash, text.last() == Some(&b'/'));
    assert!(!name.contains(&b'/'));
    let bare = text.len() - text.iter().rev().take_while(|&&b| b == b'/').count();
    let bare = &text[..bare];
    match parent {
        b"" => assert_eq!(name, bare),
        b"/" if name.is_empty() => assert!(bare.is_empty() && !text.is_empty()),
        b"/" => assert!(bare == [b"/", name].concat() || bare == [b"//", name].concat()),
        _ => assert_eq!([parent, b"/", name].concat(), bare),
    }
}

/// Two absolute, normal texts.
fn related(root: &[u8], text: &[u8]) {
    match path::under(root, text) {
        Under::Root => assert_eq!(root, text),
        Under::Below(rel) => {
            let mut whole = PathText::<1024>::from_bytes(root).expect("room");
            whole.push(rel).expect("room");
            assert_eq!(whole.as_bytes(), text);
            assert_eq!(path::under(text, root), Under::Ancestor);
        }
        Under::Ancestor => assert!(matches!(path::under(text, root), Under::Below(_))),
        Under::Outside => assert_eq!(path::under(text, root), Under::Outside),
    }
}

/// A line of /proc/PID/maps.
pub fn maps_line(data: &[u8]) {
    if let Some(m) = maps::parse(data) {
        assert!(m.start <= m.end && data.ends_with(m.path) && m.path.first() != Some(&b' '));
        assert!(m.path.ends_with(m.name()) && !m.name().contains(&b'/'));
    }
    let mut s = Source(data);
    let (start, end, shared) = (s.number(), s.number(), s.byte() & 1 == 1);
    let (device, inode) = (s.byte(), s.number());
    let kind = if shared { 's' } else { 'p' };
    let head = format!("{start:08x}-{end:08x} rw-{kind} 00000000 {device:02x}:00 {inode}");
    let path = [b"/", s.0].concat();
    let line = [format!("{head:<72} ").as_bytes(), &path].concat();
    match maps::parse(&line) {
        Some(m) => assert_eq!(
            (m.start, m.end, m.shared, m.path),
            (start, end, shared, &path[..])
        ),
        None => assert!(start > end),
    }
}

/// A line of `.mirror/pending`.
pub fn pending_line(data: &[u8]) {
    let field: Vec<u8> = escaped(data).collect();
    assert!(field.len() <= 4 * data.len());
    assert!(
        !field
            .iter()
            .any(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r') && !data.contains(&b'\r'))
    );
    assert!(unescaped(&field).eq(data.iter().copied()));
    assert!(unescaped(data).count() <= data.len());
}
