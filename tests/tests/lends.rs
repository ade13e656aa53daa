//! Files of a pair that the kernel, or ld.so, is told to write by itself: each is recorded.
use mirror_tests::{Kind, Pair, need};

fn pending(pair: &Pair) -> String {
    std::fs::read_to_string(pair.a().join(".mirror/pending")).expect("a list")
}

/// Calls with arguments that the kernel refuses: what is recorded is recorded before.
#[test]
fn what_the_kernel_is_told_to_write_is_recorded() {
    need!("python3");
    let pair = Pair::striped(Kind::InPlace, None);
    pair.run("cd $V; mkdir acct swap quota up work low sub")
        .ok();
    let script = r#"cd $V && python3 - <<'PY'
import ctypes, os
c = ctypes.CDLL(None)
v = os.environ["V"].encode()
c.acct(b"acct")
c.swapon(v + b"/swap", 0)
c.quotactl(0x80000200, b"/dev/null", 0, b"quota")
opts = b"lowerdir=low,upperdir=up,workdir=" + v + b"/work"
c.mount(b"none", b"/nowhere", b"overlay", 0, opts)
c.syscall(431, -1, 1, b"upperdir", b"sub", 0)
c.syscall(431, -1, 1, b"lowerdir", b"low", 0)
c.acct(b"/nowhere")
PY"#;
    pair.run(script);
    let list = pending(&pair);
    let mut names: Vec<&str> = list.lines().collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names, ["acct", "quota", "sub", "swap", "up", "work"]);
    pair.resync().ok();
    pair.assert_equal();
}

/// ld.so makes its calls itself.
#[test]
fn what_the_linker_writes_is_recorded() {
    let pair = Pair::striped(Kind::Link, None);
    pair.run("mkdir $V/logs").ok();
    pair.run("cd $V; LD_DEBUG=files LD_DEBUG_OUTPUT=logs/l /bin/true; LD_DEBUG=files LD_DEBUG_OUTPUT=$S/l /bin/true")
        .ok();
    let status = pair.mirror("status", &[pair.v().to_str().unwrap()]);
    assert_eq!(status.code, 1, "{status:?}");
    assert_eq!(pending(&pair).trim(), "logs");
    pair.resync().ok();
    pair.assert_equal();
}

/// The process that it is taken from does not know that it shares it.
#[test]
fn who_takes_a_descriptor_of_another_process_is_recorded() {
    need!("python3");
    let pair = Pair::striped(Kind::InPlace, None);
    let script = |mode: &str| {
        format!(
            r#"cd $V && python3 - <<'PY'
import ctypes, os, sys
c = ctypes.CDLL(None)
f = os.open("f", os.{mode} | os.O_CREAT, 0o600)
parent = os.getpid()
if os.fork() == 0:
    n = c.syscall(438, os.pidfd_open(parent), f, 0)
    os._exit(0 if n >= 0 else 1)
sys.exit(os.waitstatus_to_exitcode(os.wait()[1]))
PY"#
        )
    };
    let status = || pair.mirror("status", &[pair.v().to_str().unwrap()]);
    // What only reads changes nothing.
    pair.run(&script("O_RDONLY")).ok();
    assert_eq!(status().code, 0);
    pair.run(&script("O_RDWR")).ok();
    let o = status();
    assert_eq!(o.code, 1, "{o:?}");
    assert!(format!("{o:?}").contains("by pidfd_getfd"), "{o:?}");
    assert_eq!(pair.mirror("verify", &[pair.v().to_str().unwrap()]).code, 0);
    assert_eq!(status().code, 0);
}
