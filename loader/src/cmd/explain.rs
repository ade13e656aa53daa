//! `mirror explain`: the text behind the codes that other commands print.
use super::sub::{CommandLine, Sub};
use crate::fail::{Fail, Kind, Res};
use crate::output;
use crate::text;
use clap::Args;

/// Objects are known to differ.
pub const PENDING: &str = "M-101";
/// An unmirrored program ran.
pub const UNMIRRORED: &str = "M-102";
/// A writer died.
pub const RECOVER: &str = "M-103";
/// Leg b was left behind.
pub const DEGRADED: &str = "M-104";
/// The first copy is not finished.
pub const INCOMPLETE: &str = "M-105";
/// verify found differences.
pub const DIFFERENT: &str = "M-106";
/// V of a link pair does not lead to a leg.
pub const LINK: &str = "M-107";
/// The pair belongs to another user.
pub const NOT_YOURS: &str = "M-108";
/// Programs run with an older or another library.
pub const OLD_LIBRARY: &str = "M-109";
/// Programs were refused in V.
pub const REFUSED: &str = "M-110";
/// A resync has begun and not ended.
pub const UNFINISHED: &str = "M-121";
/// Objects could not be compared.
pub const NOT_COMPARED: &str = "M-122";
/// The record of the last comparison is damaged.
pub const VERIFIED: &str = "M-123";
/// A leg is read-only.
pub const READ_ONLY: &str = "M-124";
/// A leg is full.
pub const FULL: &str = "M-125";
/// Others can replace a leg's control folder.
pub const EXPOSED: &str = "M-126";
/// The runtime file was removed.
pub const RUNTIME: &str = "M-127";
/// The audit saw a change that was not mirrored.
pub const AUDIT: &str = "M-128";
/// The audit has lost events.
pub const AUDIT_LOST: &str = "M-129";
/// The audit holds removals.
pub const AUDIT_HELD: &str = "M-130";
/// The kernel has written core files on one leg alone.
pub const CORE: &str = "M-131";
/// The machine was restarted before the last changes were known to be on both disks.
pub const RESTARTED: &str = "M-132";
/// This process could not look.
pub const UNSEEN: &str = "M-133";
/// A leg cannot be used.
pub const LEG: &str = "M-201";
/// Two directories cannot be legs of one pair.
pub const UNFIT: &str = "M-202";
/// A leg cannot hold everything that the other can.
pub const LOSS: &str = "M-203";
/// Two trees differ, and no source was named.
pub const TREES: &str = "M-204";

/// Control files are missing.
pub const CONTROL: &str = "M-211";
/// A leg's record cannot be understood.
pub const RECORD: &str = "M-212";
/// The directories are not the legs of one pair.
pub const STRANGERS: &str = "M-213";
/// The legs are named in the wrong order.
pub const SWAPPED: &str = "M-214";
/// Somebody else may have put a leg's control folder there.
pub const DISTRUST: &str = "M-215";
/// Each leg says that the other was left behind.
pub const SPLIT: &str = "M-301";

