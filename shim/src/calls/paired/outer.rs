//! A file of a pair that this process changes by a name outside its leg: one leg alone gets it, so the pair is to
//! be compared.
use crate::attach::session;
use crate::config::CONFIG;
use crate::events::unmirrored as record;
use crate::process::actor::{guest, in_turn};
use core::sync::atomic::{AtomicU64, Ordering};
use mirror_core::StateWord;
use mirror_core::tab::Unmirrorable;
use mirror_core::unmirrored::{Kind, Marks, Record, touch};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Pairs of which it was said.
static SAID: AtomicU64 = AtomicU64::new(0);

/// Puts it on record, if there is such a pair. Where it could not be found out, it may be any.
#[cold]
#[inline(never)]
pub fn changed(found: Sys<Option<usize>>) {
    match found {
        Ok(pair) => pair.into_iter().for_each(|p| of(p, touch::DESCRIPTOR)),
        Err(_) => (0..CONFIG.get().pairs().len()).for_each(|p| of(p, touch::UNSURE)),
    }
}

/// Something that could not be told is written to the pair past the library.
#[cold]
#[inline(never)]
pub fn unsure(pair: usize) {
    put(pair, (Kind::Unsure, touch::UNSURE), false);
}

fn of(pair: usize, touched: u8) {
    let bit = 1u64.wrapping_shl(pair as u32);
    let said = SAID.fetch_or(bit, Ordering::Relaxed) & bit != 0;
    put(pair, (Kind::Beside, touched), said);
}

/// `said`: only if the pair cannot be marked.
fn put(pair: usize, (kind, mut touched): (Kind, u8), said: bool) {
    let Some(conf) = CONFIG.get().pairs().get(pair).filter(|p| !p.closed) else {
        return;
    };
    let quiet = conf.options.unmirrorable == Unmirrorable::Quiet;
    let marked = quiet || mark(pair).is_ok();
    if said && marked {
        return;
    }
    if !marked {
        touched |= touch::UNMARKED;
    }
    let name = sys::comm();
    let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
    let who = (sys::getpid() as u32, sys::euid());
    let (what, v) = ((kind, touched, false), (conf.virt.to_bytes(), conf.tag()));
    let r = Record::new(what, who, sys::realtime(), name, v, Marks::default());
    record::count(core::iter::once(r));
}

/// The pair is to be compared: one leg alone may be changed.
pub fn mark(pair: usize) -> Sys<()> {
    in_turn(|| {
        let s = session::session(pair, guest())?;
        s.runtime().set_bits(StateWord::UNMIRRORED);
        if guest() {
            session::release_guest(&s);
        }
        Ok(())
    })
}
