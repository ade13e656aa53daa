//! Records of fixed layout: what was written is read again, and damaged bytes are nothing.
use crate::Source;
use mirror_core::away::{AWAY_SIZE, Away, Mark, Why};
use mirror_core::bpf;
use mirror_core::image::{HEADER_LEN, Header, MAX_BUILD_ID, MAX_PAGES};
use mirror_core::mapped;
use mirror_core::names;
use mirror_core::outside;
use mirror_core::owner::{Left, Owner};
use mirror_core::path::PATH_MAX;
use mirror_core::record::{Id, LegRecord, Share, crc32, runtime_place};
use mirror_core::runtime::{Intent, IntentKind};
use mirror_core::verdicts::{self, Verdict};
use mirror_core::view::{Change, Guarded, View};
use mirror_core::words::{LockWord, SLOT_MAX};
use mirror_core::{Leg, PerLeg};
use std::cell::{Cell, RefCell};
use std::collections::HashMap;

/// One bit of `bytes` is turned.
fn damaged(bytes: &[u8], s: &mut Source<'_>) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let bit = s.number() as usize % (8 * out.len());
    out[bit / 8] ^= 1 << (bit % 8);
    out
}

/// `.mirror/leg`.
pub fn leg_record(data: &[u8]) {
    if let Ok(r) = LegRecord::parse(data) {
        leg_record_is_sound(&r);
    }
    // Any text with the right sum.
    let mut text = [b"mirror-leg=2\n", data].concat();
    let sum = format!("crc={:08x}\n", crc32(&text));
    text.extend_from_slice(sum.as_bytes());
    if let Ok(r) = LegRecord::parse(&text) {
        leg_record_is_sound(&r);
    }
    let mut s = Source(data);
    let root = s.byte() & 1 == 1;
    let r = LegRecord {
        pair: Id(s.bytes()),
        leg: Leg::of(usize::from(s.byte())),
        id: Id(s.bytes()),
        peer: Id(s.bytes()),
        complete: s.byte() & 1 == 1,
        stripes: s.byte() % 64 + 1,
        share: match s.byte() % 3 {
            1 if !root => Share::Group,
            2 if !root => Share::All,
            _ => Share::Owner,
        },
        runtime: runtime_place(root),
    };
    leg_record_is_sound(&r);
    assert!(LegRecord::parse(&damaged(r.encode().as_bytes(), &mut s)).is_err());
}

fn leg_record_is_sound(r: &LegRecord) {
    assert!((1..=64).contains(&r.stripes));
    let text = r.encode();
    let again = LegRecord::parse(text.as_bytes()).expect("its own text");
    assert_eq!(again.encode().as_bytes(), text.as_bytes());
    assert_eq!(
        (again.pair, again.leg, again.id, again.peer),
        (r.pair, r.leg, r.id, r.peer)
    );
    assert_eq!(
        (again.complete, again.stripes, again.share),
        (r.complete, r.stripes, r.share)
    );
    assert_eq!(again.runtime.as_bytes(), r.runtime.as_bytes());
    let mut partner = again;
    (partner.leg, partner.id, partner.peer) = (r.leg.other(), r.peer, r.id);
    assert!(r.pairs_with(&partner) && partner.pairs_with(r) && !r.pairs_with(r));
    assert_eq!(Id::from_hex(&r.id.hex()), Some(r.id));
}

/// `.mirror/owner`.
pub fn domain_record(data: &[u8]) {
    if let Some(o) = Owner::parse(data) {
        assert_eq!(o.encode()[8..40], data[8..40]);
        // What cannot be understood is "in use", never clean.
        let whole = o.left == Left::InUse || data.get(44..60) == Some(&o.encode()[44..60]);
        assert!(whole);
    }
    let mut s = Source(data);
    let mut o = Owner::new(Id(s.bytes()), Id(s.bytes()));
    o.left = match s.bytes::<1>()[0] % 4 {
        0 => Left::InUse,
        1 => Left::Clean(u64::from_le_bytes(s.bytes())),
        2 => Left::Reopened,
        _ => Left::Flushing(u64::from_le_bytes(s.bytes())),
    };
    let bytes = o.encode();
    assert_eq!(Owner::parse(&bytes), Some(o));
    assert_eq!(Owner::parse(&damaged(&bytes[..44], &mut s)), None);
}

