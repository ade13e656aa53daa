//! Stores through shared writable mappings: a mirrored program's stand on leg a alone until they are carried over,
//! and are no finding; anybody else's are.
use super::*;
use mirror_tests::{Talker, compile_with};

/// The program, if there is a compiler and the tier can be used.
fn audited(pair: &Pair, tier: &str) -> Option<Audit> {
    let source = include_str!("../../programs/mappings.c");
    compile_with(&pair.programs(), "mappings", source, "c", &["-pthread"])?;
    (tier != "t2" || has_tier(pair, tier)).then(|| Audit::of(pair, &["--tier", tier]))
}

fn mirrored(pair: &Pair, tier: &str) {
    let Some(audit) = audited(pair, tier) else {
        return;
    };
    for case in ["msync", "fsync", "munmap", "mprotect", "fork", "exit"] {
        pair.run(&format!("$P/mappings {case}; rm -f $V/f")).ok();
    }
    // One that has stored and carried nothing over when the audit judges it.
    let t = Talker::start(pair.preloaded(pair.programs().join("mappings")).arg("kill"));
    while t.line() != "ready" {}
    let told = audit.end();
    drop(t);
    assert!(told.places().is_empty(), "{:#?}", told.events);
    assert_eq!((told.code, told.count("lost")), (0, 0), "{}", told.err);
    assert_eq!(pair.bypass("cmp -s $A/f $B/f").code, 1);
    pair.verify().ok();
}

#[test]
fn a_mirrored_program_s_stores_are_no_findings_t2() {
    Pair::with(Kind::InPlace, |pair| mirrored(pair, "t2"));
}

#[test]
fn a_mirrored_program_s_stores_are_no_findings_t4() {
    Pair::with(Kind::InPlace, |pair| mirrored(pair, "t4"));
}

/// What a program without the library stores in a file that a mirrored one has mapped too.
#[test]
fn a_stranger_s_stores_in_a_mapped_file_are_found_t2() {
    Pair::with(Kind::InPlace, |pair| {
        let Some(audit) = audited(pair, "t2") else {
            return;
        };
        let t = Talker::start(pair.preloaded(pair.programs().join("mappings")).arg("kill"));
        while t.line() != "ready" {}
        let o = audit.still(|| pair.bypass("V=$A B= $P/mappings msync"));
        let told = audit.end();
        drop(t);
        assert!(o.text().contains("msync ok"), "{o:?}");
        assert_eq!(told.places(), ["a f"], "{:#?}", told.events);
        assert_eq!(told.code, 3);
    });
}

/// Stores what it is told, through one mapping: a page that is dirty already is stored to without a word to anybody.
const STORES: &str = "
import mmap, sys
f = open(sys.argv[1], 'r+b')
m = mmap.mmap(f.fileno(), 0)
f.close()
for line in sys.stdin:
    m[0:1] = line[:1].encode()
    print('stored', flush=True)
";

#[test]
fn what_is_stored_after_a_heal_is_healed_too_t2() {
    Pair::with(Kind::InPlace, |pair| {
        if !have("python3") {
            return skip("needs python3");
        }
        if !has_tier(pair, "t2") {
            return;
        }
        pair.run("echo 0 > $V/f").ok();
        let mut audit = Audit::of(pair, &["--tier", "t2", "--heal"]);
        let mut c = Command::new("python3");
        c.args(["-c", STORES]).arg(pair.a().join("f"));
        let mut t = Talker::start(c.stdin(Stdio::piped()));
        let mut input = t.input();
        for digit in ["1", "2", "3"] {
            use std::io::Write;
            writeln!(input, "{digit}").unwrap();
            assert_eq!(t.line(), "stored");
            loop {
                let mut line = String::new();
                assert!(audit.out.read_line(&mut line).unwrap() > 0, "{digit}");
                let f: Value = serde_json::from_str(&line).unwrap();
                if f["path"] == "f" && f["done"] == "healed" {
                    break;
                }
            }
            let b = fs::read_to_string(pair.b().join("f")).unwrap();
            assert_eq!(b, format!("{digit}\n"));
        }
        drop(input);
        assert_eq!(t.end(), 0);
        assert_eq!(audit.end().code, 3);
        pair.assert_equal();
    });
}
