//! Before a repair: whether the pair can be repaired, and its control files.
use super::finding::Finding;
use super::link;
use super::side::Side;
use super::signs::read_only;
use super::{degraded, lost};
use crate::fail::{Fail, Kind, Res};
use crate::output;
use crate::pair::control::{Faults, mend};
use crate::pair::domain;
use crate::pair::legs::Pair;
use crate::pair::working::working_in;
use crate::text;
use std::os::fd::OwnedFd;

/// Whether the pair can be repaired; refuses what could go the wrong way, and makes control files that
/// are missing again. `false`: a dry run has said all there is to say.
pub fn fit(pair: &Pair, from: Option<Side>, dry_run: bool) -> Res<bool> {
    let refuse = |f: Finding| {
        let what = f.actions.first().map(|a| a.0.clone()).unwrap_or_default();
        Err(Fail::new(
            Kind::Leg,
            format!(
                "{}. To do first: {what} ({})",
                f.why,
                f.code.unwrap_or_default()
            ),
        ))
    };
    if let Some(f) = degraded::split(pair) {
        return refuse(f);
    }
    if let Some(f) = lost::swapped(pair) {
        return refuse(f);
    }
    // Whoever turned V to the other leg has perhaps worked there.
    if let (Some(f), None, None) = (link::fault(&pair.line), from, pair.incomplete()) {
        return refuse(f);
    }
    if !dry_run && let Some(leg) = pair.legs.iter().find(|l| read_only(&l.root)) {
        return Err(Fail::new(
            Kind::Leg,
            format!(
                "leg {} ({}) is read-only: nothing can be repaired. mirror status {}",
                leg.letter(),
                text::path(&leg.root.path),
                text::shell(&pair.line.virt)
            ),
        ));
    }
    remade(pair, dry_run)
}

/// Makes what is missing in the control folders again, when nobody is attached.
fn remade(pair: &Pair, dry: bool) -> Res<bool> {
    let shown = text::path(&pair.line.virt);
    let mut ready = true;
    for leg in &pair.legs {
        let faults = Faults::of(&leg.root);
        let root = text::path(&leg.root.path);
        if let Some(name) = faults.wrong.first() {
            return Err(Fail::new(
                Kind::Leg,
                format!(
                    "{root}/{name} is not what stands there in a pair. Remove it, then again: mirror resync makes it again"
                ),
            ));
        }
        if faults.missing.is_empty() {
            continue;
        }
        if dry {
            output::say!(
                "{shown}    would make {} of {root} again",
                faults.missing.join(" ")
            );
            ready &= !faults.fatal;
            continue;
        }
        let _alone = faults.fatal.then(|| nobody(pair)).transpose()?;
        mend(leg)?;
        output::say!(
            "{shown}    made {} of {root} again",
            faults.missing.join(" ")
        );
    }
    Ok(ready)
}

/// Makes sure that nobody is attached: whoever is would go on with the files that are gone.
fn nobody(pair: &Pair) -> Res<Vec<OwnedFd>> {
    let mut held = Vec::new();
    for leg in &pair.legs {
        held.extend(domain::alone(&leg.root, &pair.line.virt)?);
        let users = working_in(&leg.root.path.join(".mirror"));
        if let (Some(who), true) = (users.unseen, users.named.is_empty()) {
            output::note!(
                "mirror: {}: {who} cannot be looked at from here: make sure that none of them uses the pair",
                text::path(&pair.line.virt)
            );
        }
        if !users.named.is_empty() {
            return Err(Fail::new(
                Kind::Busy,
                format!(
                    "{} is in use by {}, and its control files are not complete. Stop them first",
                    text::path(&pair.line.virt),
                    users.named.join(" ")
                ),
            ));
        }
    }
    Ok(held)
}