/// `.mirror/away`.
pub fn away_mark(data: &[u8]) {
    if let Mark::Back(a) | Mark::Stands(a) = Mark::of(data) {
        assert_eq!(Away::parse(&a.encode()), Some(a));
    }
    // Any body with the right sum.
    let mut body = [0u8; AWAY_SIZE - 4];
    for (d, s) in body
        .iter_mut()
        .zip(b"MIRRAWAY\x01\0\0\0".iter().chain(data))
    {
        *d = *s;
    }
    let whole = [&body[..], &crc32(&body).to_le_bytes()].concat();
    if let Some(a) = Away::parse(&whole) {
        assert!(a.path().len() <= 256 && a.program().len() <= 16);
        assert_eq!(Away::parse(&a.encode()), Some(a));
    } else {
        assert_eq!(Mark::of(&whole), Mark::Damaged);
    }
    let mut s = Source(data);
    let mut a = Away::of(Id(s.bytes()), Id(s.bytes()), Why::Failed);
    a.since = s.number();
    a.set_path(data);
    let bytes = a.encode();
    assert_eq!(Mark::of(&bytes), Mark::Stands(a));
    assert_eq!(Mark::of(&damaged(&bytes, &mut s)), Mark::Damaged);
}

/// A runtime file of which nothing is there but what was stored; the rest repeats some bytes.
struct Memory<'a> {
    noise: &'a [u8],
    stored: RefCell<HashMap<usize, u8>>,
    failed: Cell<bool>,
}

impl Guarded for Memory<'_> {
    fn read(&self, at: usize, into: &mut [u8]) -> bool {
        let noise = |at: usize| match self.noise.len() {
            0 => 0,
            n => self.noise[at % n],
        };
        let stored = self.stored.borrow();
        for (b, at) in into.iter_mut().zip(at..) {
            *b = stored.get(&at).copied().unwrap_or(noise(at));
        }
        true
    }
    fn write(&self, at: usize, from: &[u8]) -> bool {
        self.stored
            .borrow_mut()
            .extend((at..).zip(from.iter().copied()));
        true
    }
    fn change(&self, _: usize, _: Change) -> bool {
        true
    }
    fn fail(&self) {
        self.failed.set(true);
    }
    fn failed(&self) -> bool {
        self.failed.get()
    }
}

/// The announcement of a change in a runtime file.
pub fn intent(data: &[u8]) {
    let memory = |noise| Memory {
        noise,
        stored: RefCell::default(),
        failed: Cell::new(false),
    };
    let mut buffers = [[0u8; PATH_MAX]; 2];
    let [one, two] = &mut buffers;
    let mut s = Source(data);
    let object = usize::from(s.byte()) % mirror_core::OBJECTS;
    // Anybody's bytes.
    let noise = memory(s.0);
    if let Some((_, p1, p2)) = View::Guarded(&noise).intent(object, one, two) {
        assert!(p1.len() <= PATH_MAX && p2.len() <= PATH_MAX);
    }
    // Our own.
    let kinds = (0..=u8::MAX).filter_map(IntentKind::from_u8);
    let kinds: Vec<IntentKind> = kinds.collect();
    let written = Intent {
        kind: kinds[usize::from(s.byte()) % kinds.len()],
        first: Leg::of(usize::from(s.byte())),
        inode: PerLeg::by(|_| s.number()),
        device: [s.number(), s.number()],
        offset: s.number(),
        length: s.number(),
        old_size: s.number(),
    };
    let (p1, p2) = (s.text(), s.text());
    let cut = |p: &'_ [u8]| p[..p.len().min(PATH_MAX)].to_vec();
    let file = memory(s.0);
    let view = View::Guarded(&file);
    view.publish(object, &written, p1, p2);
    let (i, r1, r2) = view.intent(object, one, two).expect("what was published");
    assert_eq!((i, r1.to_vec(), r2.to_vec()), (written, cut(p1), cut(p2)));
    assert!(view.sound().is_ok());
}

fn anybodys(noise: &[u8]) -> Memory<'_> {
    Memory {
        noise,
        stored: RefCell::default(),
        failed: Cell::new(false),
    }
}

