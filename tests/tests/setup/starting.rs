//! How the library is found again, and what is said when a program does not start.
use super::*;

/// What a program that ends with 78 says on a descriptor 2 made by the shell.
fn complaint(e: &Env, redirect: &str) -> (Option<i32>, String) {
    let lib = dist().join("libmirror.so");
    let script = format!("env LD_PRELOAD={} true {redirect}", lib.display());
    let o = e.command("sh").args(["-c", &script]).output().unwrap();
    (
        o.status.code(),
        fs::read_to_string(e.p("log")).unwrap_or_default(),
    )
}

#[test]
fn the_last_line_reaches_a_log() {
    let e = Env::new("log");
    fs::write(e.p("tab"), "junk\n").unwrap();
    for (redirect, before, kept) in [
        ("2>log", "", ""),
        ("2>>log", "old\n", "old\n"),
        (">log 2>&1", "", ""),
        (">>log 2>&1", "old\n", "old\n"),
        ("2>log 1>&2", "old\n", ""),
    ] {
        fs::write(e.p("log"), before).unwrap();
        let (code, log) = complaint(&e, redirect);
        assert_eq!(code, Some(78), "{redirect}");
        let line = log
            .strip_prefix(kept)
            .unwrap_or_else(|| panic!("{redirect}: {log:?}"));
        assert!(
            line.starts_with("mirror: ") && line.contains("tab:1:"),
            "{redirect}: {log:?}"
        );
        assert_eq!(line.matches('\n').count(), 1, "{redirect}: {log:?}");
    }
    // Data stays as it is: a file that is read, or written in its middle.
    for redirect in ["2<log", "2<>log"] {
        fs::write(e.p("log"), "data").unwrap();
        assert_eq!(
            complaint(&e, redirect),
            (Some(78), "data".into()),
            "{redirect}"
        );
    }
}

#[test]
fn the_last_line_stays_out_of_a_leg() {
    let e = Env::new("log-leg");
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    let good = e.tab();
    fs::write(e.p("tab"), "junk\n").unwrap();
    for leg in ["a", "b"] {
        fs::create_dir(e.p(leg).join("d")).unwrap();
        let (code, _) = complaint(&e, &format!("2>>{leg}/d/log"));
        assert_eq!(code, Some(78));
        assert_eq!(fs::read(e.p(leg).join("d/log")).unwrap(), b"", "{leg}");
    }
    fs::write(e.p("tab"), good).unwrap();
}

#[test]
fn a_relative_preload_reaches_children() {
    let e = Env::new("relative");
    e.expect(&["init", "a", "b", "--yes"], 0, &[]);
    fs::create_dir(e.p("lib")).unwrap();
    fs::copy(dist().join("libmirror.so"), e.p("lib/libmirror.so")).unwrap();
    let touch = |name: &str| {
        format!(
            "cd /; /bin/sh -c 'echo child > {0}/a/{name}; exec /bin/sh -c \"echo again >> {0}/a/{name}\"'; exit $?",
            e.0.display()
        )
    };
    for (name, cwd, word) in [
        ("one", e.0.clone(), "./lib/libmirror.so"),
        ("two", e.0.clone(), "lib/libmirror.so"),
        ("three", e.p("a"), "../lib/libmirror.so"),
        ("four", e.p("lib"), "./libmirror.so"),
    ] {
        let mut c = e.command("/bin/sh");
        let o = c
            .args(["-c", &touch(name)])
            .current_dir(cwd)
            .env("LD_PRELOAD", word)
            .output()
            .unwrap();
        assert_eq!(
            (o.status.code(), said(&o).as_str()),
            (Some(0), ""),
            "{word}"
        );
        for leg in ["a", "b"] {
            assert_eq!(
                fs::read(e.p(leg).join(name)).unwrap(),
                b"child\nagain\n",
                "{word}: leg {leg}"
            );
        }
    }
    // Through the script, which is named by a relative path or by none.
    fs::copy(dist().join("mirror-run"), e.p("lib/mirror-run")).unwrap();
    let path = format!("lib:{}", std::env::var("PATH").unwrap());
    for (name, word, lib) in [
        ("five", "lib/mirror-run", ""),
        ("six", "mirror-run", ""),
        ("seven", "lib/mirror-run", "lib/libmirror.so"),
    ] {
        let mut c = e.command("/bin/sh");
        c.args([
            "-c",
            &format!("{word} /bin/sh -c '{}'", touch(name).replace('\'', "'\\''")),
        ]);
        let o = c
            .env("PATH", &path)
            .env("MIRROR_LIB", lib)
            .output()
            .unwrap();
        assert_eq!(
            (o.status.code(), said(&o).as_str()),
            (Some(0), ""),
            "{word}"
        );
        assert_eq!(
            fs::read(e.p("b").join(name)).unwrap(),
            b"child\nagain\n",
            "{word}"
        );
    }
}

#[test]
fn the_script_says_what_it_lacks() {
    let e = Env::new("script");
    fs::create_dir_all(e.p("alone/bin")).unwrap();
    let script = e.p("alone/bin/mirror-run");
    fs::copy(dist().join("mirror-run"), &script).unwrap();
    let run = |args: &[&str]| e.command(&script).args(args).output().unwrap();
    let installed = [
        "/lib/x86_64-linux-gnu",
        "/usr/lib64",
        "/lib64",
        "/usr/local/lib",
    ];
    if !installed
        .iter()
        .any(|d| Path::new(d).join("libmirror.so").exists())
    {
        let o = run(&["true"]);
        assert_eq!(o.status.code(), Some(125), "{}", said(&o));
        assert!(said(&o).contains("libmirror.so is neither"), "{}", said(&o));
    }
    // Beside a folder bin.
    fs::create_dir(e.p("alone/lib")).unwrap();
    symlink(dist().join("libmirror.so"), e.p("alone/lib/libmirror.so")).unwrap();
    let o = run(&["sh", "-c", "echo $LD_PRELOAD"]);
    assert!(
        said(&o).contains("no pairs configured") || said(&o).contains("cannot be read"),
        "{}",
        said(&o)
    );
    for (args, code, text) in [
        (
            &["--pair", "a", "--", "true"][..],
            64,
            "--pair: no such option",
        ),
        (&["-x", "true"], 64, "no such option"),
        (&[], 64, "usage: mirror-run"),
        (&["--"], 64, "usage: mirror-run"),
        (&["--help"], 0, "usage: mirror-run"),
        (&["nosuchprogram"], 127, "command not found"),
        (&["--", "./nosuch"], 127, "no such file"),
    ] {
        let o = run(args);
        assert_eq!(o.status.code(), Some(code), "{args:?}: {}", said(&o));
        assert!(said(&o).contains(text), "{args:?}: {}", said(&o));
    }
}
