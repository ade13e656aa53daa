//! A file of a pair that this process changes by a name outside its leg: one leg alone gets it, so the pair is to
//! be compared.
use crate::attach::session;
use crate::config::CONFIG;
use crate::events::unmirrored as record;
use crate::process::actor::{guest, locked};
use core::sync::atomic::{AtomicU64, Ordering};
use mirror_core::StateWord;
use mirror_core::tab::Unmirrorable;
use mirror_core::unmirrored::{Kind, Marks, Record, touch};
use mirror_sys as sys;
use mirror_sys::Sys;

/// Pairs of which it was said.
static SAID: AtomicU64 = AtomicU64::new(0);

/// Puts it on record, if there is such a pair.
#[cold]
#[inline(never)]
pub fn changed(pair: Option<usize>) {
    let Some(pair) = pair else { return };
    let Some(conf) = CONFIG.get().pairs().get(pair).filter(|p| !p.closed) else {
        return;
    };
    let bit = 1u64.wrapping_shl(pair as u32);
    let said = SAID.fetch_or(bit, Ordering::Relaxed) & bit != 0;
    let quiet = conf.options.unmirrorable == Unmirrorable::Quiet;
    let marked = quiet || mark(pair).is_ok();
    if said && marked {
        return;
    }
    let mut touched = touch::DESCRIPTOR;
    if !marked {
        touched |= touch::UNMARKED;
    }
    let name = sys::comm();
    let name = name.split(|b| *b == 0).next().unwrap_or(&[]);
    let who = (sys::getpid() as u32, sys::euid());
    let (what, v) = (
        (Kind::Beside, touched, false),
        (conf.virt.to_bytes(), conf.tag()),
    );
    let r = Record::new(what, who, sys::realtime(), name, v, Marks::default());
    record::count(core::iter::once(r));
}

/// The pair is to be compared: one leg alone may be changed.
pub fn mark(pair: usize) -> Sys<()> {
    locked(|| {
        let s = session::session(pair, guest())?;
        s.runtime().set_bits(StateWord::UNMIRRORED);
        if guest() {
            session::release_guest(&s);
        }
        Ok(())
    })
}
