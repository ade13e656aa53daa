//! The rings of records about programs, and where core files are.
use crate::Source;
use mirror_core::Errno;
use mirror_core::cores::{HEAD, is_core, lines, place};
use mirror_core::refusal::{self, Refusal};
use mirror_core::unmirrored::{self, Kind, Marks};

fn turned<const N: usize>(mut bytes: [u8; N], used: usize, s: &mut Source<'_>) -> [u8; N] {
    let bit = s.number() as usize % (8 * used);
    bytes[bit / 8] ^= 1 << (bit % 8);
    bytes
}

/// A record of what was refused.
pub fn refusal_record(data: &[u8]) {
    let mut s = Source(data);
    let why = Refusal::ALL[s.byte() as usize % Refusal::ALL.len()];
    let (errno, who) = (
        Errno(s.byte().into()),
        (s.number() as u32, s.number() as u32),
    );
    let (time, comm, tag) = (s.number(), s.bytes(), s.number());
    let call = (s.byte() & 1 == 0).then(|| s.byte().into());
    let text = s.text();
    let r = refusal::Record::new(why, errno, who, time, comm, (text, tag)).of_call(call);
    let bytes = r.encode();
    assert_eq!(refusal::Record::parse(&bytes), Some(r));
    assert_eq!(r.call(), call);
    assert_eq!(
        refusal::Record::parse(&turned(bytes, refusal::SIZE, &mut s)),
        None
    );
    if let Some(r) = refusal::Record::parse(data) {
        assert!(r.v().len() + r.object().len() <= refusal::TEXT);
    }
}

/// A record of a program that ran unmirrored.
pub fn unmirrored_record(data: &[u8]) {
    let mut s = Source(data);
    let kind = Kind::ALL[s.byte() as usize % Kind::ALL.len()];
    let (what, who) = (
        (kind, s.byte() | 1, s.byte() & 1 == 1),
        (s.number() as u32, s.number() as u32),
    );
    let (time, tag) = (s.number(), s.number());
    let (name, text) = (s.text(), s.text());
    let r = unmirrored::Record::new(what, who, time, name, (text, tag), Marks::default());
    let bytes = r.encode();
    assert_eq!(unmirrored::Record::parse(&bytes), Some(r));
    let _ = unmirrored::Record::parse(data);
}

/// The kernel's pattern for core files, and a file's beginning.
pub fn core_files(data: &[u8]) {
    if let Some(p) = place(data) {
        let absolute = data.first() == Some(&b'/');
        assert_eq!(p.dir.first() == Some(&b'/'), absolute);
        assert!(!p.dir.is_empty() && !p.dir.contains(&0) && !p.dir.contains(&b'\n'));
        assert!(!p.deeper || data.contains(&b'%'));
    }
    let mut s = Source(data);
    let head: [u8; HEAD] = s.bytes();
    assert!(!is_core(&head) || head.starts_with(b"\x7fELF"));
}

/// `.mirror/cores`.
pub fn core_list(data: &[u8]) {
    let mut longest = 0;
    for line in lines(data) {
        longest = longest.max(line.len());
        assert!(line != b"." && !line.contains(&b'\n'));
        assert!(mirror_core::escape::unescaped(line).count() <= line.len());
    }
    assert!(longest <= data.len() && lines(data).count() <= data.len());
}
