//! `mirror explain`: the text behind the codes that other commands print.
use crate::fail::{Fail, Kind, Res};

/// Objects are known to differ.
pub const PENDING: &str = "M-101";
/// An unmirrored program ran.
pub const UNMIRRORED: &str = "M-102";
/// A writer died.
pub const ORPHAN: &str = "M-103";
/// The first copy is not finished.
pub const INCOMPLETE: &str = "M-105";
/// verify found differences.
pub const DIFFERENT: &str = "M-106";
/// A leg cannot be used.
pub const LEG: &str = "M-201";

const TABLE: [(&str, &str, &str); 6] = [
    (
        PENDING,
        "Objects are known to differ between the legs.",
        "A change reached one leg only: the other refused it, or somebody changed one tree alone.\n\
         The paths stand in .mirror/pending of both legs. Programs may keep running.\n\
         Remedy: mirror resync V makes leg b like leg a; what b loses is kept in its .mirror/kept.",
    ),
    (
        UNMIRRORED,
        "A program that cannot be mirrored ran with files of the pair open.",
        "Static programs, Go programs and programs with set-id bits do their system calls past the mirror.\n\
         What they wrote exists on one leg only.\n\
         Remedy: mirror verify V shows whether anything differs; mirror resync V repairs it.",
    ),
    (
        ORPHAN,
        "A program was killed in the middle of a change.",
        "The change was announced before it began, so it is known which object may differ.\n\
         The next change of any mirrored program repairs it, and so does mirror resync V.",
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
         tree without the mirror.\n\
         Remedy: mirror resync V makes leg b like leg a; what b loses is kept in its .mirror/kept.\n\
         If b has what you want, copy it to a through the mirror first: mirror run -- cp B/FILE V/FILE",
    ),
    (
        LEG,
        "A leg cannot be used.",
        "Its directory is missing, is not the one that was made a leg (a disk that is not mounted?), or its\n\
         record is damaged. The pair is not used, so that nothing is written beside it.\n\
         Remedy: mount the disk. If the leg is lost for good: mirror detach V, then mirror init again.",
    ),
];

/// Prints one text, or the list.
pub fn run(code: Option<&str>) -> Res<u8> {
    let Some(code) = code else {
        for (c, head, _) in TABLE {
            crate::say!("{c}  {head}");
        }
        return Ok(0);
    };
    match TABLE.iter().find(|(c, ..)| c.eq_ignore_ascii_case(code)) {
        Some((c, head, text)) => {
            crate::say!("{c}  {head}\n\n{text}");
            Ok(0)
        }
        None => Err(Fail::new(
            Kind::Usage,
            format!(
                "no such code: {}. mirror explain lists them",
                crate::text::show(code.as_bytes())
            ),
        )),
    }
}