/// An entry of the runtime file's table of mapped files.
pub fn mapped_entry(data: &[u8]) {
    let mut s = Source(data);
    let nth = usize::from(s.byte());
    let memory = anybodys(s.0);
    let view = View::Guarded(&memory);
    let read = view.mapped(nth);
    assert!(nth < mapped::ENTRIES || read.is_none());
    if let Some(m) = read {
        assert!(m.inode != 0 && m.inode != mapped::CLAIMED && m.path().len() <= mapped::PATH_ROOM);
        assert!(
            view.mapped_file(m.inode)
                .is_none_or(|(_, found)| found.inode == m.inode)
        );
    }
    view.forget_mapped(nth);
    assert_eq!(view.mapped(nth), None);
}

/// A lock word: its slot is one, whatever stands there.
pub fn lock_word(data: &[u8]) {
    let mut s = Source(data);
    let leg = Leg::of(usize::from(s.byte()));
    let object = usize::from(s.byte());
    let (slot, count) = (s.number(), s.number());
    let memory = anybodys(s.0);
    let word = View::Guarded(&memory).lock_word(leg, object);
    assert!(word.slot() <= SLOT_MAX);
    assert!(object < mirror_core::OBJECTS || word == LockWord::FREE);
    assert_eq!(LockWord::of(slot & SLOT_MAX, count).slot(), slot & SLOT_MAX);
}

/// The first page of a prepared image.
pub fn image_header(data: &[u8]) {
    let mut page = [0u8; HEADER_LEN];
    if let Ok(h) = Header::decode(data) {
        assert!(h.encode(&mut page));
        assert_eq!(Header::decode(&page).as_ref(), Ok(&h));
    }
    let mut s = Source(data);
    let mut h = Header {
        build_id: s.bytes(),
        build_id_len: usize::from(s.byte()) % (MAX_BUILD_ID + 2),
        text_vaddr: s.number(),
        text_len: s.number(),
        text_offset: s.number(),
        ptr_vaddr: s.number(),
        net: [s.number(), s.number(), s.number()],
        text_sum: s.number(),
        wanted: s.number() as u32,
        patched: s.number() as u32,
        sites: s.number() as u32,
        page_count: s.number() as usize,
        ..Header::default()
    };
    // Whatever these are, it must be refused or kept.
    let _ = h.encode(&mut page);
    // Those of a libc, more or less.
    let pages = u64::from(s.byte()) % 64 + 1;
    h.build_id_len = h.build_id_len.min(MAX_BUILD_ID);
    h.build_id[h.build_id_len..].fill(0);
    h.text_vaddr = h.text_vaddr % 64 * 4096;
    h.text_len = pages * 4096;
    h.text_offset = HEADER_LEN as u64;
    h.ptr_vaddr = (h.text_vaddr + h.ptr_vaddr % h.text_len) & !7;
    h.net = h.net.map(|n| h.text_vaddr + n % h.text_len);
    h.page_count %= MAX_PAGES.min(pages as usize + 1);
    for p in h.pages.iter_mut().take(h.page_count) {
        *p = u16::from(s.byte());
    }
    if h.encode(&mut page) {
        assert_eq!(Header::decode(&page).as_ref(), Ok(&h));
        let used = 4096.min(144 + 2 * h.page_count);
        assert!(Header::decode(&damaged(&page[..used], &mut s)).is_err());
    }
}

/// An entry of `.mirror/names`.
pub fn names_file(data: &[u8]) {
    let mut s = Source(data);
    let k = names::Known::of([s.number(), s.number()], [s.number(), s.number()]);
    let entry = k.encode();
    assert!(k.is(&entry) && !k.is(&damaged(&entry, &mut s)) && !k.is(&[]));
    assert!(
        k.place().is_multiple_of(names::SIZE as u64)
            && k.place() < names::SLOTS * names::SIZE as u64
    );
    assert_eq!(k.is(s.0), s.0 == entry);
}

