//! Which leg of a new pair is filled from the other, and what that costs.
use super::explain;
use super::init_args::Init;
use super::scan::Scan;
use crate::fail::{Context, Fail, Res};
use crate::pair::legs::OpenLeg;
use crate::sync::equal::{Seen, Work};
use crate::sync::session;
use crate::sync::walk::{Collect, walk};
use crate::text;
use crate::tree::beneath::Root;
use crate::tree::differs::{Differs, Presence};
use crate::tree::object::Fidelity;
use mirror_core::{Leg, PerLeg};

/// The first copy.
pub struct Fill {
    /// The leg that is made like the other.
    pub sink: Leg,
    /// Bytes to copy, and to make room for.
    pub bytes: u64,
    /// Objects that only the sink has and that differ: their versions are kept aside.
    pub loses: Option<(u64, u64)>,
}

impl Fill {
    /// Letters of the source and of the sink.
    pub fn letters(&self) -> (char, char) {
        (self.sink.other().letter(), self.sink.letter())
    }
}

/// Which leg must be filled. Two trees that differ are refused, unless one is named as the source.
pub fn judge(
    roots: PerLeg<Root>,
    scans: &PerLeg<Scan>,
    a: &Init,
) -> Res<(PerLeg<Root>, Option<Fill>)> {
    let empty = |leg: Leg| scans[leg].entries == 0;
    if empty(Leg::A) && empty(Leg::B) {
        return Ok((roots, None));
    }
    if let Some(sink) = [Leg::B, Leg::A].into_iter().find(|&leg| empty(leg)) {
        if a.source.is_some_and(|s| s.leg() == sink) {
            let (e, full) = (sink.letter(), sink.other().letter());
            return Err(Fail::failed(format!(
                "--source {e}: leg {e} is empty, so everything in {} would be removed. Is its disk mounted? To copy {full} to {e}, leave --source out; to begin empty, empty {} yourself",
                text::path(&roots[sink.other()].path),
                text::path(&roots[sink.other()].path)
            )));
        }
        let bytes = scans[sink.other()].bytes;
        return Ok((
            roots,
            Some(Fill {
                sink,
                bytes,
                loses: None,
            }),
        ));
    }
    compared(roots, scans, a)
}

/// The same of two trees that both have contents.
fn compared(
    roots: PerLeg<Root>,
    scans: &PerLeg<Scan>,
    a: &Init,
) -> Res<(PerLeg<Root>, Option<Fill>)> {
    let x = OpenLeg::bare(roots.a, Leg::A);
    let y = OpenLeg::bare(roots.b, Leg::B);
    let bar = session::bar(scans.a.bytes, "compared");
    let mut w = Work::new(&x, &y, Fidelity::full(), false, bar.clone());
    let mut need = PerLeg { a: 0, b: 0 };
    let r = walk(
        &mut w,
        &mut Collect(|_: &[u8], seen: &Seen| room(seen, &mut need)),
    );
    bar.finish_and_clear();
    let t = r.about("comparing")?;
    if let Some((rel, why)) = t.trouble.first() {
        return Err(Fail::failed(format!(
            "{} cannot be compared, first: {} ({why}). Fix that, then type this again",
            text::plural(t.trouble.len() as u64, "path"),
            text::below(rel)
        )));
    }
    if t.differences() == 0 {
        return Ok(([x.root, y.root].into(), None));
    }
    let Some(source) = a.source else {
        let (pa, pb) = (&x.root.path, &y.root.path);
        return Err(Fail::failed(format!(
            "{} and {} differ ({} only in a, {} only in b, {} different; {}).\n  look: mirror diff {} {}    choose: --source a | --source b (the other's versions are kept aside)",
            text::path(pa),
            text::path(pb),
            text::plural(t.missing, "file"),
            text::count(t.extra),
            text::count(t.different),
            explain::TREES,
            text::shell(pa),
            text::shell(pb)
        )));
    };
    let sink = source.leg().other();
    let only_there = if sink == Leg::B { t.extra } else { t.missing };
    let fill = Fill {
        sink,
        bytes: need[sink],
        loses: Some((only_there, t.different)),
    };
    Ok(([x.root, y.root].into(), Some(fill)))
}

/// Adds the room that one difference takes on leg a and b, if that is the sink: the old version stays
/// beside the new one.
fn room(seen: &Seen, need: &mut PerLeg<u64>) {
    let file = |m: &Option<crate::tree::object::Meta>| {
        m.as_ref().filter(|m| m.is_file()).map_or(0, |m| m.size())
    };
    let (s, d) = (file(&seen.source), file(&seen.copy));
    match seen.what {
        Presence::Neither => {}
        Presence::OnlySource => need.b += s,
        Presence::OnlyCopy => need.a += d,
        Presence::Both(what) if !(what - Differs::ATTRIBUTES).is_empty() => {
            need.a += s.max(d);
            need.b += s.max(d);
        }
        Presence::Both(_) => {}
    }
}
