//! The conditions: how each comes about, what the commands say, what mends it.
use mirror_tests::Kind;

/// Exit codes, in the order in which the commands are typed.
pub(super) struct Codes {
    pub(super) status: i32,
    pub(super) diff: i32,
    pub(super) preview: i32,
    pub(super) run: i32,
    pub(super) ps: i32,
    pub(super) verify: i32,
}

/// Both legs are there, and programs can use the pair.
const SERVES: Codes = Codes {
    status: 1,
    diff: 0,
    preview: 0,
    run: 0,
    ps: 0,
    verify: 0,
};
/// Both legs are there; programs cannot use the pair.
const CLOSED: Codes = Codes {
    status: 2,
    preview: 2,
    run: 125,
    ..SERVES
};
/// They are not.
const LOST: Codes = Codes {
    diff: 2,
    ps: 1,
    verify: 2,
    ..CLOSED
};

pub(super) struct Row {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// A bash script that brings it about; $A, $B, $V, $TAB.
    pub(super) breaks: &'static str,
    pub(super) word: &'static str,
    pub(super) code: &'static str,
    pub(super) codes: Codes,
    /// A bash script with what `status` says to type.
    pub(super) mends: &'static str,
}

fn row(
    name: &'static str,
    kind: Kind,
    breaks: &'static str,
    state: (&'static str, &'static str, Codes),
    mends: &'static str,
) -> Row {
    Row {
        name,
        kind,
        breaks,
        word: state.0,
        code: state.1,
        codes: state.2,
        mends,
    }
}

const RESYNC: &str = "mirror resync $V --yes";

/// What needs no mounts: conditions of the trees and legs; of control files and V.
pub(super) fn rows() -> [Vec<Row>; 2] {
    let mut all = everywhere();
    let second = all.split_off(15);
    [all, second]
}

fn everywhere() -> Vec<Row> {
    use Kind::{InPlace, Link};
    let damaged = |codes| ("DAMAGED", "M-211", codes);
    let fatal = || Codes {
        preview: 0,
        verify: 2,
        ..CLOSED
    };
    let link = || ("LINK BROKEN", "M-107", CLOSED);
    let deep = "n=$(printf %0250d 0); p=$n; for i in $(seq 15); do p=$p/$n; done; for leg in $A $B; do (cd $leg; for i in $(seq 17); do mkdir -p $p; cd $p; done); done; mirror verify $V; true";
    vec![
        row(
            "a difference that verify found",
            InPlace,
            "echo x > $A/bypass; mirror verify $V; true",
            (
                "DIFFERENT",
                "M-106",
                Codes {
                    diff: 1,
                    verify: 1,
                    ..SERVES
                },
            ),
            RESYNC,
        ),
        row(
            "a difference that diff found",
            Link,
            "echo x > $B/f; mirror diff $V; true",
            (
                "DIFFERENT",
                "M-106",
                Codes {
                    diff: 1,
                    verify: 1,
                    ..SERVES
                },
            ),
            RESYNC,
        ),
        row(
            "legs that everybody may write",
            Link,
            "chmod o+w $A $B",
            ("EXPOSED", "M-126", SERVES),
            "chmod o-w $A; chmod +t $B; mirror status $V; chmod 755 $B",
        ),
        row(
            "an object that cannot be compared",
            InPlace,
            deep,
            (
                "NOT COMPARED",
                "M-122",
                Codes {
                    diff: 1,
                    verify: 1,
                    ..SERVES
                },
            ),
            "rm -r $A/000* $B/000*; mirror verify $V",
        ),
        row(
            "a resync that was stopped",
            InPlace,
            "for l in $A $B; do printf '1 b a unfinished b 3 2\n' > $l/.mirror/resync; done; echo good > $B/f",
            (
                "UNFINISHED",
                "M-121",
                Codes {
                    diff: 1,
                    preview: 2,
                    verify: 1,
                    ..SERVES
                },
            ),
            "mirror resync $V --yes --from b; grep -q good $A/f",
        ),
        row(
            "a resync that left paths",
            InPlace,
            "for l in $A $B; do printf '1 b a unfinished b 3 2 1\n' > $l/.mirror/resync; done",
            (
                "DIFFERENT",
                "M-121",
                Codes {
                    preview: 2,
                    ..SERVES
                },
            ),
            "mirror resync $V --yes --from b",
        ),
        row(
            "a damaged record of a resync",
            InPlace,
            "for l in $A $B; do echo junk > $l/.mirror/resync; done",
            (
                "UNFINISHED",
                "M-121",
                Codes {
                    preview: 2,
                    ..SERVES
                },
            ),
            "mirror verify $V",
        ),
        row(
            "a damaged record of a comparison",
            InPlace,
            "for l in $A $B; do echo junk > $l/.mirror/verified; done",
            ("UNVERIFIED", "M-123", SERVES),
            "mirror verify $V",
        ),
        row(
            "a leg that is gone",
            InPlace,
            "mv $B $B.away",
            ("LEG LOST", "M-201", LOST),
            "mv $B.away $B",
        ),
        row(
            "leg a that is gone",
            Link,
            "mv $A $A.away",
            ("LEG LOST", "M-201", LOST),
            "mv $A.away $A",
        ),
        row(
            "an empty directory at the place of a leg",
            InPlace,
            "mv $B $B.away; mkdir $B",
            ("LEG LOST", "M-201", LOST),
            "mirror detach $V; mirror init $A $B --yes; rm -r $B.away",
        ),
        row(
            "an empty directory at the place of leg a",
            Link,
            "mv $A $A.away; mkdir $A",
            ("LEG LOST", "M-201", LOST),
            "mirror detach $V; mirror init $A $B --at $V --yes; rm -r $A.away",
        ),
        row(
            "the record of another leg",
            InPlace,
            "cp $A/.mirror/leg $B/.mirror/leg",
            ("NOT A PAIR", "M-213", LOST),
            "mirror detach $V; rm -rf $A/.mirror $B/.mirror; mirror init $A $B --yes",
        ),
        row(
            "a record of another version",
            InPlace,
            "sed -i 's/^mirror-leg=.*/mirror-leg=9/' $B/.mirror/leg",
            ("DAMAGED", "M-212", LOST),
            "mirror detach $V; mirror init $A $B --yes",
        ),
        row(
            "a malformed record",
            Link,
            "echo junk > $A/.mirror/leg",
            ("DAMAGED", "M-212", LOST),
            "mirror detach $V; mirror init $A $B --at $V --yes",
        ),
        row(
            "no locks",
            InPlace,
            "rm -r $B/.mirror/locks",
            damaged(fatal()),
            RESYNC,
        ),
        row(
            "one lock missing",
            Link,
            "rm $A/.mirror/locks/whole",
            damaged(fatal()),
            RESYNC,
        ),
        row(
            "no owner record",
            InPlace,
            "rm $A/.mirror/owner",
            damaged(fatal()),
            RESYNC,
        ),
        row(
            "no owner records",
            InPlace,
            "rm $A/.mirror/owner $B/.mirror/owner",
            damaged(fatal()),
            RESYNC,
        ),
        row(
            "a directory as owner record",
            InPlace,
            "rm $B/.mirror/owner; mkdir $B/.mirror/owner",
            damaged(Codes {
                preview: 2,
                ..fatal()
            }),
            "rm -r $B/.mirror/owner; mirror resync $V --yes",
        ),
        row(
            "no folder for repairs",
            InPlace,
            "rm -r $B/.mirror/tmp",
            damaged(Codes {
                preview: 0,
                ..CLOSED
            }),
            RESYNC,
        ),
        row(
            "no folder for kept versions",
            InPlace,
            "rm -r $A/.mirror/kept",
            damaged(Codes {
                preview: 0,
                ..CLOSED
            }),
            RESYNC,
        ),
        row(
            "no list of differences",
            InPlace,
            "rm $A/.mirror/pending",
            damaged(Codes {
                preview: 0,
                ..CLOSED
            }),
            RESYNC,
        ),
        row(
            "legs in the wrong order",
            Link,
            "sed -i \"s|$A $B|$B $A|\" $TAB",
            ("SWAPPED", "M-214", CLOSED),
            "sed -i \"s|$B $A|$A $B|\" $TAB",
        ),
        row("a V that is gone", Link, "rm $V", link(), "ln -sfn $A $V"),
        row(
            "a V that leads elsewhere",
            Link,
            "mkdir $S/else; ln -sfn $S/else $V",
            link(),
            "ln -sfn $A $V",
        ),
        row(
            "a V that leads to leg b",
            Link,
            "ln -sfn $B $V",
            link(),
            "ln -sfn $A $V",
        ),
        row(
            "a directory as V",
            Link,
            "rm $V; mkdir $V",
            link(),
            "mv $V $V.old && ln -s $A $V; rmdir $V.old",
        ),
    ]
}

