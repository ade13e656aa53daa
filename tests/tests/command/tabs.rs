//! The command and the library read the same mirrortabs, and refuse the same ones.
use super::*;

/// What the command and a preloaded program say, with this in their environment.
fn both(e: &Env, set: &[(&str, &str)]) -> [Out; 2] {
    let with = |mut c: Command| {
        c.current_dir(&e.dir).stdin(Stdio::null());
        for unset in ["MIRROR", "MIRRORTAB", "MIRROR_LIB"] {
            c.env_remove(unset);
        }
        finish(c.envs(set.iter().copied()))
    };
    let mut status = Command::new(dist().join("mirror"));
    status.arg("status");
    let mut program = Command::new("/bin/true");
    program.env("LD_PRELOAD", dist().join("libmirror.so"));
    [with(status), with(program)]
}

fn all_say(outs: &[Out; 2], codes: [i32; 2], text: &str) {
    for (o, code) in outs.iter().zip(codes) {
        assert_eq!(o.code, code, "{}{}", o.out, o.err);
        let said = format!("{}{}", o.out, o.err);
        assert!(said.contains(text), "{said}");
    }
}

#[test]
fn a_mirrortab_that_programs_would_not_read_is_refused_by_both() {
    let e = Env::new("large");
    e.write("tab", &format!("/v /a /b\n#{}\n", "x".repeat(64 * 1024)));
    let tab = e.p("tab").to_str().unwrap().to_owned();
    let outs = both(&e, &[("MIRRORTAB", &tab)]);
    all_say(&outs, [3, 78], "larger than 64 KiB");
    e.expect(&["config", "check"], 78, &["larger than 64 KiB"]);
    fs::remove_file(e.p("tab")).unwrap();
}

#[test]
fn a_home_without_a_mirrortab_has_none_for_both() {
    // root reads no home, and what stands in /etc is nobody's to change here.
    if is_root() || Path::new("/etc/mirrortab").exists() || Path::new("/etc/mirrortab.d").exists() {
        skip("needs an ordinary user, and no mirrortab in /etc");
        return;
    }
    let e = Env::new("home");
    // A file in the place of a folder of HOME.
    e.write(".config", "");
    let home = e.dir.to_str().unwrap().to_owned();
    all_say(
        &both(&e, &[("HOME", &home)]),
        [3, 78],
        "no pairs configured",
    );
    fs::remove_file(e.p(".config")).unwrap();
    // A HOME that depends on where a program stands.
    fs::create_dir_all(e.p(".config/mirror")).unwrap();
    e.write(".config/mirror/mirrortab", "/v /a /b\n");
    for home in [".", ""] {
        all_say(&both(&e, &[("HOME", home)]), [3, 78], "no pairs configured");
    }
}
