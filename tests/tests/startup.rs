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
