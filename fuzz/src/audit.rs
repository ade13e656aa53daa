//! What an audit reads: records of the ring, and the changes that are made of them; what it holds, and what it
//! says of itself.
use super::Source;
use mirror_audit::raw::Raw;
use mirror_audit::{Audited, Held, Ledger, Tier};
use mirror_core::path::is_control;

/// Records with any bytes in their heads: they are refused, or their paths are paths below a root, and each
/// gives no more than two events.
pub fn audit_record(data: &[u8]) {
    let _ = Raw::parse(data);
    let mut source = Source(data);
    let mut ledger = Ledger::new(Tier::T2, 0);
    let (mut out, mut taken) = (Vec::new(), 0);
    while !source.0.is_empty() {
        let mut record = source.bytes::<152>().to_vec();
        let text = source.text();
        let calls = [1, 76, 82, 83, 87, 257, 263, 265, 285, 316];
        // Most heads would be refused otherwise.
        let (kind, call) = (source.byte(), source.byte());
        if kind & 4 == 0 {
            record[..4].copy_from_slice(&(1 + u32::from(kind & 1)).to_ne_bytes());
            let nr: i32 = calls[usize::from(call) % calls.len()];
            record[48..52].copy_from_slice(&nr.to_ne_bytes());
            record[140] &= 1;
            let cut = usize::from(call).min(text.len());
            let of_path = if kind & 2 == 0 { text.len() } else { 0 };
            for (at, n) in [(142, of_path), (144, cut), (146, text.len() - cut)] {
                record[at..at + 2].copy_from_slice(&(n as u16).to_ne_bytes());
            }
        }
        record.extend_from_slice(text);
        if let Some(raw) = Raw::parse(&record) {
            taken += 1;
            ledger.take(raw, &mut out);
        }
    }
    ledger.expire(u64::MAX, &mut out);
    let beneath = |rel: &[u8]| {
        let mut names = rel.split(|c| *c == b'/');
        rel.is_empty() || names.all(|n| !n.is_empty() && n != b"." && n != b"..")
    };
    for e in &out {
        assert!(beneath(&e.rel) && e.to.as_deref().is_none_or(beneath));
    }
    assert!(out.len() <= 2 * taken, "events out of nothing");
}

/// `.mirror/held`: what is taken is a name below a leg, and is written as it was read.
pub fn held_list(data: &[u8]) {
    let all = Held::list(data);
    for h in &all {
        let mut names = h.rel.split(|c| *c == b'/');
        assert!(names.all(|n| !n.is_empty() && n != b"." && n != b".."));
        assert!(!h.rel.contains(&0) && !is_control(&h.rel));
    }
    let lines: Vec<u8> = all.iter().flat_map(Held::line).collect();
    assert_eq!(Held::list(&lines), all);
    // Most bytes are no line.
    let mut s = Source(data);
    let (time, rel) = (s.number(), [b"f", s.text()].concat());
    let leg = mirror_core::Leg::of(usize::from(s.byte()));
    let h = Held {
        leg,
        time,
        rel,
        by: s.text().to_vec(),
    };
    let read = Held::list(&h.line());
    assert!(read.is_empty() || read == [h]);
}

/// `.mirror/audit`.
pub fn audit_state(data: &[u8]) {
    if let Some(a) = Audited::parse(data) {
        assert_eq!(Audited::parse(&a.encode()), Some(a));
        assert_eq!(a.encode().len(), Audited::LEN);
    }
    let mut s = Source(data);
    let tier = Tier::ALL[usize::from(s.byte()) % Tier::ALL.len()];
    let mut n = || s.number();
    let a = Audited {
        pid: n() as u32,
        tier,
        since: n(),
        last: n(),
        findings: n(),
        healed: n(),
        lost: n(),
    };
    assert_eq!(Audited::parse(&a.encode()), Some(a));
}
