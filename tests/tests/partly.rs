//! A child that runs beside its parent, and shares only one of memory, descriptors and the cwd: what the one does to
//! numbers misleads neither, and their locks exclude each other.
use mirror_tests::{Kind, Level, Pair, compile};

fn partly(mode: &str) {
    let pair = Pair::striped(Kind::InPlace, None);
    let source = include_str!("../programs/partly.c");
    if compile(&pair.programs(), "partly", source).is_none() {
        return;
    }
    let shown = |dir: &std::path::Path, through: bool| {
        let base = pair
            .scratch()
            .join(if through { "mirrored" } else { "plain" });
        std::fs::create_dir_all(base.join("out")).unwrap();
        let script = format!(
            "cd {d} && $P/partly {mode} {o} && {{ sort log | md5sum; cat in new {o}/out; ls; ls {o}; }} 2> /dev/null; true",
            d = dir.display(),
            o = base.join("out").display()
        );
        let o = if through {
            pair.run(&script)
        } else {
            pair.plain(&script)
        };
        o.ok().text()
    };
    let plain = shown(&pair.native(), false);
    assert_eq!(shown(pair.v(), true), plain);
    pair.assert_legs(Level::NoTimes);
    pair.assert_nothing_pending();
}

#[test]
fn memory_alone() {
    partly("vm");
}

#[test]
fn descriptors_alone() {
    partly("files");
}

#[test]
fn the_cwd_alone() {
    partly("fs");
}

#[test]
fn who_shares_descriptors_is_excluded() {
    partly("order");
}
