//! Programs start: whatever the executable has copies of, whether it has a libc, with small limits; and
//! who does not start says why.
use mirror_tests::{Output, Pair, compile_with, each_kind, need, skip};
use std::path::PathBuf;
use std::process::Command;

/// Variables of ld.so and libc that an executable may have a copy of, filled only after the library's start.
const COPIED: [&str; 11] = [
    "__libc_stack_end",
    "_r_debug",
    "_dl_argv",
    "_rtld_global",
    "_rtld_global_ro",
    "__libc_enable_secure",
    "environ",
    "__environ",
    "_environ",
    "__progname",
    "stdout",
];

const READS_A_VARIABLE: &str = "
    int printf(const char *, ...); void *memcpy(void *, const void *, unsigned long);
    struct _IO_FILE; struct _IO_FILE *fopen(const char *, const char *);
    int fputs(const char *, struct _IO_FILE *); int fclose(struct _IO_FILE *);
    extern char VARIABLE[64];
    int main(int c, char **v) {
        char copy[64];
        memcpy(copy, VARIABLE, 8);
        struct _IO_FILE *f = fopen(v[1], \"w\");
        if (!f || fputs(\"x\\n\", f) < 0 || fclose(f)) return 3;
        return printf(\"%d\\n\", copy[0] || copy[1] || copy[2] || copy[3]) != 2;
    }";

/// Programs with a copy of each variable, in both ways of linking.
fn copies(pair: &Pair) -> Option<Vec<(String, PathBuf)>> {
    let mut made = Vec::new();
    for variable in COPIED {
        for flags in [["-fPIE", "-pie"], ["-fno-pie", "-no-pie"]] {
            let name = format!("{variable}{}", flags[1]);
            let source = READS_A_VARIABLE.replace("VARIABLE", variable);
            let file = compile_with(&pair.programs(), &name, &source, "c", &flags)?;
            let o = Command::new("readelf").args(["-rW"]).arg(&file).output();
            let text = String::from_utf8_lossy(&o.expect("readelf").stdout).into_owned();
            let copied = |l: &str| l.contains("R_X86_64_COPY") && l.contains(variable);
            if text.lines().any(copied) {
                made.push((name, file));
            }
        }
    }
    // A linker may refuse a name or make no copy of it; hardly of all.
    assert!(made.len() >= 14, "{made:?}");
    Some(made)
}

/// Runs a prepared command behind `before` and a shell's `ulimit`.
fn under(program: &str, before: &[&str], limit: &str, m: &Command, pair: &Pair) -> Output {
    let mut c = Command::new(program);
    c.args(before);
    c.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]);
    c.arg(m.get_program()).args(m.get_args());
    c.env_clear()
        .envs(m.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let o = c.current_dir(pair.scratch()).output();
    Output::from_std(o.expect("running the command"))
}

each_kind! {
    fn executables_with_copies_of_variables(pair) {
        need!("readelf");
        let Some(all) = copies(pair) else { return };
        for (name, _) in &all {
            let script = format!("$P/{name} $V/{name}; echo $?; cat $V/{name}");
            let native = pair.plain(&script).ok().text();
            // As a child, with the plain preload, and as the command of `mirror run`.
            assert_eq!(pair.run(&script).ok().text(), native, "{name}");
            let preloaded = pair.preloaded(pair.programs().join(name)).arg(pair.v().join(name)).output();
            let o = Output::from_std(preloaded.unwrap()).ok();
            assert!(native.starts_with(&o.text()), "{name}: {o:?}");
            let mut run = pair.mirror_command("run");
            run.arg("--").arg(pair.programs().join(name)).arg(pair.v().join(name));
            let o = Output::from_std(run.output().unwrap()).ok();
            assert!(native.starts_with(&o.text()), "{name}: {o:?}");
            assert!(pair.mirror("doctor", &[pair.programs().join(name).to_str().unwrap()]).ok().text().contains("can be mirrored"));
        }
        pair.assert_nothing_pending();
        pair.assert_equal();
    }

    fn a_program_with_a_linker_and_without_libc_runs(pair) {
        let source = include_str!("../programs/nolibc.c");
        let flags = ["-nostdlib", "-pie", "-fPIE", "-fno-stack-protector", "-O0"];
        if compile_with(&pair.programs(), "nolibc", source, "c", &flags).is_none() {
            return;
        }
        // As a child, by a script, and started with the plain preload.
        let script = "cd $S; $P/nolibc; echo $?; cat made; rm made; printf '#!%s\\n' $P/nolibc > s; chmod +x s; ./s; echo $?; cat made; rm made s";
        pair.both_ok(script);
        let mut c = pair.preloaded(pair.programs().join("nolibc"));
        let o = Output::from_std(c.current_dir(pair.scratch()).output().unwrap()).ok();
        assert_eq!(o.err, b"", "{o:?}");
        // What it may write is recorded, as for a static program.
        pair.run("exec 3> $V/f; $P/nolibc").ok();
        let o = pair.mirror("status", &[]);
        assert!(o.code != 0, "{o:?}");
        for (command, word) in [("run", "does not use libc"), ("doctor", "does not use libc")] {
            let mut c = pair.mirror_command(command);
            if command == "run" {
                c.arg("--");
            }
            let o = Output::from_std(c.arg(pair.programs().join("nolibc")).output().unwrap());
            let all = format!("{}{}", o.text(), String::from_utf8_lossy(&o.err));
            assert!(o.code != 0 && all.contains(word), "{command}: {o:?}");
        }
        std::fs::remove_file(pair.scratch().join("made")).unwrap();
    }

    fn a_small_limit_of_file_sizes(pair) {
        let fresh = || for f in pair.runtime_files() { std::fs::remove_file(f).unwrap() };
        let may_raise = pair.plain("ulimit -f 100; ulimit -f unlimited").code == 0;
        for limit in ["-S -f 100", "-f 100", "-S -f 0", "-f 0"] {
            // A hard limit is lifted by whoever may.
            if limit.starts_with("-f") && !may_raise {
                continue;
            }
            // The library makes the runtime file, then the command.
            let script = format!("ulimit {limit}; mkdir $V/d && rmdir $V/d; ulimit -Sf; ulimit -Hf");
            let native = pair.plain(&script).ok();
            fresh();
            let o = pair.preloaded("bash").args(["-c", &script]).output().unwrap();
            assert_eq!(Output::from_std(o), native, "{limit}, preload");
            pair.watch_runtime();
            fresh();
            let mut m = pair.command("bash");
            m.args(["-c", "mkdir $V/d && rmdir $V/d; ulimit -Sf; ulimit -Hf"]);
            let o = under("bash", &[], limit, &m, pair);
            assert_eq!(o, native, "{limit}, run");
            pair.watch_runtime();
        }
        // The program's own files keep the limit, and its signal.
        let script = "ulimit -S -f 1; (printf %05000d 1 > $V/f); echo $?; trap '' XFSZ; (printf %05000d 1 > $V/f); stat -c %s $V/f";
        pair.both(script);
        pair.assert_nothing_pending();
        pair.assert_equal();
    }

    fn a_hard_limit_of_file_sizes_that_is_too_low_is_refused(pair) {
        need!(root);
        need!("setpriv");
        for f in pair.runtime_files() {
            std::fs::remove_file(f).unwrap();
        }
        let poor = |mut m: Command| {
            m.arg(pair.v().join("d"));
            under("setpriv", &["--bounding-set", "-sys_resource", "bash"], "-f 100", &m, pair)
        };
        let o = poor(pair.preloaded("mkdir"));
        assert!(o.code == 1 && String::from_utf8_lossy(&o.err).contains("File too large"), "{o:?}");
        let o = poor(pair.command("mkdir"));
        assert!(o.code != 0 && String::from_utf8_lossy(&o.err).contains("ulimit -Hf"), "{o:?}");
        assert!(!pair.v().join("d").exists());
        pair.run("mkdir $V/d").ok();
        pair.assert_equal();
    }

    fn who_dies_at_the_start_is_told_of_what(pair) {
        // In a constructor, before main; and in main, which doctor does not reach.
        let early = "#include <stdlib.h>
            #include <signal.h>
            __attribute__((constructor)) static void c(void) { char *h = getenv(\"HOW\"); if (!h) return; if (*h == 's') raise(SIGSEGV); _Exit(7); }
            int main(void) { return 9; }";
        let library = early.replace("int main(void) { return 9; }", "");
        let flags = ["-shared", "-fPIC", "-Wl,-soname,libearly.so"];
        if compile_with(&pair.programs(), "libearly.so", &library, "c", &flags).is_none() {
            return;
        }
        let p = pair.programs().display().to_string();
        let (l, r) = (format!("-L{p}"), format!("-Wl,-rpath,{p}"));
        let main = "int main(void) { return 9; }";
        compile_with(&pair.programs(), "early", main, "c", &["-Wl,--no-as-needed", &l, &r, "-learly"]).unwrap();
        compile_with(&pair.programs(), "late", "#include <stdlib.h>\nint main(void) { abort(); }", "c", &[]).unwrap();
        let doctor = |name: &str, how: Option<&str>| {
            let mut c = pair.mirror_command("doctor");
            c.arg(pair.programs().join(name));
            how.map(|h| c.env("HOW", h));
            Output::from_std(c.output().unwrap())
        };
        assert!(doctor("early", None).ok().text().contains("can be mirrored"));
        for (how, word) in [("s", "died of signal 11 (Segmentation fault)"), ("7", "ended with exit code 7")] {
            let o = doctor("early", Some(how));
            assert!(o.code == 1 && o.text().contains("does not start") && o.text().contains(word), "{o:?}");
        }
        assert!(doctor("late", None).ok().text().contains("can be mirrored"));
        // A library of the program that is not there: ld.so's own line.
        std::fs::remove_file(pair.programs().join("libearly.so")).unwrap();
        let o = doctor("early", None);
        assert!(o.code == 1 && o.text().contains("libearly.so") && o.text().contains("exit code 127"), "{o:?}");
        let o = Output::from_std(pair.command(pair.programs().join("early")).output().unwrap());
        let text = String::from_utf8_lossy(&o.err).into_owned();
        assert!(o.code == 125 && text.contains("ended with exit code 127") && !text.contains("noexec"), "{o:?}");
    }

    fn who_dies_before_the_library_begins_is_told_of_what(pair) {
        // ld.so calls the resolver before the library's: libraries are relocated from the last one on.
        let library = "static int f(void) __attribute__((ifunc(\"resolver\")));
            static void *resolver(void) { *(volatile int *)8 = 1; return 0; }
            int (*early)(void) = f;";
        let flags = ["-shared", "-fPIC", "-Wl,-soname,libearly.so"];
        if compile_with(&pair.programs(), "libearly.so", library, "c", &flags).is_none() {
            return;
        }
        let p = pair.programs().display().to_string();
        let (l, r) = (format!("-L{p}"), format!("-Wl,-rpath,{p}"));
        let main = "int main(void) { return 9; }";
        compile_with(&pair.programs(), "early", main, "c", &["-Wl,--no-as-needed", &l, &r, "-learly"]).unwrap();
        for (command, code) in [("run", 125), ("doctor", 1)] {
            let mut c = pair.mirror_command(command);
            let o = Output::from_std(c.arg("--").arg(pair.programs().join("early")).output().unwrap());
            let all = format!("{}{}", o.text(), String::from_utf8_lossy(&o.err));
            assert!(o.code == code && all.contains("died of signal 11 (Segmentation fault)") && !all.contains("noexec"), "{command}: {o:?}");
        }
    }

    fn address_sanitizer_is_told_to_come_later(pair) {
        let source = "#include <stdio.h>\nint main(int c, char **v) { FILE *f = fopen(v[1], \"w\"); return !f || fputs(\"x\", f) < 0 || fclose(f); }";
        let probe = Command::new("sh").args(["-c", "echo 'int main(){}' | cc -x c - -fsanitize=address -o /dev/null"]).output();
        if !probe.is_ok_and(|o| o.status.success()) {
            return skip("needs libasan");
        }
        let Some(file) = compile_with(&pair.programs(), "asan", source, "c", &["-fsanitize=address"]) else { return };
        for command in ["run", "doctor"] {
            let mut c = pair.mirror_command(command);
            c.args(["--"]).arg(&file);
            if command == "run" {
                c.arg(pair.v().join("f"));
            }
            let o = Output::from_std(c.output().unwrap());
            let all = format!("{}{}", o.text(), String::from_utf8_lossy(&o.err));
            assert!(o.code != 0 && all.contains("ASAN_OPTIONS=verify_asan_link_order=0"), "{command}: {o:?}");
            Output::from_std(c.env("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0").output().unwrap()).ok();
        }
        pair.assert_equal();
    }

    fn node(pair) {
        need!("node");
        let o = Output::from_std(pair.command("node").arg("--version").output().unwrap()).ok();
        assert!(o.text().starts_with('v'), "{o:?}");
        pair.both_ok(r#"cd $V; node -e '
            const fs = require("fs");
            fs.mkdirSync("d/e", { recursive: true });
            fs.writeFileSync("d/f", "one"); fs.appendFileSync("d/f", "two"); fs.copyFileSync("d/f", "d/e/g");
            fs.renameSync("d/e/g", "h"); fs.symlinkSync("d/f", "l"); fs.chmodSync("h", 0o600); fs.truncateSync("h", 2);
            fs.rmSync("d/e", { recursive: true });
            require("child_process").execFileSync("/bin/sh", ["-c", "echo child > c"]);
            console.log(fs.readdirSync(".").join(), fs.readFileSync("l", "utf8"), fs.readFileSync("c", "utf8"));'"#);
        pair.assert_equal();
    }

    fn cargo(pair) {
        // The toolchain's own, not a wrapper that looks for it in another home.
        let cargo = std::path::Path::new(env!("CARGO"));
        let Some(bin) = cargo.parent().filter(|b| b.join("rustc").exists()) else {
            return skip("needs the program cargo, with rustc beside it");
        };
        let o = Output::from_std(pair.command(cargo).arg("--version").output().unwrap()).ok();
        assert!(o.text().starts_with("cargo "), "{o:?}");
        let build = format!("export PATH={}:$PATH; {}", bin.display(), r#"cd $V; mkdir -p c/src; cd c
            printf '[package]\nname = "c"\nversion = "0.1.0"\nedition = "2021"\n' > Cargo.toml
            echo 'fn main() { println!("built {:?}", std::fs::metadata("missing").is_ok()); }' > src/main.rs
            cargo build --offline -q && ./target/debug/c"#);
        assert_eq!(pair.run(&build).ok().text(), pair.plain(&build).ok().text());
        pair.assert_nothing_pending();
        pair.assert_equal();
    }
}
