//! The count of programs that cannot be mirrored, and what their pairs' policies say.
//!
//! Rules: a policy is its pair's own. A program that has to do with some pairs is refused for their sake alone;
//! one that has to do with none, as far as can be told, may find its way into any of them.
use crate::calls::exec::file::base;
use crate::calls::exec::touch::Touched;
use crate::calls::paired::outer::mark;
use crate::config::{self, CONFIG};
use crate::events::unmirrored as record;
use core::sync::atomic::{AtomicBool, Ordering};
use mirror_core::tab::Unmirrorable;
use mirror_core::unmirrored::{Kind, Marks, Record, touch};
use mirror_sys as sys;

/// Counts the start of a program; whether the policies let it start. A pair that it has to do with is to be
/// compared.
#[inline(never)]
pub fn count(kind: Kind, name: &[u8], touched: Touched) -> bool {
    let asked = |p: &config::PairConf| p.options.unmirrorable == Unmirrorable::Refuse;
    let near = |i: usize| touched.bits(i) != 0;
    let any = open().any(|(i, _)| near(i));
    let refused = open().any(|(i, p)| asked(p) && (near(i) || !any));
    enter(kind, name, touched, refused);
    !refused
}

/// The same of this process, which has just begun; `path` is its program's.
#[cold]
#[inline(never)]
pub fn at_start(kind: Kind, path: &[u8]) -> bool {
    count(kind, base(path), Touched::of_self())
}

/// The same of this process, which is not mirrored as a whole from here on. Once it runs no policy stops it.
#[cold]
#[inline(never)]
pub fn count_self(kind: Kind) {
    let name = sys::comm();
    let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
    enter(kind, name, Touched::of_self(), false);
}

/// This process has sent a descriptor of a pair (or, if that could not be told, of any) to one that cannot be
/// shown to be mirrored.
#[cold]
#[inline(never)]
pub fn count_sender(pair: Option<usize>) {
    let name = sys::comm();
    let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
    enter(Kind::Sender, name, Touched::of_descriptor(pair), false);
}

/// This process has taken a descriptor of a pair (`None`: of any) out of another one.
#[cold]
#[inline(never)]
pub fn count_taker(pair: Option<usize>) {
    let name = sys::comm();
    let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
    enter(Kind::Taker, name, Touched::of_descriptor(pair), false);
}

/// Something is written past the library, to a pair (`None`: to any, if to one at all).
#[cold]
#[inline(never)]
pub fn count_unsure(pair: Option<usize>) {
    let name = sys::comm();
    let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
    enter(Kind::Unsure, name, Touched::of_descriptor(pair), false);
}

/// Whether [`count_traced`] has counted.
static TRACED: AtomicBool = AtomicBool::new(false);

/// This process makes another one call the kernel past that one's library.
#[cold]
#[inline(never)]
pub fn count_traced() {
    if TRACED.swap(true, Ordering::Relaxed) && open().all(|(i, _)| mark(i).is_ok()) {
        return;
    }
    let name = sys::comm();
    let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
    enter(Kind::Traced, name, Touched::of_descriptor(None), false);
}

fn open() -> impl Iterator<Item = (usize, &'static config::PairConf)> {
    let all = CONFIG.get().pairs().iter().enumerate();
    all.filter(|(_, p)| !p.closed)
}

fn enter(kind: Kind, name: &[u8], mut touched: Touched, refused: bool) {
    let policy = |p: &config::PairConf| p.options.unmirrorable;
    for (i, p) in open() {
        let quiet = policy(p) == Unmirrorable::Quiet;
        if !refused && touched.bits(i) != 0 && !quiet && mark(i).is_err() {
            touched.mark(i, touch::UNMARKED);
        }
    }
    let (who, time) = ((sys::getpid() as u32, sys::euid()), sys::realtime());
    let any = open().any(|(i, _)| touched.bits(i) != 0);
    let inside = open().filter_map(|(i, p)| {
        let what = (kind, touched.bits(i), refused);
        let v = (p.virt.to_bytes(), p.tag());
        (what.1 != 0).then(|| Record::new(what, who, time, name, v, Marks::default()))
    });
    record::count(inside);
    // The others hear of it where it touches none, or where they would not have had it.
    let mut marks = Marks::default();
    let mut others = false;
    for (i, p) in open() {
        if touched.bits(i) == 0 && (!any || policy(p) == Unmirrorable::Refuse) {
            marks.add((p.virt.to_bytes(), p.tag()));
            others = true;
        }
    }
    if others {
        let away = Record::new((kind, 0, refused), who, time, name, (b"", 0), marks);
        record::count(core::iter::once(away));
    }
}
