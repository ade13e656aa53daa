//! A pair whose leg b was left behind: what the mark on leg a says, and how it is set and ended by hand.
use super::legs::{OpenLeg, Pair};
use super::runtime::{Runtime, SizeLimit};
use super::tab::Line;
use crate::fail::{Context, Fail, Kind, Res};
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::object::std;
use mirror_core::Leg;
use mirror_core::away::{Away, Mark, Why};
use mirror_core::owner::Owner;
use mirror_core::record::OWNER_RECORD;
use mirror_pair::{away, runtime};
use mirror_sys::Sys;
use std::os::fd::AsRawFd;

/// What the mark below a leg's root says. One that cannot be read counts as one that stands.
pub fn mark(root: &Root) -> Mark {
    away::read(root.fd().as_raw_fd()).unwrap_or(Mark::Damaged)
}

/// Leg a of a line, whatever leg b is. An error: it cannot be opened, or is not believed.
fn leg_a(l: &Line) -> Res<OpenLeg> {
    let named = l.legs.each().map(|(_, path)| OpenLeg::open(path));
    let mut why = None;
    for leg in named {
        match leg {
            Ok(a) if a.record.leg == Leg::A => return a.trusted(l).map(|()| a),
            Ok(_) => {}
            Err(e) => why = why.or(Some(e)),
        }
    }
    Err(why.unwrap_or_else(|| {
        let shown = text::path(&l.virt);
        Fail::new(Kind::Leg, format!("{shown}: neither directory is a leg a"))
    }))
}

/// Leg a of a line whose leg b is away, and the mark; None if it is not. Leg b need not be there. An error: leg a, which
/// has the mark, cannot be asked.
pub fn ask(l: &Line) -> Res<Option<(OpenLeg, Mark)>> {
    let a = leg_a(l)?;
    let mark = mark(&a.root);
    Ok(mark.stands().then_some((a, mark)))
}

/// The same, for those who look at the legs themselves if it cannot be asked.
pub fn standing(l: &Line) -> Option<(OpenLeg, Mark)> {
    ask(l).ok().flatten()
}

/// Whether leg b of a pair is away.
pub fn is_away(p: &Pair) -> bool {
    mark(&p.legs.a.root).stands()
}

/// What a mark says, as a sentence.
pub fn sentence(mark: &Mark) -> String {
    let Mark::Stands(a) = mark else {
        return "the mark .mirror/away of leg a is damaged: leg b counts as left behind. New data exists once, on leg a".into();
    };
    let who = match a.program() {
        [] => String::new(),
        name => format!("; {}[{}]", text::show(name), a.pid),
    };
    let what = match a.path() {
        [] => String::new(),
        rel => format!(" (a change of {})", text::show(rel)),
    };
    let why = match a.why {
        Why::Offline => "it was taken offline".into(),
        Why::Missing => "it was not there (its disk was not mounted)".into(),
        Why::Full => format!("it is full{what}"),
        Why::Failed => {
            let e = std::io::Error::from_raw_os_error(a.errno.0);
            format!("it failed{what}: {}", crate::fail::reason(&e))
        }
    };
    format!(
        "leg b was left behind at {} ({}): {why}{who}. New data exists once, on leg a",
        text::iso(a.since),
        text::ago(a.since)
    )
}

fn lifted(f: &dyn Fn() -> Sys<usize>) -> Sys<usize> {
    let _lifted = SizeLimit::lift();
    f()
}

/// Leaves leg b behind, for an administrator. Whether it was there before.
pub fn leave(l: &Line) -> Res<bool> {
    let a = OpenLeg::open(&l.legs.a)?;
    a.trusted(l)?;
    let shown = text::path(&l.virt);
    let refuse = |why: &str| Err(Fail::new(Kind::Leg, format!("{shown}: {why}")));
    if a.record.leg != Leg::A {
        return refuse("the mirrortab names the legs in the wrong order. mirror status");
    }
    let incomplete = |leg: &OpenLeg| !leg.record.complete;
    let stood = mark(&a.root).stands();
    // Under the mark leg b may be a new one, to which is copied still.
    if incomplete(&a) || !stood && OpenLeg::open(&l.legs.b).as_ref().is_ok_and(incomplete) {
        return refuse("the first copy has not finished");
    }
    let root = a.root.fd().as_raw_fd();
    let mut new = Away::of(a.record.pair, a.record.peer, Why::Offline);
    new.since = text::now();
    new.pid = std::process::id();
    new.name[..6].copy_from_slice(b"mirror");
    let place = runtime::Place {
        record: &a.record,
        roots: [root, -1].into(),
        locks: None,
    };
    // Who cannot be asked what leg b is to the programs that run cannot be told either.
    let owner = match a.root.read(OWNER_RECORD) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => vec![],
        r => r.about(format!("{shown}: .mirror/owner of leg a"))?,
    };
    let boot = this_boot();
    let live = Owner::parse(&owner).and_then(|o| place.lone_live(o, boot));
    let live = live.map(Runtime::of);
    let word = || {
        if let Some(rt) = &live {
            rt.view().leave_behind();
        }
    };
    // On its way back, it is not away.
    let joining = live.as_ref().is_some_and(|rt| rt.word().joining());
    if stood && !joining {
        return Ok(false);
    }
    std(away::leave(root, new, lifted, word)).about(format!("{shown}: the mark on leg a"))?;
    Ok(true)
}

/// The kernel's boot id, where it can be read.
fn this_boot() -> Option<mirror_core::record::Id> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let hex: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    mirror_core::record::Id::from_hex(&hex)
}
