//! The first copy of a pair that is configured: carried out, continued, finished.
use super::init_args::{Init, Wanted};
use super::{can_ask, places, sharing};
use crate::fail::{Fail, Res};
use crate::output;
use crate::pair::control::{KEEP, made};
use crate::pair::legs::{Pair, read_record};
use crate::pair::tab::{self, Line};
use crate::pair::{domain, tabwrite};
use crate::sync::keep::Keeper;
use crate::sync::{clean, own, session, turn};
use crate::text;
use crate::tree::beneath::Root;
use mirror_core::{Leg, PerLeg};
use rustix::fs::{Mode, OFlags};

/// Walks after which a first copy over existing contents is left to resync.
const PASSES: usize = 4;

/// The records of an interrupted or forgotten init of exactly these legs: the pair is taken up again.
pub fn adopt(
    line: &Line,
    tab: &std::path::Path,
    roots: &PerLeg<Root>,
    a: &Init,
) -> Res<Option<u8>> {
    let (Ok(Some(x)), Ok(Some(y))) = (read_record(&roots.a), read_record(&roots.b)) else {
        return Ok(None);
    };
    if x.pair != y.pair || x.peer != y.id || y.peer != x.id || (x.leg, y.leg) != (Leg::A, Leg::B) {
        return Ok(None);
    }
    sharing::as_made(a.share, x.share, line)?;
    stripes(a.stripes, x.stripes, line)?;
    fits(
        a,
        PerLeg::from([x.complete, y.complete]).position(|c| !c),
        line,
    )?;
    if a.dry_run {
        output::say!(
            "would take up the pair {} again, whose legs these are\ndry run: nothing was done",
            text::path(&line.virt)
        );
        return Ok(Some(0));
    }
    for r in roots {
        made(r)?;
    }
    if !line.in_place() {
        places::make_link(&line.virt, &line.legs.a)?;
    }
    let line = &Line {
        id: Some(x.pair),
        uid: sharing::owner(roots)?,
        ..line.clone()
    };
    tabwrite::Held::take(tab)?.add(line)?;
    complete(line, a).map(Some)
}

/// A pair that is there keeps its number of locks.
fn stripes(wanted: Option<u8>, has: u8, line: &Line) -> Res<()> {
    match wanted {
        Some(n) if n != has => {
            let v = text::shell(&line.virt);
            Err(Fail::failed(format!(
                "{} is already a pair, with --stripes {has}. To change that: mirror detach {v}, then this command again",
                text::path(&line.virt)
            )))
        }
        _ => Ok(()),
    }
}

/// `--source` must be that of the copy that has begun.
fn fits(a: &Init, sink: Option<Leg>, line: &Line) -> Res<()> {
    match (a.source, sink) {
        (Some(s), Some(sink)) if s.leg() == sink => Err(Fail::failed(format!(
            "--source {}: a copy from leg {} to leg {} has begun and not finished. Finish it with --source {}, or give up first: mirror detach {}",
            sink.letter(),
            sink.other().letter(),
            sink.letter(),
            sink.other().letter(),
            text::shell(&line.virt)
        ))),
        _ => Ok(()),
    }
}

/// The pair is configured: goes on where the first copy stopped, if it did.
pub fn again(line: &Line, a: &Init) -> Res<u8> {
    let p = Pair::open(line)?;
    let sink = p.incomplete();
    sharing::as_made(a.share, p.legs.a.record.share, line)?;
    stripes(a.stripes, p.legs.a.record.stripes, line)?;
    fits(a, sink, line)?;
    if a.dry_run {
        match sink {
            Some(sink) => output::say!(
                "would go on copying {} to leg {}",
                text::path(&line.virt),
                sink.letter()
            ),
            None => output::say!(
                "{}  already a pair ({})",
                text::path(&line.virt),
                line.place()
            ),
        }
        output::say!("dry run: nothing was done");
        return Ok(0);
    }
    if !line.in_place() {
        places::make_link(&line.virt, &line.legs.a)?;
    }
    if let Some(sink) = sink {
        if !a.yes && !can_ask() {
            return Err(Fail::failed(format!(
                "the first copy of {} to leg {} has not finished, and nobody can be asked here. Nothing was done. To go on: add --yes",
                text::path(&line.virt),
                p.legs[sink].letter()
            )));
        }
        drop(p);
        return complete(line, a);
    }
    output::say!(
        "ready     {}  already a pair ({})",
        text::path(&line.virt),
        line.place()
    );
    if let Some(s) = a.source {
        output::say!(
            "! --source counts for the first copy only. To make the other leg like {}: mirror resync {} --from {}",
            s.leg().letter(),
            text::shell(&line.virt),
            s.leg().letter()
        );
    }
    output::say!("next      mirror status {}", text::shell(&line.virt));
    Ok(0)
}