/// What needs root, or file systems of its own: leg b is one.
pub(super) fn mounts() -> Vec<Row> {
    use Kind::{InPlace, Link};
    let read_only = || ("READ-ONLY", "M-124", Codes { run: 125, ..SERVES });
    vec![
        row(
            "a read-only leg",
            InPlace,
            "mount -o remount,ro $B",
            read_only(),
            "mount -o remount,rw $B",
        ),
        row(
            "a read-only leg that differs",
            Link,
            "echo x > $B/x; mount -o remount,ro $B",
            (
                "READ-ONLY",
                "M-124",
                Codes {
                    run: 125,
                    diff: 1,
                    verify: 1,
                    ..SERVES
                },
            ),
            "mount -o remount,rw $B; mirror resync $V --yes",
        ),
        row(
            "a full leg",
            InPlace,
            "head -c 64M /dev/zero > $B/.mirror/kept/fill 2>/dev/null; true",
            ("FULL", "M-125", SERVES),
            "rm $B/.mirror/kept/fill",
        ),
        row(
            "a leg without inodes",
            InPlace,
            "i=0; while : 2>/dev/null > $B/.mirror/kept/$i; do i=$((i+1)); done; true",
            ("FULL", "M-125", SERVES),
            "rm $B/.mirror/kept/*",
        ),
        row(
            "legs that a group may write",
            InPlace,
            "chgrp 61100 $A $B; chmod g+w $A $B",
            ("EXPOSED", "M-126", SERVES),
            "chmod go-w $A; chmod go-w $B",
        ),
        row(
            "control folders of somebody else",
            InPlace,
            "chown -R 61001:61001 $A/.mirror $B/.mirror",
            ("NOT TRUSTED", "M-215", LOST),
            "chown -R 0:0 $A/.mirror $B/.mirror",
        ),
        row(
            "the control folder of another pair",
            Link,
            "sed -i 's/id=[0-9a-f]*/id=000102030405060708090a0b0c0d0e0f/' $TAB",
            ("NOT TRUSTED", "M-215", LOST),
            "mirror detach $V; mirror init $A $B --at $V --yes",
        ),
        row(
            "a leg that is not mounted",
            Link,
            "umount $B",
            ("LEG LOST", "M-201", LOST),
            "mirror detach $V; mirror init $A $B --at $V --yes",
        ),
        row(
            "a new disk at the place of a leg",
            InPlace,
            "umount $B; mount -t tmpfs -o size=16m,mode=755 none $B",
            ("LEG LOST", "M-201", LOST),
            "mirror detach $V; mirror init $A $B --yes",
        ),
    ]
}
