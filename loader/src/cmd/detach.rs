//! `mirror detach`: the pair is no pair any more; both trees stay as they are.
use crate::cli::Detach;
use crate::fail::{Fail, Kind, Res};
use crate::pair::control::{Pair, read_record, remove_control};
use crate::pair::{domain, tab, tabwrite};
use crate::text;
use crate::tree::beneath::Root;

/// Runs it.
pub fn run(a: &Detach) -> Res<u8> {
    let all = tab::load()?;
    let l = tab::find(&all, &a.pair)?;
    let Some(file) = &l.file else {
        return Err(Fail::new(
            Kind::Usage,
            format!(
                "{} comes from the variable MIRROR. unset MIRROR",
                text::path(&l.virt)
            ),
        ));
    };
    let pair = Pair::open(l);
    // A broken pair can be detached too: then there is nobody who could be attached.
    let _alone = match &pair {
        Ok(p) => Some(domain::alone(p)?),
        Err(e) if e.kind == Kind::Permission => return Err(Fail::new(e.kind, e.text.clone())),
        Err(_) => None,
    };
    tabwrite::Held::take(file)?.remove(&l.virt)?;
    let id = pair.as_ref().ok().map(Pair::id);
    if let Ok(p) = &pair {
        domain::forget(p);
    }
    for leg in &l.legs {
        let Ok(root) = Root::open(leg) else { continue };
        // A leg that has become another pair's is not ours to clean.
        let ours = match (read_record(&root), id) {
            (Ok(Some(r)), Some(id)) => r.pair == id,
            (Ok(Some(_)), None) => false,
            _ => true,
        };
        if ours && !remove_control(&root)? {
            println!(
                "kept      {}/.mirror holds older versions; remove it when you do not need them",
                text::path(leg)
            );
        }
    }
    println!(
        "detached  {}    {} and {} stay as they are",
        text::path(&l.virt),
        text::path(&l.legs[0]),
        text::path(&l.legs[1])
    );
    if !l.in_place() && l.virt.is_symlink() {
        println!(
            "          {} still leads to {}",
            text::path(&l.virt),
            text::path(&l.legs[0])
        );
    }
    Ok(0)
}