/// Copies what is missing and declares the pair complete.
pub fn complete(line: &Line, a: &Init) -> Res<u8> {
    crate::signal::stop_gently();
    let pair = Pair::open(line)?;
    let mut p = domain::attach(pair)?;
    if let Some(sink) = p.pair.incomplete() {
        let turn = turn::take(&p.pair, sink.other())?;
        fill(&mut p, a.allow_privileged).map_err(|f| go_on(f, a, line))?;
        drop(turn);
    }
    output::say!("ready     {}  IN SYNC", text::path(&line.virt));
    // A plain preload ends with 78 without it.
    if let Err(e) = crate::launch::library::prepare() {
        output::say!("! programs cannot be mirrored yet: {e}");
    }
    crate::launch::calls::of_shells();
    tab::files().iter().for_each(|file| own::carry(file));
    clean::at_end(&p);
    output::say!("next      mirror run -- COMMAND");
    Ok(0)
}

/// Finishes the first copy of an attached pair. Also what `resync` does with an incomplete leg. The
/// caller has the turn.
pub fn fill(p: &mut domain::Attached, privileged: bool) -> Res<()> {
    let Some(sink) = p.pair.incomplete() else {
        return Ok(());
    };
    session::sweep(p, sink.other())?;
    let root = &p.pair.legs[sink].root;
    let keep = root.open_at(KEEP, OFlags::PATH, Mode::empty()).is_ok();
    for pass in 1..=PASSES {
        let keeper = if keep {
            Keeper::all()
        } else {
            Keeper::new(false)
        };
        let bar = session::bar(
            session::total(p, sink.other()),
            "  ^C continues later with the same command",
        );
        let r = session::repair(
            p,
            sink.other(),
            keeper,
            privileged,
            bar,
            &mut None,
            |_, _| (),
        )?;
        if let Some(folder) = &r.folder {
            output::say!(
                "kept      {} of {} in {}/{} ({})",
                text::plural(r.kept.0, "version"),
                sink.letter(),
                text::path(&root.path),
                text::show(folder),
                text::bytes(r.kept.1)
            );
        }
        if let Some((rel, why)) = r.tally.trouble.first() {
            return Err(Fail::failed(format!(
                "{} could not be copied, first: {} ({why}). Fix that, then",
                text::plural(r.tally.trouble.len() as u64, "path"),
                text::below(rel)
            )));
        }
        // An empty sink holds what was just put into it; over other contents one walk may not be all
        // (groups of hard links are known only at its end).
        if !keep || r.tally.differences() == 0 {
            break;
        }
        if pass == PASSES {
            return Err(Fail::failed(format!(
                "{} still differ: something changes a leg. Stop what does, then",
                text::plural(r.tally.differences(), "path")
            )));
        }
    }
    p.pair.legs[sink].set_complete(true)?;
    // Left behind by a kill right here it means nothing: the leg is complete.
    let _ = p.pair.legs[sink].root.remove(KEEP);
    Ok(())
}

fn go_on(f: Fail, a: &Init, line: &Line) -> Fail {
    let mut words = vec![
        "mirror init".to_string(),
        text::shell(&a.leg_a),
        text::shell(&a.leg_b),
    ];
    if let Some(v) = &a.at {
        words.push(format!("--at {}", text::shell(v)));
    }
    if let Some(n) = &a.name {
        words.push(format!("--name {}", text::shell(n.as_ref())));
    }
    if let Some(t) = &a.tab {
        words.push(format!("--tab {}", text::shell(t)));
    }
    if let Some(s) = a.source {
        words.push(format!("--source {}", s.leg().letter()));
    }
    if a.fidelity == Wanted::Full {
        words.push("--fidelity full".into());
    }
    if a.allow_privileged {
        words.push("--allow-privileged".into());
    }
    if a.yes {
        words.push("--yes".into());
    }
    Fail::new(
        f.kind,
        format!(
            "{}\n  the copy is not finished; what is there stays. To go on: {}    to give up: mirror detach {}",
            f.text,
            words.join(" "),
            text::shell(&line.virt)
        ),
    )
}
