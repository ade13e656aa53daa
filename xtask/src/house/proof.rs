//! Whoever issues a call that changes a leg has the proof of both locks among its parameters.
//!
//! The compiler sees that nobody has the proof who does not hold the locks; this sees that nobody makes such
//! a call without it.
use super::tokens::{Token, closed, stands};

/// What proves it: the locks, or what the engine makes of them.
const PROOFS: &[&str] = &["BothLocked", "Untouched"];

/// What changes a leg, and where that is looked for.
struct Calls {
    /// Files whose path begins like this.
    within: &'static [&'static str],
    /// The module, and functions of it.
    functions: (&'static str, &'static [&'static str]),
    /// Methods, of whatever.
    methods: &'static [&'static str],
    /// System calls that are made by their number.
    numbers: &'static [&'static str],
}

const CALLS: &[Calls] = &[
    // The other rooms have no descriptor of a leg but of its control folder.
    Calls {
        within: &[
            "pair/src/",
            "shim/src/calls/",
            "shim/src/change/",
            "shim/src/path/",
            "shim/src/repair/",
        ],
        functions: (
            "sys",
            &[
                "clone_range",
                "fallocate",
                "fchmod",
                "fchown",
                "ftruncate",
                "linkat",
                "mkdirat",
                "mknodat",
                "pwrite",
                "renameat2",
                "set_times",
                "symlinkat",
                "unlinkat",
                "write",
            ],
        ),
        methods: &[
            "remove_xattr",
            "set_mode",
            "set_mode_held",
            "set_owner",
            "set_times",
            "set_xattr",
        ],
        numbers: &[
            "SYS_fremovexattr",
            "SYS_fsetxattr",
            "SYS_pwrite64",
            "SYS_pwritev2",
            "SYS_removexattr",
            "SYS_setxattr",
            "SYS_FILE_SETATTR",
        ],
    },
    Calls {
        within: &["loader/src/sync/"],
        functions: (
            "fs",
            &[
                "chmodat",
                "chownat",
                "fallocate",
                "fchmod",
                "fchown",
                "fremovexattr",
                "fsetxattr",
                "ftruncate",
                "futimens",
                "ioctl_ficlone",
                "linkat",
                "mkdirat",
                "mknodat",
                "renameat",
                "renameat_with",
                "symlinkat",
                "unlinkat",
                "utimensat",
            ],
        ),
        methods: &[],
        numbers: &[],
    },
];

/// Functions that make such a call on something else: file, function, what it is.
const NOT_A_LEG: &[(&str, &str, &str)] = &[
    (
        "pair/src/control.rs",
        "like_folder",
        "a file of the control folder",
    ),
    (
        "pair/src/control.rs",
        "common",
        "a file of the control folder",
    ),
    ("pair/src/cores.rs", "add", "a list in the control folder"),
    ("pair/src/away.rs", "leave", "the mark"),
    ("pair/src/away.rs", "put", "the mark"),
    ("pair/src/away.rs", "ended", "the mark"),
    ("pair/src/away.rs", "come", "the mark"),
    ("pair/src/away.rs", "fails", "a file of the control folder"),
    ("pair/src/domain.rs", "clear_ended", "leg a's domain record"),
    ("pair/src/domain.rs", "say", "the domain records"),
    ("pair/src/domain.rs", "leave", "the domain records"),
    (
        "loader/src/sync/clean.rs",
        "alone_do",
        "a list in the control folder",
    ),
    ("pair/src/memory.rs", "write", "a runtime file"),
    ("pair/src/runtime.rs", "refit", "a runtime file"),
    (
        "pair/src/runtime.rs",
        "folder",
        "the folder of runtime files",
    ),
    ("pair/src/runtime.rs", "make", "a runtime file"),
    ("pair/src/runtime.rs", "private", "a file in memory"),
    ("pair/src/runtime.rs", "lone", "a file in memory"),
    ("pair/src/runtime.rs", "hand_over", "a runtime file"),
    ("pair/src/runtime.rs", "remove", "a runtime file"),
    ("pair/src/runtime.rs", "turned", "a runtime file"),
    (
        "shim/src/repair/kept.rs",
        "folder",
        "the control folder's own",
    ),
    (
        "shim/src/repair/kept.rs",
        "make_room",
        "a version in the control folder",
    ),
    (
        "shim/src/repair/kept.rs",
        "has_links",
        "a trial in the control folder",
    ),
    (
        "shim/src/repair/names.rs",
        "moment",
        "a trial in the control folder",
    ),
    ("shim/src/repair/names.rs", "remember", "the list of names"),
    (
        "shim/src/calls/names/two/entry.rs",
        "may_link",
        "a trial that always fails",
    ),
    (
        "shim/src/calls/range/clone.rs",
        "could",
        "a trial that always fails",
    ),
    (
        "shim/src/calls/range/copy.rs",
        "put",
        "the number of a call that goes through the engine",
    ),
    ("loader/src/sync/turn.rs", "write", "the turn's own file"),
    (
        "shim/src/repair/pending.rs",
        "pending",
        "the list of what is pending",
    ),
];

