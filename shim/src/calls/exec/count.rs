//! The count of programs that cannot be mirrored, and what their pairs' policies say.
//!
//! Rules: a policy is its pair's own. A program that has to do with some pairs is refused for their sake alone;
//! one that has to do with none, as far as can be told, may find its way into any of them.
use crate::attach::session;
use crate::calls::exec::file::base;
use crate::calls::exec::touch::Touched;
use crate::config::{self, CONFIG};
use crate::events::unmirrored as record;
use crate::process::actor::{guest, locked};
use mirror_core::StateWord;
use mirror_core::tab::Unmirrorable;
use mirror_core::unmirrored::{Kind, Marks, Record, touch};
use mirror_sys as sys;
use mirror_sys::Sys;

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

/// The pair is to be compared: what is started may change one leg alone.
fn mark(pair: usize) -> Sys<()> {
    locked(|| {
        let s = session::session(pair, guest())?;
        s.runtime().set_bits(StateWord::UNMIRRORED);
        if guest() {
            session::release_guest(&s);
        }
        Ok(())
    })
}
