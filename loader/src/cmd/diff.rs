//! `mirror diff`: lists differences; changes nothing, takes no lock.
use super::verify::line;
use crate::cli::Diff;
use crate::fail::{Context, Res};
use crate::pair::control::Leg;
use crate::pair::tab;
use crate::sync::equal::{Seen, Work};
use crate::sync::session::{Difference, kind_word};
use crate::sync::walk::{Collect, walk};
use crate::text;
use crate::tree::beneath::open_leg;
use crate::tree::object::Fidelity;
use indicatif::ProgressBar;

/// Runs it: 0 equal, 1 different.
pub fn run(a: &Diff) -> Res<u8> {
    crate::signal::stop_gently();
    let dirs = match &a.second {
        Some(b) => [a.first.clone(), b.clone()],
        None => tab::find(&tab::load()?, &a.first)?.legs.clone(),
    };
    let (x, y) = (
        Leg::bare(open_leg(&dirs[0])?, 0),
        Leg::bare(open_leg(&dirs[1])?, 1),
    );
    let mut w = Work::new(&x, &y, Fidelity::full(), false, ProgressBar::hidden());
    let mut found = 0u64;
    let mut show = |rel: &[u8], seen: &Seen| {
        if !seen.what.is_empty() {
            found += 1;
            let d = Difference {
                rel: rel.to_vec(),
                what: seen.what.clone(),
                kind: kind_word(seen),
            };
            crate::say!("{}", line(&d, 'a', 'b'));
        }
    };
    let t = walk(&mut w, &mut Collect(&mut show)).about("comparing")?;
    for (rel, why) in &t.trouble {
        crate::say!("  {}  cannot be compared: {why}", text::show(rel));
    }
    crate::say!(
        "a {}    b {}    {}  {}",
        text::path(&dirs[0]),
        text::path(&dirs[1]),
        text::plural(t.objects, "object"),
        text::plural(found, "difference")
    );
    Ok(if !t.trouble.is_empty() {
        2
    } else {
        u8::from(found > 0)
    })
}
