//! A change of leg a alone, made under its locks while leg b is away, goes to what was planned or begins anew: at each
//! of its calls somebody makes its name, or its number, lead elsewhere. Another pair never gets it on one leg, and who
//! waits behind a fifo or a pipe holds no lock.
use mirror_tests::{Kind, Pair, Traced, compile};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

/// More calls than any of these changes makes.
const ENDLESS: usize = 400;

/// A pair whose leg b is away, with a pair that is in sync in its tab.
fn pairs() -> Option<(Pair, Pair)> {
    let pair = |more: &[&str]| {
        let pair = Pair::bare(Kind::InPlace, mirror_tests::Fs::Plain).unwrap();
        pair.init(more).ok();
        pair
    };
    let (one, other) = (pair(&["--on-failure", "degrade"]), pair(&[]));
    let tab = fs::read_to_string(one.tab()).unwrap() + &fs::read_to_string(other.tab()).unwrap();
    fs::write(one.tab(), tab).unwrap();
    compile(&one.programs(), "lone", include_str!("../programs/lone.c"))?;
    let v = one.v().to_str().unwrap();
    one.mirror("leg", &["offline", v, "b"]).ok();
    Some((one, other))
}

fn start(pair: &Pair, args: &[&Path]) -> Traced {
    let mut c = pair.preloaded(pair.programs().join("lone"));
    c.args(args);
    Traced::start(c)
}

/// The second thread makes number 20 what leads there, or waits for the mutex that guards numbers.
fn turn(t: &mut Traced, to: &str) {
    t.tell();
    while !t.leads(20).starts_with(to) && !t.second_sleeps(&[libc::SYS_futex]) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A name of the first pair and one of the second, as they are before each try.
fn anew(one: &Pair, other: &Pair) {
    for leg in [one.a(), other.a(), other.b()] {
        let d = leg.join("d");
        let _ = fs::remove_file(&d).or_else(|_| fs::remove_dir_all(&d));
        let _ = fs::remove_dir_all(leg.join("was"));
        fs::create_dir(&d).unwrap();
        fs::write(d.join("f"), "before\n").unwrap();
    }
}

/// What a leg has in its directory: names, modes and contents.
fn inside(leg: &Path) -> Vec<(String, u32, Vec<u8>)> {
    use std::os::unix::fs::MetadataExt;
    let files = fs::read_dir(leg.join("d")).unwrap().map(|e| e.unwrap());
    let told = files.map(|e| {
        let name = e.file_name().into_string().unwrap();
        (
            name,
            e.metadata().unwrap().mode(),
            fs::read(e.path()).unwrap(),
        )
    });
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[track_caller]
fn same(other: &Pair, what: &str, nth: usize) {
    assert_eq!(
        inside(other.a()),
        inside(other.b()),
        "{what}, before call {nth}"
    );
}

/// Before each call in turn, the directory on the way becomes a link to one of the pair that is in sync.
#[test]
fn a_name_that_leads_to_another_pair_by_then() {
    let Some((one, other)) = pairs() else { return };
    let (d, was) = (one.a().join("d"), one.a().join("was"));
    let f = one.v().join("d/f");
    let g = one.v().join("d/g");
    for op in ["unlink", "open", "chmod", "rename"] {
        let mut reached = 0;
        for nth in 0..ENDLESS {
            anew(&one, &other);
            let mut t = start(&one, &[Path::new(op), &f, &g]);
            if !t.reach(nth) {
                break;
            }
            reached = nth;
            fs::rename(&d, &was).unwrap();
            symlink(other.v().join("d"), &d).unwrap();
            assert!(t.goes_on(&[]), "{op}");
            drop(t);
            same(&other, op, nth);
        }
        assert!((5..ENDLESS - 1).contains(&reached), "{op}: {reached} calls");
    }
}

/// The name becomes a link to a fifo: who opens it waits, as on a plain directory, and keeps nobody out.
#[test]
fn a_name_that_leads_to_a_fifo_by_then() {
    let Some((one, other)) = pairs() else { return };
    let fifo = one.scratch().join("fifo");
    one.bypass(&format!("mkfifo {}", fifo.display())).ok();
    let (mut waited, mut reached) = (0, 0);
    for nth in 0..ENDLESS {
        anew(&one, &other);
        let mut t = start(&one, &[Path::new("fifo"), &one.v().join("d/f")]);
        if !t.reach(nth) {
            break;
        }
        reached = nth;
        fs::remove_file(one.a().join("d/f")).unwrap();
        symlink(&fifo, one.a().join("d/f")).unwrap();
        let opens = [libc::SYS_open, libc::SYS_openat, libc::SYS_openat2];
        if !t.goes_on(&opens) {
            waited += 1;
            one.run("echo x > $V/d/other && rm $V/d/other").ok();
        }
    }
    assert!(
        waited > 0 && (5..ENDLESS - 1).contains(&reached),
        "{waited} of {reached}"
    );
}

/// Another thread makes the number one of the pair that is in sync.
#[test]
fn a_number_of_another_pair_by_then() {
    let Some((one, other)) = pairs() else { return };
    let (f, to) = (one.v().join("d/f"), other.v().join("d/f"));
    for op in ["write", "ftruncate"] {
        let mut reached = 0;
        for nth in 0..ENDLESS {
            anew(&one, &other);
            let mut t = start(&one, &[Path::new(op), &f, &to]);
            if !t.reach(nth) {
                break;
            }
            reached = nth;
            turn(&mut t, to.to_str().unwrap());
            assert!(t.goes_on(&[]), "{op}");
            drop(t);
            same(&other, op, nth);
        }
        assert!((5..ENDLESS - 1).contains(&reached), "{op}: {reached} calls");
    }
}

/// It becomes a pipe that is full: who writes waits, and keeps nobody out.
#[test]
fn a_number_that_is_a_full_pipe_by_then() {
    let Some((one, other)) = pairs() else { return };
    let (mut waited, mut reached) = (0, 0);
    for nth in 0..ENDLESS {
        anew(&one, &other);
        let mut t = start(&one, &[Path::new("write"), &one.v().join("d/f")]);
        if !t.reach(nth) {
            break;
        }
        reached = nth;
        turn(&mut t, "pipe:");
        if !t.goes_on(&[libc::SYS_write]) {
            waited += 1;
            one.run("echo x >> $V/d/f").ok();
        }
    }
    assert!(
        waited > 0 && (5..ENDLESS - 1).contains(&reached),
        "{waited} of {reached}"
    );
}