/// Code, one line, the text. In the order of the codes; a code is never used again for something else.
const TABLE: [(&str, &str, &str); 33] = [
    (
        PENDING,
        "Objects are known to differ between the legs.",
        "A change reached one leg only: the other refused it, or somebody changed one tree alone.\n\
         The paths stand in .mirror/pending of both legs. Programs may keep running.\n\
         Remedy: mirror resync V makes leg b like leg a; what b loses is kept in its .mirror/kept.\n\
         If leg b is the one that is right: mirror resync V --from b. Look first: mirror diff V",
    ),
    (
        UNMIRRORED,
        "A program that cannot be mirrored ran in the pair, with one of its paths, or with a file of it open.",
        "Static programs and programs with set-id bits do their system calls past the mirror.\n\
         What they wrote exists on one leg only.\n\
         Remedy: mirror verify V shows whether anything differs; mirror resync V repairs it.\n\
         The option unmirrorable=refuse in the mirrortab keeps programs from starting such ones.",
    ),
    (
        RECOVER,
        "A program was killed in the middle of a change.",
        "The change was announced before it began, so it is known which object may differ.\n\
         The next change of any mirrored program repairs it, and so does mirror resync V.",
    ),
    (
        DEGRADED,
        "Leg b was left behind: new data exists once, on leg a.",
        "Leg b failed (on-failure=degrade), was full (on-full=degrade), or was taken offline. The mark stands in\n\
         .mirror/away of leg a, on its disk before any program was told of a change that leg b lacks. Programs go on\n\
         with leg a; a change by leg b's own path gets an I/O error. Nothing is written to leg b, which can be\n\
         unmounted: programs let go of it at their next change.\n\
         Remedy: mirror leg online V b (or mirror resync V) makes leg b like leg a beside running programs. Leg b is\n\
         part of the pair again when both are equal; programs need not be started anew, but for those that came after a\n\
         restart of the machine, without leg b: they must end first, and the command says so.\n\
         A disk that is lost for good: mirror leg replace V b NEW.",
    ),
    (
        INCOMPLETE,
        "The first copy of a leg has not finished.",
        "The pair cannot be used until it has.\n\
         Remedy: mirror resync V (or the same mirror init again) goes on where it stopped.",
    ),
    (
        DIFFERENT,
        "A comparison found objects that differ.",
        "Each was looked at again while no mirrored program could change it. Most often somebody changed one\n\
         tree without the mirror. The pair is DIFFERENT until a verify or a resync finds both legs equal.\n\
         Remedy: mirror resync V makes leg b like leg a; what b loses is kept in its .mirror/kept.\n\
         mirror diff V shows both sides. If b has what you want: mirror resync V --from b makes a like b. For\n\
         one file, copy it through the mirror first: mirror run -- cp B/FILE V/FILE",
    ),
    (
        LINK,
        "V of a link pair does not lead to leg a.",
        "The symlink is missing, leads elsewhere, or a directory stands in its place. What a program reads\n\
         through V is not the pair's, so what it changes there is refused with an I/O error.\n\
         Remedy: ln -sfn LEG_A V, or mirror init with the same words again. If V was turned to leg b on\n\
         purpose, b is right: mirror resync V --from b, then make the link again.",
    ),
    (
        NOT_YOURS,
        "The pair belongs to another user.",
        "Its control folders can be read by their owner alone (and by root), so nothing is known of its state.\n\
         Programs of this user may read V as its modes allow; their changes there fail.\n\
         Remedy: run the command as the owner. A pair of your own: mirror init LEG_A LEG_B.",
    ),
    (
        OLD_LIBRARY,
        "Programs run with an older or another libmirror.so than this command would load.",
        "After an update a program keeps the library with which it was started. Versions of one format work\n\
         together; what the new one mends is missing in the old programs.\n\
         Remedy: restart the programs that mirror ps V lists as old or other.",
    ),
    (
        REFUSED,
        "Programs were refused a change in V.",
        "They got EIO, EACCES, EROFS or EMFILE, and no leg was changed. The library writes down why, once for\n\
         each program and reason, into a list of the last 64 of its user (/run/mirror/refused for root,\n\
         /dev/shm/mirror-refused-UID for others). mirror status V shows those of the last day that are newer\n\
         than the last verify without differences; root sees those of all users.\n\
         Remedy by reason: a user who may not: run as the pair's user, or mirror init --share group. Rights given\n\
         up or root changed before the first change: start the program as its user, or let V's trees belong to\n\
         that user. Descriptors: ulimit -Hn 16384 (LimitNOFILE= of a unit). A leg: mirror status V says more.",
    ),
    (
        UNFINISHED,
        "A resync has begun and not ended with both legs equal.",
        "It was stopped or killed, or could not repair every path. Part of the losing leg is as the winning one,\n\
         the rest is not: which leg is right stays on record in .mirror/resync of both legs.\n\
         Remedy: the same command goes on, mirror resync V --from LEG, with the leg that it began from. A plain\n\
         mirror resync V does not turn it round; --from with the other leg does. A verify that finds both legs\n\
         equal ends it too.",
    ),
    (
        NOT_COMPARED,
        "The last comparison could not look at every object.",
        "An object cannot be read by this user, its path is too long, or its disk answers with an error.\n\
         Whether it is equal on both legs is not known, and the pair is not called in sync.\n\
         Remedy: mirror verify V names each and says why. Fix that (or run it as root), then verify again.",
    ),
    (
        VERIFIED,
        "The record of the last comparison cannot be understood.",
        "It stands in .mirror/verified of both legs, and says whether differences were found.\n\
         Remedy: mirror verify V compares again and makes a new one.",
    ),
    (
        READ_ONLY,
        "A leg is mounted read-only.",
        "Programs can read V; everything that would change it fails, so that the legs stay equal. A disk that\n\
         fails is often made read-only by its file system (errors=remount-ro): look at dmesg first.\n\
         mirror verify V and mirror diff V work, and record nothing on that leg.\n\
         Remedy: mount -o remount,rw. If the disk is to be replaced: mount a new one at its place, then\n\
         mirror detach V and mirror init LEG_A LEG_B [--at V].",
    ),
    (
        FULL,
        "A leg has no room or no inodes left.",
        "What does not fit on both legs is done on neither: programs get \"no space left on device\".\n\
         Remedy: make room on that leg's file system; the smaller leg decides.",
    ),
    (
        EXPOSED,
        "Others may write a leg's root, or a directory above it.",
        "They can rename .mirror, or the whole leg, and put one of their own there. mirror init refuses such a\n\
         leg; this one was opened afterwards. A .mirror of another user is not followed where the mirrortab\n\
         names the owner (uid=), but whoever owns the directory's place decides what programs find in it.\n\
         Programs go on, and both legs are kept equal.\n\
         Remedy: chmod go-w DIRECTORY, or chmod +t DIRECTORY, or a pair that is shared with the group.",
    ),
    (
        RUNTIME,
        "The pair's runtime file was removed since the machine was started.",
        "It lies in memory (/run/mirror for root's pairs, /dev/shm for others) and names the change that each\n\
         program is making. If one was killed in mid-change, the file that differs is not known any more.\n\
         systemd removes such files when a unit with RemoveIPC=yes (or DynamicUser=yes) stops, and at a user's\n\
         last logout: RemoveIPC=no in the unit, or in logind.conf. So does a container with a /dev/shm of its own,\n\
         for which the file is not there: let it have the host's.\n\
         Remedy: mirror verify V shows whether anything differs; mirror resync V repairs it.",
    ),
    (
        AUDIT,
        "The audit saw a change that did not go through the mirror.",
        "Somebody wrote into one tree: a program started without the mirror, a static or set-id one, a shell on\n\
         leg b. Each line of mirror audit says when, where and on which leg; with fanotify also who, and why it\n\
         was not mirrored. Both objects were compared while no mirrored program could change them: they differ.\n\
         Remedy: mirror verify V, mirror diff V, mirror resync V (b like a), or let the audit do it: --heal.",
    ),
    (
        AUDIT_LOST,
        "The audit has lost events.",
        "More changes happened than the kernel's queue holds, or a directory could not be watched. Which paths\n\
         they were about is not known, so a change that was not mirrored may have been missed.\n\
         Remedy: mirror verify V compares everything. A longer queue: sysctl fs.inotify.max_queued_events,\n\
         fs.fanotify.max_queued_events.",
    ),
    (
        AUDIT_HELD,
        "The audit holds removals for a decision.",
        "With --heal, more objects went away on one leg within ten seconds than --brake allows (100). That may be\n\
         a mistake, so it was not carried: the other leg still has all of it, and the paths are pending.\n\
         Remedy: mirror audit V --held list shows them. mirror audit V --held restore puts them back on the leg\n\
         where they went away; --held carry removes them on the other leg too, where they are kept aside. Or\n\
         keys r and c in the live view. Then mirror resync V.",
    ),
    (
        CORE,
        "The kernel has written core files on one leg alone.",
        "A program ended by a signal while core files were on (ulimit -c), and the kernel wrote its core file into\n\
         a directory of the pair, when no library was there any more to mirror it.\n\
         Remedy: mirror resync V copies it to the other leg; or remove it.",
    ),
    (
        RESTARTED,
        "The machine was restarted before the last changes were known to be on both disks.",
        "What a program wrote and did not fsync is in memory for about half a minute. If the power failed, or the\n\
         machine crashed, one disk may have it and the other not, and nothing else would tell. After an orderly\n\
         shutdown both have all of it, but nobody has noted that.\n\
         It is noted by mirror run, when its command has ended, if it took longer than a second and nobody else\n\
         uses the pair, and by mirror wait V --clean, which a unit can call at shutdown.\n\
         Remedy: mirror verify V shows whether anything differs; mirror resync V repairs it.",
    ),
    (
        UNSEEN,
        "The command could not look at the pair.",
        "It had no descriptors or no memory left, or was not let in: that says nothing of the pair.\n\
         Remedy: the same command again, with higher limits (ulimit -n, ulimit -v), or as the pair's owner.",
    ),
    (
        LEG,
        "A leg cannot be used.",
        "Its directory is missing, is not the one that was made a leg (a disk that is not mounted?), or its\n\
         record is damaged. The pair is not used, so that nothing is written beside it.\n\
         Remedy: mount the disk. If leg b is lost for good, or a new empty disk is mounted at its place:\n\
         mirror leg replace V b NEW. For leg a: mirror detach V, then mirror init NEW B [--at V]. The leg that is\n\
         left is copied to the new one. With on-failure=degrade the first program that changes something goes on\n\
         without a leg b whose place is empty (decision 0050); mirror leg offline V b says so by hand.",
    ),
    (
        UNFIT,
        "Two directories cannot be the legs of one pair.",
        "mirror init tried both file systems. Locks (flock) must keep processes apart on both; both must agree\n\
         whether 'A' and 'a' are one name; and what the source holds – symlinks, devices, long names – must be\n\
         possible on the other leg, or the two could never be equal.\n\
         Remedy: another file system for the poorer leg, or move away what it cannot hold.",
    ),
    (
        LOSS,
        "A leg cannot hold everything that the other can.",
        "What is lost (extended attributes, hard links, modes, owners, fine times) exists on one leg only.\n\
         mirror verify and mirror resync know, and do not call it a difference. New ones are refused to\n\
         programs where the poorer leg refuses them.\n\
         mirror init --fidelity full refuses such a pair.",
    ),
    (
        TREES,
        "Two trees that are not empty differ.",
        "mirror init does not guess which is right. mirror diff A B lists what differs, with both sides.\n\
         mirror init A B --source a (or b) makes the other leg like it; what that leg had is kept in its\n\
         .mirror/kept, all of it. --dry-run says what would be done.",
    ),
    (
        CONTROL,
        "A leg's control folder is not complete.",
        "Parts of .mirror are missing (restored from a backup that left them out, or copied without them), or\n\
         something else stands there under their names. Without owner and locks no program can change the pair.\n\
         Remedy: end the programs that use the pair; mirror resync V then makes the missing parts again and\n\
         compares both legs. What stands there wrongly must be removed by hand first.",
    ),
    (
        RECORD,
        "A leg's record cannot be understood.",
        ".mirror/leg is damaged, or of another version of the Mirror File System. Nothing is changed.\n\
         Remedy: if a newer version made it, use that. Else mirror detach V, then mirror init A B [--at V]: both\n\
         trees are compared, and nothing is overwritten unless a --source is named.",
    ),
    (
        STRANGERS,
        "The directories are not the legs of one pair.",
        "Each has the record of a leg, but they do not name each other: another disk is mounted there, or one\n\
         was copied over with .mirror (rsync of another leg).\n\
         Remedy: mount the right disks. If a leg was copied over: mirror detach V, remove .mirror from the\n\
         copy, then mirror init A B [--at V].",
    ),
    (
        SWAPPED,
        "The mirrortab names the legs in the wrong order.",
        "Leg a and leg b are a and b for ever: their order is that of the locks. Programs cannot change the\n\
         pair until the line is right, and mirror resync refuses.\n\
         Remedy: write the line as mirror status V says.",
    ),
    (
        DISTRUST,
        "Somebody else may have put a leg's .mirror there.",
        "What stands in .mirror leads programs to files and locks, so it must be the pair's own: of the pair and\n\
         the owner that the mirrortab names (id=, uid=). Without them it must belong to root, this user, or the\n\
         owner of the leg's root, or in a shared pair to the root's group. Nobody else may write it.\n\
         Programs get an I/O error when they change something, and no leg is changed.\n\
         Remedy: look whose it is, and whether the old one was renamed. Put the old one back, or give it to its\n\
         owner (chown -R). If it is right as it is, say so in the mirrortab: uid=NUMBER. Let nobody else write\n\
         the leg's root (chmod go-w, or chmod +t).",
    ),
    (
        SPLIT,
        "Leg b says that it went on without leg a.",
        "A mark .mirror/away stands on leg b, which only leg a can have: the legs were exchanged, or each was changed\n\
         without the other. Programs cannot change the pair.\n\
         Remedy: mirror diff V shows both sides. If leg a is right, remove the mark on leg b, then mirror resync V.",
    ),
];

