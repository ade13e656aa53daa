//! Who may lead whom where: records, runtime files and control folders that somebody else can write.
//! Needs root; the others are numbers that no account has.
use mirror_tests::{Fs, Kind, Output, Pair, need, runtime_files_of};
use std::fs;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Owns a pair in which root works.
const ANN: u32 = 61001;
/// The group of a folder that several users write.
const GROUP: u32 = 61100;

fn as_ann(c: &mut Command) -> Output {
    Output::from_std(c.uid(ANN).gid(ANN).output().expect("running a command"))
}

fn legs(pair: &Pair, uid: u32, gid: u32, mode: u32) {
    for leg in [pair.a(), pair.b()] {
        chown(leg, Some(uid), Some(gid)).unwrap();
        fs::set_permissions(leg, fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// A pair of ANN's, its mirrortab root's, with more options.
fn anns(more: &str) -> Pair {
    let pair = Pair::bare(Kind::InPlace, Fs::Plain).expect("plain folders can always be made");
    legs(&pair, ANN, ANN, 0o755);
    // Root's prepared image, before ANN makes one that root would not take.
    Output::from_std(
        pair.mirror_command("doctor")
            .arg("--prepare")
            .output()
            .unwrap(),
    )
    .ok();
    let own = pair.scratch().join("ann");
    fs::create_dir(&own).unwrap();
    chown(&own, Some(ANN), Some(ANN)).unwrap();
    let mut init = pair.mirror_command("init");
    init.args([pair.a(), pair.b()]).arg("--yes");
    as_ann(init.env("MIRRORTAB", own.join("tab"))).ok();
    let tab = fs::read_to_string(own.join("tab")).unwrap();
    assert!(
        tab.contains(&format!(",uid={ANN}")) && tab.contains(",id="),
        "{tab}"
    );
    fs::write(pair.tab(), format!("{}{more}\n", tab.trim_end())).unwrap();
    fs::remove_dir_all(&own).unwrap();
    pair.watch_runtime();
    pair
}

fn id_of(leg: &Path) -> String {
    let record = fs::read_to_string(leg.join(".mirror/leg")).unwrap();
    let id = record.lines().find_map(|l| l.strip_prefix("pair="));
    id.unwrap().to_owned()
}

const FORGE: &str = r#"
import os, sys, zlib
pair, owner, old_boot = sys.argv[1], open(sys.argv[2], "rb").read(), sys.argv[3] == "old"
for leg in "AB":
    p = os.environ[leg] + "/.mirror/"
    t = open(p + "leg").read().splitlines()[:-1]
    t = ["pair=" + pair if l.startswith("pair=") else "runtime=/run/mirror/" if l.startswith("runtime=") else l for l in t]
    body = "\n".join(t) + "\n"
    open(p + "leg", "w").write(body + "crc=%08x\n" % zlib.crc32(body.encode()))
    b = bytearray(owner)
    if old_boot: b[24:40] = bytes(16)
    b[40:44] = zlib.crc32(b[:40]).to_bytes(4, "little")
    open(p + "owner", "r+b").write(b)
"#;

/// A user who knows all ids of another pair of root's leads root's program nowhere.
#[test]
fn forged_records_lead_to_no_other_pair() {
    need!(root);
    need!("python3");
    let roots = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
    roots.run("echo x > $V/f").ok();
    let file = runtime_files_of(&[id_of(roots.a())]);
    assert_eq!(file.len(), 1, "{file:?}");
    let before = fs::read(&file[0]).unwrap();
    for boot in ["this", "old"] {
        for pinned in [true, false] {
            let pair = anns("");
            as_ann(pair.command("bash").args(["-c", "echo one > $V/f"])).ok();
            if !pinned {
                let tab = fs::read_to_string(pair.tab()).unwrap();
                let line = tab.split(",id=").next().unwrap();
                fs::write(pair.tab(), format!("{line}\n")).unwrap();
            }
            let owner = roots.a().join(".mirror/owner");
            let mut forge = pair.native_command("/usr/bin/python3");
            forge.env("A", pair.a()).env("B", pair.b());
            forge
                .args(["-c", FORGE, &id_of(roots.a())])
                .arg(owner)
                .arg(boot);
            Output::from_std(forge.output().unwrap()).ok();
            let o = pair
                .preloaded("bash")
                .args(["-c", "echo two >> $V/f"])
                .output()
                .unwrap();
            let o = Output::from_std(o);
            assert!(o.code < 128, "{o:?}");
            pair.mirror("status", &[pair.v().to_str().unwrap()]);
            pair.mirror("verify", &[pair.v().to_str().unwrap()]);
            assert!(
                file[0].exists(),
                "root's own runtime file is gone ({boot}, {pinned})"
            );
            assert_eq!(fs::read(&file[0]).unwrap(), before, "({boot}, {pinned})");
        }
    }
    roots.run("echo y >> $V/f").ok();
    roots.assert_sound();
}

/// What a pair's owner may do to the runtime file while a program of root's works in the pair.
#[test]
fn the_owner_cannot_kill_roots_program() {
    need!(root);
    need!("python3");
    const WORK: &str = "import os,sys,time\nv=os.environ['V']\nend=time.time()+1.2\nn=0\nprint('go',flush=True)\nwhile time.time()<end:\n n+=1\n try:\n  open(v+'/r%d'%(n%5),'a').write('x')\n  os.mkdir(v+'/d'); os.rename(v+'/d',v+'/e'); os.rmdir(v+'/e')\n except OSError: pass\nprint('done')";
    type Act = (&'static str, fn(&fs::File, &Path));
    let acts: [Act; 5] = [
        ("truncate to nothing", |f, _| f.set_len(0).unwrap()),
        ("truncate to a page", |f, _| f.set_len(4096).unwrap()),
        ("remove", |_, p| fs::remove_file(p).unwrap()),
        ("all ones", |f, _| {
            f.write_all_at(&vec![0xff; f.metadata().unwrap().len() as usize], 0)
                .unwrap()
        }),
        ("noise", |f, _| {
            let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
            let noise: Vec<u8> = (0..f.metadata().unwrap().len())
                .map(|_| {
                    seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    (seed >> 56) as u8
                })
                .collect();
            for _ in 0..3 {
                f.write_all_at(&noise, 0).unwrap();
            }
        }),
    ];
    for (name, act) in acts {
        let pair = anns(",root-wait=2");
        as_ann(pair.command("bash").args(["-c", "echo one > $V/f"])).ok();
        let file = pair.runtime_files().pop().expect("a runtime file");
        assert_eq!(fs::metadata(&file).unwrap().uid(), ANN);
        let open = fs::File::options()
            .write(true)
            .read(true)
            .open(&file)
            .unwrap();
        let mut c = pair.preloaded("/usr/bin/python3");
        c.args(["-c", WORK]).stdout(Stdio::piped());
        let mut child = c.spawn().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        std::thread::sleep(Duration::from_millis(200));
        act(&open, &file);
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut out, &mut rest).unwrap();
        let end = child.wait().unwrap();
        assert!(end.success() && rest == "done\n", "{name}: {end:?} {rest}");
        // A second program, and the command: an error or not, no signal.
        let o = pair
            .preloaded("bash")
            .args(["-c", "echo z >> $V/f"])
            .output()
            .unwrap();
        assert!(o.status.code().is_some_and(|c| c < 128), "{name}: {o:?}");
        for command in ["status", "verify", "resync"] {
            let mut c = pair.mirror_command(command);
            c.arg(pair.v());
            if command == "resync" {
                c.arg("--yes");
            }
            let o = c.output().unwrap();
            assert!(
                o.status.code().is_some_and(|c| c < 128),
                "{name} {command}: {o:?}"
            );
        }
        let _ = fs::remove_file(&file);
    }
}

/// A lock that the owner never gives back ends in an error after `root-wait`.
#[test]
fn the_owner_cannot_hang_roots_program() {
    need!(root);
    let pair = anns(",root-wait=1");
    as_ann(pair.command("bash").args(["-c", "echo one > $V/f"])).ok();
    let mut held = Vec::new();
    for n in 0..64 {
        for kind in ["d", "f"] {
            let name = pair.a().join(format!(".mirror/locks/{kind}{n:02}"));
            let f = fs::File::options().write(true).open(name).unwrap();
            f.lock().unwrap();
            held.push(f);
        }
    }
    let begun = Instant::now();
    let o = pair
        .preloaded("bash")
        .args(["-c", "echo two >> $V/f"])
        .output()
        .unwrap();
    let took = begun.elapsed();
    assert_eq!(o.status.code(), Some(1), "{o:?}");
    assert!(took >= Duration::from_millis(900), "{took:?}");
    let o = pair.mirror("status", &[pair.v().to_str().unwrap(), "--json"]);
    assert!(o.text().contains("\"reason\":19,"), "{o:?}");
    drop(held);
    let o = pair
        .preloaded("bash")
        .args(["-c", "echo two >> $V/f"])
        .output()
        .unwrap();
    assert!(o.status.success(), "{o:?}");
    assert_eq!(fs::read(pair.b().join("f")).unwrap(), b"one\ntwo\n");
}

/// Legs in which somebody else may rename `.mirror` are refused, with a way out.
#[test]
fn init_refuses_legs_that_others_can_rename_in() {
    need!(root);
    for (mode, share, fits) in [
        (0o2775, "owner", false),
        (0o2775, "group", true),
        (0o2777, "group", false),
        (0o777, "owner", false),
        (0o1777, "owner", true),
        (0o3775, "owner", true),
        (0o755, "owner", true),
    ] {
        let pair = Pair::bare(Kind::InPlace, Fs::Plain).unwrap();
        legs(&pair, 0, GROUP, mode);
        let o = pair.init(&["--share", share]);
        assert_eq!(o.code == 0, fits, "{mode:o} {share}: {o:?}");
        if !fits {
            let said = String::from_utf8_lossy(&o.err).into_owned();
            assert!(said.contains("chmod"), "{said}");
            assert!(!pair.a().join(".mirror").exists());
        }
    }
}

/// A `.mirror` that somebody else has put in the place of the pair's is not attached to, and said.
#[test]
fn a_planted_control_folder_is_refused() {
    need!(root);
    for pinned in [true, false] {
        let pair = Pair::new(Kind::InPlace, Fs::Plain).unwrap();
        pair.run("echo one > $V/f").ok();
        if !pinned {
            let tab = fs::read_to_string(pair.tab()).unwrap();
            fs::write(
                pair.tab(),
                format!("{}\n", tab.split(",id=").next().unwrap()),
            )
            .unwrap();
        }
        let mut give = Command::new("chown");
        give.arg("-R").arg(format!("{ANN}:{ANN}"));
        give.args([pair.a().join(".mirror"), pair.b().join(".mirror")]);
        assert!(give.status().unwrap().success());
        let o = pair
            .preloaded("bash")
            .args(["-c", "echo two >> $V/f"])
            .output()
            .unwrap();
        assert_eq!(o.status.code(), Some(1), "{o:?}");
        assert_eq!(fs::read(pair.a().join("f")).unwrap(), b"one\n");
        let o = pair.status();
        assert_eq!(o.code, 2, "{o:?}");
        assert!(o.text().contains("NOT TRUSTED"), "{o:?}");
    }
}