/// `.mirror/outside`.
pub fn outside_file(data: &[u8]) {
    let mut s = Source(data);
    let wanted = s.number();
    let at = |place: u64| {
        let place = usize::try_from(place).ok()?;
        let number = data.get(place..place.checked_add(8)?)?;
        Some(u64::from_le_bytes(number.try_into().ok()?))
    };
    // It ends, whatever it is.
    let _ = outside::files(data, data.len() as u64);
    let _ = outside::has(s.number(), wanted, at);
    let files = data.len() as u64 / 8;
    let whole = outside::HEAD as u64 + 8 * files;
    assert_eq!(outside::files(&outside::head(files), whole), Some(files));
    let damaged = damaged(&outside::head(files), &mut s);
    assert_ne!(outside::files(&damaged, whole), Some(files));
}

/// A program of seccomp(2).
pub fn filter(data: &[u8]) {
    let mut s = Source(data);
    let call = bpf::Call {
        nr: s.number() as u32 & 0x1ff,
        ip: s.number(),
        args: std::array::from_fn(|_| s.number()),
    };
    let mut code: Vec<u64> = s.0.chunks(8).map(|c| Source(c).number()).collect();
    // It ends, whatever it is; and one that answers at once is answered so.
    let _ = bpf::ask(&code, &call);
    // Operations as programs have them, so that more of it is gone through.
    for c in &mut code {
        const OPS: [u64; 24] = [
            0x20, 0x00, 0x60, 0x80, 0x01, 0x61, 0x02, 0x03, 0x04, 0x14, 0x24, 0x34, 0x44, 0x54,
            0x64, 0x74, 0x84, 0x94, 0xa4, 0x15, 0x25, 0x35, 0x45, 0x07,
        ];
        let far = *c & 0x0303_0000;
        *c = OPS[(*c % 24) as usize] | (*c & 8) | far | (*c >> 32 & 0x3f) << 32;
    }
    for end in [0x7fff_0000u64, 0x8000_0000, 0x0005_0001] {
        let last = [code.clone(), vec![0x06 | end << 32; 4]].concat();
        let _ = bpf::ask(&last, &call);
    }
    let allow = [0x06 | 0x7fff_0000u64 << 32];
    assert_eq!(bpf::ask(&allow, &call), bpf::Answer::Made);
}

/// The file of verdicts, and what its keys are read from.
pub fn verdicts(data: &[u8]) {
    let mut s = Source(data);
    let _ = verdicts::build_id(data);
    let _ = verdicts::text_size(data);
    let _ = verdicts::entries(data);
    let _ = verdicts::read(data);
    let _ = verdicts::verdict(data, &data[..data.len().min(20)], s.number());
    let all = [Verdict::Clean, Verdict::Own, Verdict::Unknown];
    let mut known = std::collections::BTreeMap::new();
    for _ in 0..s.byte() % 24 {
        let id = s.text();
        let (text, verdict) = (s.number(), all[usize::from(s.byte()) % 3]);
        match (verdicts::key(id, text), verdicts::entry(id, text, verdict)) {
            (Some(key), Some(entry)) => {
                known.insert(key, (id, text, verdict, entry));
            }
            (None, None) => assert!(!verdicts::BUILD_ID.contains(&id.len())),
            _ => panic!("an entry without a key, or a key without one"),
        }
    }
    let mut file = verdicts::header(known.len() as u32).to_vec();
    known.values().for_each(|(.., e)| file.extend_from_slice(e));
    for (id, text, verdict, entry) in known.values() {
        assert_eq!(verdicts::find(&file, id, *text), Some(*verdict));
        assert_eq!(verdicts::read(entry), Some((*id, *text, *verdict)));
        assert_eq!(verdicts::read(&damaged(entry, &mut s)), None);
        let note = note(id);
        assert_eq!(verdicts::build_id(&note), Some(*id));
    }
    // A damaged file says nothing, or what it said before.
    if let Some((id, text, verdict, _)) = known.values().next() {
        let bad = damaged(&file, &mut s);
        let said = verdicts::verdict(&bad, id, *text);
        assert!(said == Verdict::Unknown || said == *verdict);
    }
}

/// A note of another kind, then the build-id's.
fn note(id: &[u8]) -> Vec<u8> {
    let word = |n: usize| (n as u32).to_le_bytes();
    let mut out = [&word(4)[..], &word(5), &word(1), b"GNU\0", &[7; 8]].concat();
    out.extend([&word(4)[..], &word(id.len()), &word(3), b"GNU\0", id].concat());
    out
}