/// Explain a code from another command's output
#[derive(Args)]
pub struct Explain {
    /// The code, like M-101
    code: Option<String>,
}

impl Sub for Explain {
    const NAME: &'static str = "explain";
    fn run(&self, _: CommandLine) -> Res<u8> {
        run(self.code.as_deref())
    }
}

/// Prints one text, or the list.
fn run(code: Option<&str>) -> Res<u8> {
    let Some(code) = code else {
        for (c, head, _) in TABLE {
            output::say!("{c}  {head}");
        }
        return Ok(0);
    };
    match TABLE.iter().find(|(c, ..)| c.eq_ignore_ascii_case(code)) {
        Some((c, head, text)) => {
            output::say!("{c}  {head}\n\n{text}");
            Ok(0)
        }
        None => {
            let near = text::near(&code.to_uppercase(), TABLE.iter().map(|(c, ..)| *c));
            Err(Fail::new(
                Kind::Usage,
                format!(
                    "no such code: {}.{} mirror explain lists them",
                    text::show(code.as_bytes()),
                    near.map_or(String::new(), |n| format!(" Did you mean {n}?")),
                ),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TABLE;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// All `M-NNN` in a file.
    fn codes(file: &Path, into: &mut BTreeSet<String>) {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        for (i, _) in text.match_indices("M-") {
            let code: String = text[i..].chars().take(5).collect();
            if code.len() == 5 && code[2..].chars().all(|c| c.is_ascii_digit()) {
                into.insert(code);
            }
        }
    }

    fn walk(dir: &Path, into: &mut BTreeSet<String>) {
        for e in std::fs::read_dir(dir).unwrap().flatten() {
            let p = e.path();
            if p.is_dir() {
                walk(&p, into);
            } else if p
                .extension()
                .is_some_and(|x| x == "rs" || x == "md" || x == "7")
            {
                codes(&p, into);
            }
        }
    }

    #[test]
    fn every_code_has_a_text_and_is_used() {
        let top = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut found = BTreeSet::new();
        for dir in ["src", "../core/src", "../shim/src", "../docs", "man"] {
            walk(&top.join(dir), &mut found);
        }
        let known: BTreeSet<String> = TABLE.iter().map(|(c, ..)| (*c).to_string()).collect();
        assert_eq!(known.len(), TABLE.len(), "a code stands twice");
        assert!(TABLE.is_sorted_by_key(|(c, ..)| *c));
        let lost: Vec<_> = found.difference(&known).collect();
        assert!(lost.is_empty(), "codes without a text: {lost:?}");
        assert!(
            TABLE
                .iter()
                .all(|(_, head, text)| head.ends_with('.') && text.len() > 80)
        );
        // Each constant is named by a message somewhere else.
        let here = std::fs::read_to_string(top.join("src/cmd/explain.rs")).unwrap();
        let mut rest = String::new();
        let files = |dir: &str| std::fs::read_dir(top.join(dir)).unwrap().flatten();
        for e in files("src/cmd").chain(files("src/cmd/audit")) {
            if e.file_name() != "explain.rs" {
                rest += &std::fs::read_to_string(e.path()).unwrap_or_default();
            }
        }
        for line in here.lines().filter_map(|l| l.strip_prefix("pub const ")) {
            let name = line.split(':').next().unwrap();
            assert!(
                rest.contains(&format!("explain::{name}")),
                "{name} is printed by nobody"
            );
        }
    }
}
