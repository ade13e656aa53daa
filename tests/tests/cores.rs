//! Core files that the kernel writes into a pair when the program has ended: the directories are listed before, and
//! the command looks there.
use mirror_tests::{Kind, Output, Pair, need, skip};
use std::fs;

/// Whether the kernel puts core files into the program's own directory here, by a name with no directory in it.
fn here() -> bool {
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern").unwrap_or_default();
    let here = !pattern.starts_with(['|', '@']) && !pattern.contains('/');
    if !here {
        skip("core files go elsewhere here");
    }
    here
}

fn pair() -> Pair {
    let pair = Pair::striped(Kind::InPlace, None);
    pair.run("mkdir $V/sub").ok();
    pair
}

fn status(pair: &Pair) -> Output {
    pair.mirror("status", &[pair.v().to_str().unwrap()])
}

fn names(leg: &std::path::Path) -> usize {
    fs::read_dir(leg.join("sub")).unwrap().count()
}

/// Whoever dumps, however it came there: at the end of `mirror run` (if there is one) and by `status`.
#[test]
fn core_files_are_found() {
    need!("python3");
    if !here() {
        return;
    }
    const DIES: &str = "import os, sys; os.kill(os.getpid(), int(sys.argv[1]))";
    let on = "ulimit -c 10000;";
    let ways = [
        // The command itself, and what it starts: by each signal.
        format!("cd $V/sub; {on} kill -ABRT $$"),
        format!("{on} cd $V/sub; sh -c 'kill -SEGV $$'; true"),
        format!("cd $V/sub; {on} sh -c 'kill -QUIT $$'; true"),
        format!("{on} cd $V/sub; python3 -c '{DIES}' 31; true"),
        // A directory that a child alone has; a fork; a limit that is raised later, or by another process.
        format!("{on} env -C $V/sub sh -c 'kill -BUS $$'; true"),
        format!(
            "{on} python3 -c 'import subprocess, sys; subprocess.run([\"sh\", \"-c\", \"kill -ABRT $$\"], cwd=sys.argv[1])' $V/sub; true"
        ),
        format!(
            "{on} python3 -c 'import os, sys\nif os.fork() == 0:\n os.chdir(sys.argv[1]); os.abort()\nos.wait()' $V/sub"
        ),
        format!(
            "{on} python3 -c 'import os, sys\nos.fchdir(os.open(sys.argv[1], os.O_RDONLY))\nif os.fork() == 0: os.abort()\nos.wait()' $V/sub"
        ),
        "cd $V/sub; python3 -c 'import os, resource\nresource.setrlimit(resource.RLIMIT_CORE, (99999, 99999))\nif os.fork() == 0: os.abort()\nos.wait()'".into(),
        "cd $V/sub; sh -c 'read x; kill -ABRT $$' < <(prlimit --core=99999 --pid $$; sleep 0.01; echo); sh -c 'kill -ABRT $$'; true".into(),
    ];
    for (i, way) in ways.iter().enumerate() {
        // Without `mirror run`, and a second time, where that makes a difference.
        let times = if i < 3 { 2 } else { 1 };
        for run in [true, false].into_iter().take(times) {
            let pair = pair();
            let o = match run {
                true => pair.run(way),
                false => {
                    let bash = pair.preloaded("bash").args(["-c", way]).output();
                    Output::from_std(bash.unwrap())
                }
            };
            let core = (names(pair.a()), names(pair.b()));
            if core == (0, 0) {
                return skip("no core file was written");
            }
            assert_eq!(core, (1, 0), "{way}");
            let said = String::from_utf8_lossy(&o.err).into_owned();
            let says = "1 core file written by the kernel on one leg alone: sub/";
            assert!(!run || said.contains(says), "{way}: {said}");
            let o = status(&pair);
            assert!(o.code == 1 && o.text().contains(says), "{way}: {o:?}");
            // With a fixed name the next one takes its place.
            pair.resync().ok();
            assert_eq!(status(&pair).code, 0, "{way}");
            pair.assert_equal();
            if times == 2 {
                pair.run(way);
                assert_eq!(status(&pair).code, 1, "{way}");
            }
        }
    }
}

/// The program begins in the directory, and who has started it has no library.
#[test]
fn a_core_file_of_one_that_began_there_is_found() {
    if !here() {
        return;
    }
    let pair = pair();
    let mut c = pair.preloaded("sh");
    c.args(["-c", "kill -ABRT $$"])
        .current_dir(pair.v().join("sub"));
    let on = libc::rlimit {
        rlim_cur: 1 << 24,
        rlim_max: 1 << 24,
    };
    // SAFETY: between fork and exec: one call, with memory that is there.
    unsafe {
        std::os::unix::process::CommandExt::pre_exec(&mut c, move || {
            libc::setrlimit(libc::RLIMIT_CORE, &on);
            Ok(())
        })
    };
    c.status().unwrap();
    if names(pair.a()) == 0 {
        return skip("no core file was written");
    }
    assert_eq!((status(&pair).code, names(pair.b())), (1, 0));
}

/// Nothing is listed, and nothing said, where none is written.
#[test]
fn without_core_files_nothing_is_kept() {
    let pair = pair();
    pair.run("ulimit -c 0; cd $V/sub; sh -c 'kill -ABRT $$'; kill -KILL $$");
    assert_eq!((status(&pair).code, names(pair.a())), (0, 0));
    assert!(!pair.a().join(".mirror/cores").exists());
    // Who is killed otherwise leaves none; a mirrored file of that sort is on both legs.
    pair.run("ulimit -c 10000; cd $V/sub; printf '\\177ELF\\2\\1\\1\\0\\0\\0\\0\\0\\0\\0\\0\\0\\4\\0' > core; sh -c 'kill -KILL $$'; true").ok();
    assert_eq!(status(&pair).code, 0);
    pair.assert_equal();
}

/// What cannot be listed may be anywhere.
#[test]
fn a_full_list_is_said() {
    if !here() {
        return;
    }
    let pair = pair();
    let list = pair.a().join(".mirror/cores");
    pair.run("ulimit -c 10000; cd $V/sub; true").ok();
    let mut text = fs::read_to_string(&list).unwrap();
    assert_eq!(text.lines().last(), Some("sub"), "{text}");
    while text.len() < 256 * 1024 - 4 {
        text += "x\n";
    }
    fs::write(&list, &text).unwrap();
    pair.run("ulimit -c 10000; cd $V/sub; true").ok();
    assert_eq!(status(&pair).code, 0);
    pair.run("mkdir $V/other; ulimit -c 10000; cd $V/other; true")
        .ok();
    let o = status(&pair);
    assert!(o.code == 1 && o.text().contains("UNVERIFIED"), "{o:?}");
    assert_eq!(fs::read_to_string(&list).unwrap(), text);
}
