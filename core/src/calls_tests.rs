//! The table against the kernel's headers and the list of limits.
extern crate std;
use super::*;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::string::{String, ToString};
use std::vec::Vec;

/// The numbers of a header, by name, as the C preprocessor sees them.
fn header(file: &str, defines: &[&str]) -> BTreeMap<String, u32> {
    let out = Command::new("cc")
        .args(["-E", "-dM", "-include", file, "-x", "c", "/dev/null"])
        .args(defines)
        .output()
        .expect("a C compiler");
    assert!(out.status.success(), "{file}: {out:?}");
    let text = String::from_utf8(out.stdout).expect("text");
    let raw: BTreeMap<&str, &str> = text
        .lines()
        .filter_map(|l| l.strip_prefix("#define ")?.split_once(' '))
        .collect();
    raw.iter()
        .filter_map(|(n, v)| Some((n.strip_prefix("__NR_")?.to_string(), number(&raw, v)?)))
        .collect()
}

/// What a definition comes to: a number, or the name of another definition.
fn number<'a>(raw: &BTreeMap<&'a str, &'a str>, mut v: &'a str) -> Option<u32> {
    while let Some(w) = raw.get(v) {
        v = w;
    }
    v.parse().ok()
}

fn x86_64() -> BTreeMap<String, u32> {
    header("asm/unistd_64.h", &[])
}

/// aarch64 has the generic table, with these.
fn aarch64() -> BTreeMap<String, u32> {
    header(
        "asm-generic/unistd.h",
        &[
            "-D__ARCH_WANT_RENAMEAT",
            "-D__ARCH_WANT_NEW_STAT",
            "-D__ARCH_WANT_SET_GET_RLIMIT",
            "-D__ARCH_WANT_TIME32_SYSCALLS",
            "-D__ARCH_WANT_SYS_CLONE3",
            "-D__ARCH_WANT_MEMFD_SECRET",
            "-D__BITS_PER_LONG=64",
            "-U__SYSCALL_COMPAT",
        ],
    )
}

/// Calls that a header of these names has beyond what a call means here.
const NO_CALLS: [&str; 3] = ["syscalls", "arch_specific_syscall", "fstatat"];

fn unhandled() -> impl Iterator<Item = (&'static str, u32)> {
    UNHANDLED
        .iter()
        .flat_map(|(_, calls)| calls.iter().copied())
}

#[test]
fn the_numbers_are_the_kernels() {
    let (x, a) = (x86_64(), aarch64());
    assert!(x.len() > 300 && a.len() > 250, "{} {}", x.len(), a.len());
    for r in TABLE {
        if let Some(n) = x.get(r.name()) {
            assert_eq!(*n, r.x86_64, "{}", r.name());
        }
        let generic = match r.name() {
            "newfstatat" => a.get("fstatat").or_else(|| a.get(r.name())),
            name => a.get(name),
        };
        if let Some(n) = generic {
            assert_eq!(Some(*n), r.aarch64, "{}", r.name());
        }
    }
    for (name, nr) in unhandled() {
        assert!(x.get(name).is_none_or(|n| *n == nr), "{name}");
    }
}

#[test]
fn every_call_of_the_kernel_has_a_row_or_a_reason() {
    let known: BTreeSet<&str> = TABLE
        .iter()
        .map(|r| r.name())
        .chain(unhandled().map(|u| u.0))
        .collect();
    let last = unhandled()
        .map(|u| u.1)
        .chain(TABLE.iter().map(|r| r.x86_64))
        .max()
        .expect("rows");
    let without = |table: BTreeMap<String, u32>| -> Vec<String> {
        table
            .into_iter()
            .filter(|(n, nr)| *nr <= last && !known.contains(n.as_str()))
            .map(|(n, _)| n)
            .filter(|n| !NO_CALLS.contains(&n.as_str()))
            .collect()
    };
    assert_eq!(without(x86_64()), [""; 0]);
    // Names of another architecture for what is in the table, and calls for 32 bits.
    assert_eq!(without(aarch64()), [""; 0]);
}

#[test]
fn rows_are_unique_and_found_by_their_number() {
    let mut names = BTreeSet::new();
    let mut numbers = BTreeSet::new();
    let rows = TABLE
        .iter()
        .map(|r| (r.name(), r.x86_64))
        .chain(unhandled());
    for (name, nr) in rows {
        assert!(names.insert(name), "{name} stands twice");
        assert!(numbers.insert(nr), "{nr} stands twice");
    }
    for r in TABLE {
        assert_eq!(r.call.row().name(), r.name());
        if let Some(nr) = r.nr() {
            assert_eq!(row(nr).map(|w| w.call), Some(r.call));
        }
    }
    let seen = (0..2048).filter(|n| row(*n).is_some()).count();
    assert_eq!(seen, TABLE.iter().filter(|r| r.nr().is_some()).count());
    assert!(TABLE.len() < 255);
}

/// What the pre-filter looks at must be what the operands say stands there.
#[test]
fn pre_filters_fit_the_operands() {
    for r in TABLE {
        let at = |i: usize| r.operands().get(i).copied();
        let fits = match r.pre {
            PreFilter::No => true,
            PreFilter::Fd => at(0) == Some(Operand::Fd),
            PreFilter::Path0 => at(0) == Some(Operand::Path),
            PreFilter::Path1 => at(0) == Some(Operand::Dir) && at(1) == Some(Operand::Path),
            PreFilter::Open1 => at(0) == Some(Operand::Path) && at(1) == Some(Operand::Int),
            PreFilter::Open2 => at(1) == Some(Operand::Path) && at(2) == Some(Operand::Int),
        };
        assert!(fits && r.operands().len() <= 6, "{}", r.name());
        // A directory stands before the path that begins there.
        for (i, o) in r.operands().iter().enumerate() {
            if *o == Operand::Dir {
                assert_eq!(at(i + 1), Some(Operand::Path), "{}", r.name());
            }
        }
    }
}

/// What changes files and is not seen is a limit that users can read about.
#[test]
fn what_goes_past_unseen_stands_in_the_limits() {
    let limits = include_str!("../../docs/LIMITS.md");
    for (why, calls) in UNHANDLED {
        for (name, _) in calls.iter().filter(|_| *why == Why::Unseen) {
            assert!(limits.contains(&std::format!("`{name}`")), "{name}");
        }
    }
}
