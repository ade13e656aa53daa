//! Pins of docs/LIMITS.md: what is not covered, and what happens then. A pin that moves is a change
//! of LIMITS.
use mirror_tests::{Level, Pair, Tree, compile, compile_with, each_kind, need};

/// Runs one case of limits.c through the mirror and checks each printed line against the allowed answers.
fn limits(pair: &Pair, case: &str, allowed: &[(&str, &[&str])]) {
    if compile(
        &pair.programs(),
        "limits",
        include_str!("../programs/limits.c"),
    )
    .is_none()
    {
        return;
    }
    let o = pair.run(&format!("OUT=$S/out $P/limits {case}")).ok();
    println!("{}", o.text());
    for (line, (call, answers)) in o.text().lines().zip(allowed) {
        let (what, answer) = line.rsplit_once(' ').expect("two words");
        assert!(
            what == *call && answers.contains(&answer),
            "{line}: expected {call} {answers:?}"
        );
    }
    assert_eq!(o.text().lines().count(), allowed.len());
}

each_kind! {
    fn copies_in_the_kernel_work(pair) {
        let clone: &[&str] = &["ok", "EOPNOTSUPP", "EINVAL"];
        limits(pair, "copies", &[
            ("sendfile", &["ok"]),
            ("copy_file_range", &["ok"]),
            ("splice", &["ok"]),
            ("FICLONE", clone),
            ("FICLONERANGE", clone),
        ]);
        pair.assert_equal();
    }

    fn copies_out_of_v_work(pair) {
        limits(pair, "from", &[("sendfile", &["ok"]), ("copy_file_range", &["ok"]), ("splice", &["ok"])]);
        pair.assert_equal();
    }

    fn writable_shared_mappings_work(pair) {
        limits(pair, "map", &[
            ("shared rw", &["ok"]),
            ("shared r", &["ok"]),
            ("mprotect", &["ok"]),
            ("private", &["ok"]),
            ("outside", &["ok"]),
        ]);
        pair.assert_equal();
    }

    fn mappings_by_leg_b_are_refused(pair) {
        let script = "/usr/bin/python3 -c 'import mmap, os; f = os.open(os.environ[\"B\"] + \"/f\", os.O_CREAT | os.O_RDWR); os.write(f, b\"x\"); mmap.mmap(f, 1)' 2>&1 | tail -1";
        let o = pair.run(script).ok();
        assert!(o.text().contains("No such device"), "{}", o.text());
        pair.assert_equal();
    }

    fn io_uring_is_refused(pair) {
        limits(pair, "io_uring", &[("io_uring_setup", &["ENOSYS"])]);
    }

    fn a_low_hard_limit_of_descriptors_is_the_end(pair) {
        // The partner of n is n + 4096: without room for it nothing is opened, and no leg is changed.
        let o = pair.run("exec 2>&1; ulimit -Sn 20; ulimit -Hn 20; echo x > $V/f; mkdir $V/d; ls -A $V");
        assert!(o.text().contains("Too many open files"), "{}", o.text());
        pair.assert_equal();
    }

    fn partner_numbers_answer_who_only_looks(pair) {
        let o = pair.run("/usr/bin/python3 -c 'import os; f = os.open(os.environ[\"V\"] + \"/f\", os.O_CREAT | os.O_RDWR); print(os.fstat(4096 + f).st_size)'").ok();
        assert_eq!(o.text().trim(), "0");
        pair.assert_equal();
    }

    fn limit_of_descriptors_above_k(pair) {
        // A program that raises its limit above K gets K.
        limits(pair, "nofile", &[("setrlimit", &["ok"]), ("more than 3000:", &["1"]), ("mkdir", &["ok"])]);
        pair.assert_equal();
    }

    fn a_program_that_is_static_is_refused(pair) {
        need!("cc");
        let source = "#include <fcntl.h>\n#include <stdlib.h>\n#include <unistd.h>\n\
                      int main(int c, char **v) { int f = open(v[1], O_CREAT | O_WRONLY, 0644); return write(f, \"static\\n\", 7) != 7; }";
        let Some(exe) = compile_with(&pair.programs(), "static", source, "c", &["-static"]) else { return };
        let o = pair.command(&exe).arg(pair.v().join("f")).output().unwrap();
        assert_eq!(o.status.code(), Some(125), "{o:?}");
        assert!(String::from_utf8_lossy(&o.stderr).contains("static"), "{o:?}");
        assert!(!pair.a().join("f").exists());
        // As a child it runs; its change reaches one leg, and verify finds it.
        pair.run("$P/static $V/f");
        assert!(pair.a().join("f").exists());
        if !pair.b().join("f").exists() {
            let v = pair.verify();
            assert_eq!(v.code, 1, "{v:?}");
        }
        pair.resync().ok();
        pair.assert_equal();
    }

    fn an_inherited_descriptor_of_a_static_child_is_pending(pair) {
        need!("cc");
        let source = "#include <unistd.h>\nint main(void) { return write(5, \"static\\n\", 7) != 7; }";
        if compile_with(&pair.programs(), "static5", source, "c", &["-static"]).is_none() {
            return;
        }
        pair.run("exec 5> $V/held; echo a >&5; $P/static5; echo b >&5; exec 5>&-");
        pair.run("true").ok();
        if pair.verify().code != 0 {
            pair.resync().ok();
        }
        pair.assert_legs(Level::Strict);
        assert_eq!(std::fs::read(pair.b().join("held")).unwrap(), b"a\nstatic\nb\n");
    }

    fn raw_system_calls_are_unseen_and_found_by_verify(pair) {
        if compile(&pair.programs(), "limits", include_str!("../programs/limits.c")).is_none() {
            return;
        }
        pair.run("$P/limits raw").ok();
        if !pair.b().join("rawfile").exists() {
            assert_eq!(pair.verify().code, 1);
            pair.resync().ok();
        }
        pair.assert_legs(Level::Strict);
    }

    fn renames_and_links_across_the_border_are_exdev(pair) {
        pair.run("echo x > $S/out; echo y > $V/in").ok();
        let o = pair.run("ln $S/out $V/hard; ln $V/in $S/hard; ls $V/ $S");
        assert!(!pair.v().join("hard").exists() && !pair.scratch().join("hard").exists(), "{o:?}");
        assert!(String::from_utf8_lossy(&o.err).contains("cross-device"), "{o:?}");
        // mv falls back to copying.
        pair.run("mv $S/out $V/; mv $V/in $S/; test ! -e $S/out -a ! -e $V/in").ok();
        pair.assert_equal();
    }

    fn bypassing_writers_are_found_and_repaired(pair) {
        pair.run("mkdir $V/d; echo one > $V/d/f; echo two > $V/g; ln $V/g $V/h; ln -s g $V/l").ok();
        pair.bypass("echo bypass >> $A/d/f; rm $A/h; echo new > $A/n; chmod 600 $A/g; ln -sfn d $A/l");
        let v = pair.verify();
        assert_eq!(v.code, 1, "{v:?}");
        for name in ["d/f", "h", "n", "g", "l"] {
            assert!(v.text().contains(name), "{name} is named: {v:?}");
        }
        pair.resync().ok();
        assert_eq!(pair.verify().code, 0);
        pair.assert_equal();
        assert_eq!(std::fs::read(pair.b().join("d/f")).unwrap(), b"one\nbypass\n");
    }

    fn either_leg_reads_alone_without_a_tool(pair) {
        pair.run("cd $V; mkdir d; seq 1000 > d/f; ln -s d/f l; printf 'a\\0b' > bin; chmod 640 bin").ok();
        let copy = pair.scratch().join("copy");
        let status = std::process::Command::new("cp").arg("-a").arg(pair.b()).arg(&copy).status().unwrap();
        assert!(status.success());
        let d = Tree::read(&copy).differences(&Tree::read(pair.a()), Level::Strict);
        assert!(d.0.is_empty(), "{d}");
    }

    fn a_bind_mount_of_a_leg(pair) {
        need!(root);
        let o = pair.run("mkdir $S/bind; unshare -m sh -c 'mount --bind $A $S/bind && echo x > $S/bind/f && mkdir $S/bind/d && cat $S/bind/f'; rmdir $S/bind");
        if o.code == 0 {
            assert_eq!(o.text(), "x");
        }
        pair.assert_equal();
    }

    fn programs_that_drop_privileges_read_and_do_no_harm(pair) {
        need!(root);
        pair.run("cd $V; echo x > f; mkdir -m 777 d; setpriv --no-new-privs sh -c 'echo y >> f'").ok();
        let drop = "setpriv --reuid 65534 --regid 65534 --clear-groups";
        assert_eq!(pair.run(&format!("{drop} cat $V/f")).ok().text(), "x\ny");
        // A pair belongs to one user: another one's change is refused whole, or done whole.
        let o = pair.run(&format!("{drop} sh -c 'echo z > $V/d/g; echo more > $V/d/h'; echo $?; ls $V/d"));
        println!("{o:?}");
        pair.assert_equal();
    }
}
