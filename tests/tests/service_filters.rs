//! Real programs below the filters that systemd's `SystemCallFilter=@system-service` and container engines put on them:
//! what the library itself calls is allowed there. The plain directory's answers below the same filter, equal legs.
use mirror_tests::{Kind, Output, Pair, dist, have, need, skip};
use std::process::Command;

/// The work, in `$V`. What the filter refuses it refuses natively too.
const WORK: &str = r#"set -e; cd $V; mkdir -p d/e; echo one > d/f; cp -a d/f d/g; mv d/g d/e/h; ln -s f d/l; ln d/f d/e/i
    chmod 640 d/f; echo two >> d/e/h; truncate -s 10 d/e/h; tar -cf t.tar --mtime=@1600000000 d; rm -r d; tar -xf t.tar
    python3 -B -c '
import fcntl, mmap, os, sqlite3, subprocess, threading
f = open("m", "wb+"); f.write(bytes(8192)); f.flush(); m = mmap.mmap(f.fileno(), 8192); m[5000] = 7; m.flush(); m.close()
fcntl.flock(f, fcntl.LOCK_EX); fcntl.lockf(f, fcntl.LOCK_EX); os.fsync(f.fileno()); f.close()
db = sqlite3.connect("db"); db.execute("pragma journal_mode=wal"); db.execute("create table t(x)")
db.executemany("insert into t values(?)", [(i,) for i in range(50)]); db.commit(); print(db.execute("select sum(x) from t").fetchall()); db.close()
def work(i):
    for k in range(10):
        open("p%d" % i, "w").write("x" * 900); os.rename("p%d" % i, "q%d" % i)
t = [threading.Thread(target=work, args=(i,)) for i in range(3)]
[x.start() for x in t]; [x.join() for x in t]
print(subprocess.run(["sh", "-c", "echo child >> d/f; cat d/f"], capture_output=True).stdout, os.copy_file_range(os.open("m", 0), os.open("n", 65), 100))'
    git init -q r 2>/dev/null; (cd r; echo x > a; git add a; git commit -qm a; git gc -q; rm -r .git)
    find . | sort | tr '\n' ' '; stat -c '%n %s %a' d/f d/e/h q2"#;

/// The system calls of one of systemd's groups, as systemd on this machine has it.
fn group(name: &str, depth: usize) -> Vec<String> {
    let o = Command::new("systemd-analyze")
        .args(["syscall-filter", "--no-pager", name])
        .output();
    let o = o.expect("running systemd-analyze");
    let text = String::from_utf8_lossy(&o.stdout).into_owned();
    let words = text.lines().map(str::trim).skip(1);
    words
        .filter(|w| !w.is_empty() && !w.starts_with('#'))
        .flat_map(|w| match w.starts_with('@') && depth > 0 {
            true => group(w, depth - 1),
            false => vec![w.to_owned()],
        })
        .collect()
}

/// What container engines deny to a container without further capabilities.
const CONTAINER: &str = "acct add_key bpf clock_adjtime clock_settime delete_module finit_module get_mempolicy
    init_module ioperm iopl io_uring_setup io_uring_enter io_uring_register kcmp kexec_file_load kexec_load keyctl
    lookup_dcookie mbind mount move_pages name_to_handle_at open_by_handle_at open_tree move_mount fsopen fsconfig
    fsmount fspick perf_event_open personality pivot_root process_madvise quotactl quotactl_fd reboot request_key
    set_mempolicy setns settimeofday swapon swapoff sysfs syslog umount2 unshare userfaultfd ustat vhangup";

fn below(how: &str, names: &[String]) {
    let header = "/usr/include/x86_64-linux-gnu/asm/unistd_64.h";
    if !have("python3") || !std::path::Path::new(header).exists() {
        return skip("needs python3 and the kernel's headers");
    }
    let pair = Pair::striped(Kind::InPlace, None);
    let put = |name: &str, text: &str| std::fs::write(pair.programs().join(name), text).unwrap();
    put("below.py", include_str!("../programs/below.py"));
    put("work", WORK);
    let filter = format!("python3 -B $P/below.py {how} {} --", names.join(" "));
    let clean = "rm -rf $V/* $V/.[a-ln-z]*";
    // A process that the mirror has to go on in puts the filter on itself.
    let native = pair.plain(&format!("{filter} bash $P/work 2>&1"));
    assert!(
        native.code == 0 && native.text().contains("[(1225,)]"),
        "{native:?}"
    );
    pair.unstable(&["db"]);
    let own = pair.both(&format!("{clean}; {filter} bash $P/work 2>&1"));
    assert_eq!(own.text(), native.text());
    pair.run(clean).ok();
    // Programs that start below it.
    let c = pair.preloaded("true");
    let wrapper = dist().join("mirror-run");
    let script = format!("{filter} {} bash $P/work 2>&1", wrapper.display());
    let mut outer = Command::new("bash");
    outer.envs(c.get_envs().filter_map(|(k, v)| Some((k, v?))));
    outer.current_dir(pair.scratch());
    let o = Output::from_std(outer.args(["-c", &script]).output().unwrap());
    assert!(
        o.code == 0 && String::from_utf8_lossy(&o.out).trim() == native.text().trim(),
        "natively {native:?}\nbelow the filter {o:?}"
    );
    pair.assert_equal();
}

#[test]
fn systemds_system_service() {
    need!("systemd-analyze", "git");
    let names = group("@system-service", 3);
    assert!(names.len() > 200, "{names:?}");
    below("allow", &names);
}

#[test]
fn a_containers_default() {
    need!("git");
    let names: Vec<String> = CONTAINER.split_whitespace().map(str::to_owned).collect();
    below("deny", &names);
}