/// Functions of a file that change a leg without the proof.
pub fn unproven(file: &str, t: &[Token]) -> Vec<String> {
    let mut out = Vec::new();
    for calls in CALLS {
        if !calls.within.iter().any(|w| file.starts_with(w)) {
            continue;
        }
        for f in bodies(t) {
            if t[f.params.0..f.params.1]
                .iter()
                .any(|t| PROOFS.contains(&t.text.as_str()))
                || NOT_A_LEG
                    .iter()
                    .any(|(at, name, _)| (*at, *name) == (file, f.name))
            {
                continue;
            }
            for i in f.body.0..f.body.1 {
                // What a function within makes is that one's.
                if let Some(call) = changes(t, i, calls)
                    && innermost(t, i) == f.body.0
                {
                    out.push(format!(
                        "{file}:{}: {} calls {call} without BothLocked (or a reason in NOT_A_LEG)",
                        t[i].line, f.name
                    ));
                }
            }
        }
    }
    out
}

/// Rows of [`NOT_A_LEG`] whose function is gone.
pub fn stale(known: impl Fn(&str, &str) -> bool) -> Vec<String> {
    let gone = NOT_A_LEG.iter().filter(|(f, name, _)| !known(f, name));
    gone.map(|(f, name, _)| format!("{f}: {name} in NOT_A_LEG and not there"))
        .collect()
}

/// Whether a file has such a function.
pub fn has(t: &[Token], name: &str) -> bool {
    bodies(t).iter().any(|f| f.name == name)
}

struct Body<'t> {
    name: &'t str,
    params: (usize, usize),
    body: (usize, usize),
}

fn bodies(t: &[Token]) -> Vec<Body<'_>> {
    let mut out = Vec::new();
    for i in 0..t.len() {
        if t[i].text != "fn" || t.get(i + 1).is_none_or(|n| n.text == "(") {
            continue;
        }
        let mut params = None;
        let mut j = i + 2;
        while j < t.len() && !matches!(t[j].text.as_str(), "{" | ";") {
            if matches!(t[j].text.as_str(), "(" | "[") {
                let end = closed(t, j);
                if t[j].text == "(" {
                    params = params.or(Some((j, end)));
                }
                j = end;
            } else {
                j += 1;
            }
        }
        if let (Some(params), true) = (params, j < t.len() && t[j].text == "{") {
            out.push(Body {
                name: &t[i + 1].text,
                params,
                body: (j, closed(t, j)),
            });
        }
    }
    out
}

/// Where the body begins that is the nearest around a token.
fn innermost(t: &[Token], at: usize) -> usize {
    let around = bodies(t).into_iter().map(|f| f.body);
    let around = around.filter(|(from, to)| (*from..*to).contains(&at));
    around.map(|(from, _)| from).max().unwrap_or(0)
}

fn changes<'t>(t: &'t [Token], i: usize, calls: &Calls) -> Option<&'t str> {
    let word = |n: usize| t.get(i + n).map_or("", |t| t.text.as_str());
    let (module, functions) = calls.functions;
    let whole = module == "sys" && stands(t, i, &["mirror_sys", "::"]);
    if (whole || stands(t, i, &[module, "::"])) && functions.contains(&word(2)) && word(3) == "(" {
        return Some(&t[i + 2].text);
    }
    if word(0) == "." && calls.methods.contains(&word(1)) && word(2) == "(" {
        return Some(&t[i + 1].text);
    }
    calls.numbers.contains(&word(0)).then(|| word(0))
}

#[cfg(test)]
mod tests {
    use super::super::tokens::tokens;
    use super::*;

    fn found(source: &str) -> Vec<String> {
        unproven("shim/src/calls/x.rs", &tokens(source))
    }

    #[test]
    fn a_call_wants_the_proof() {
        assert!(found("fn f(held: &BothLocked) { sys::unlinkat(d, n, 0); }").is_empty());
        assert!(found("fn f(s: Option<&Untouched<'_>>) { o.set_mode(1); }").is_empty());
        assert!(found("fn f(n: i32) { sys::fstat(n); path.truncate(0); }").is_empty());
        for bad in [
            "fn f(n: i32) -> Sys<()> { sys::ftruncate(n, 0) }",
            "fn f(n: i32) -> Sys<()> { mirror_sys::ftruncate(n, 0) }",
            "fn f(o: &Object) { let c = || o.set_xattr(a, b); }",
            "fn f(n: usize) { sys::syscall4(c::SYS_pwrite64, n, 0, 0, 0); }",
            "fn f(held: &BothLocked) { fn g(n: i32) { sys::ftruncate(n, 0); } }",
        ] {
            assert_eq!(found(bad).len(), 1, "{bad}: {:?}", found(bad));
        }
    }

    #[test]
    fn the_protocols_of_a_pair_want_it_too() {
        let t = tokens("fn f(n: i32) { sys::unlinkat(d, n, 0); }");
        assert_eq!(unproven("pair/src/both.rs", &t).len(), 1);
    }

    #[test]
    fn other_rooms_have_no_leg() {
        let t = tokens("fn f(n: i32) { sys::ftruncate(n, 0); }");
        assert!(unproven("shim/src/attach/domain.rs", &t).is_empty());
    }
}
