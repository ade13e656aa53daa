//! Which runtime file a pair's users share, and when it is replaced.
use super::{ANN, BEN, GROUP, ROOT, Who, healthy, runtime, shared};
use mirror_tests::{Kind, Output, Pair, need};
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

/// A program that has changed the pair, and goes on until its input ends.
fn holder(who: Who, pair: &Pair) -> Child {
    let mut c = pair.preloaded("bash");
    c.args([
        "-c",
        "echo held > $V/held; echo ready; read x; echo more >> $V/held",
    ]);
    let mut child = who
        .takes(c.stdin(Stdio::piped()).stdout(Stdio::piped()))
        .spawn()
        .unwrap();
    let mut line = String::new();
    let out = child.stdout.as_mut().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    child
}

fn finish(mut holder: Child) {
    drop(holder.stdin.take());
    assert!(holder.wait().unwrap().success());
}

/// A container with a /dev/shm of its own: refused as long as somebody is attached outside.
#[test]
fn two_domains_are_refused_while_one_lives() {
    need!(root);
    need!("unshare");
    let pair = shared(Kind::Link);
    for who in [ANN, ROOT] {
        let held = holder(who, &pair);
        let apart = "mount -t tmpfs -o mode=1777 none /dev/shm";
        for other in [BEN, ROOT] {
            let drop = format!(
                "setpriv --reuid {0} --regid {0} --groups {1}",
                other.0,
                if other.1.is_empty() { 0 } else { GROUP }
            );
            let run = |program: &mut Command| {
                Output::from_std(program.output().expect("running unshare"))
            };
            let script = "echo no > $V/other; echo $?; ls $V";
            let mut inside = pair.native_command("unshare");
            let wrapper = mirror_tests::dist().join("mirror-run");
            inside.args(["-m", "sh", "-c"]).arg(format!(
                "{apart} && exec {drop} {} bash -c '{script}'",
                wrapper.display()
            ));
            let o = run(inside.env("V", pair.v()));
            assert_eq!(o.text(), "1\nheld", "{o:?}");
            assert!(
                String::from_utf8_lossy(&o.err).contains("Input/output error"),
                "{o:?}"
            );
            let mut inside = pair.native_command("unshare");
            let mirror = mirror_tests::dist().join("mirror");
            inside.args(["-m", "sh", "-c"]).arg(format!(
                "{apart} && exec {drop} {} run -- true",
                mirror.display()
            ));
            let o = run(&mut inside);
            assert_eq!(o.code, 125, "{o:?}");
            assert!(
                String::from_utf8_lossy(&o.err).contains("another host or container"),
                "{o:?}"
            );
        }
        finish(held);
        assert_eq!(fs::read(pair.b().join("held")).unwrap(), b"held\nmore\n");
        BEN.preloads(&pair, "rm $V/held").ok();
        healthy(&pair);
    }
}

/// A runtime file of another boot, or one that its makers left half made, is no domain.
#[test]
fn a_stale_runtime_file_is_replaced() {
    need!(root);
    need!("python3");
    let pair = shared(Kind::InPlace);
    ANN.runs(&pair, "echo x > $V/f").ok();
    let other_boot = "import os, zlib\nfor leg in 'AB':\n p = os.environ[leg] + '/.mirror/owner'\n b = bytearray(open(p, 'rb').read())\n b[24] ^= 1\n b[40:44] = zlib.crc32(b[:40]).to_bytes(4, 'little')\n open(p, 'r+b').write(b)";
    for (who, by_command) in [(ANN, true), (ANN, false), (ROOT, false), (ROOT, true)] {
        let old = runtime(&pair);
        std::os::unix::fs::chown(&old, Some(ANN.0), Some(GROUP)).unwrap();
        let mut c = pair.native_command("/usr/bin/python3");
        c.env("A", pair.a())
            .env("B", pair.b())
            .args(["-c", other_boot]);
        ROOT.does(&mut c).ok();
        let o = if by_command {
            who.runs(&pair, "echo y >> $V/f")
        } else {
            who.preloads(&pair, "echo y >> $V/f")
        };
        o.ok();
        // ANN's own, or anybody's for root: the old one is gone.
        assert!(runtime(&pair) != old);
        healthy(&pair);
        // Half made: its first bytes are there, the rest is not.
        let old = runtime(&pair);
        std::os::unix::fs::chown(&old, Some(ANN.0), Some(GROUP)).unwrap();
        let f = fs::File::options().write(true).open(&old).unwrap();
        f.set_len(136).unwrap();
        ANN.preloads(&pair, "echo z >> $V/f").ok();
        assert!(runtime(&pair) != old);
        healthy(&pair);
    }
}
