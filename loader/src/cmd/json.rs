//! What `--json` prints, field by field: these structs are the schema (docs/JSON.md). Within a schema's
//! number fields are only added.
use crate::text;
use serde::Serialize;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A path under one key: a string, and base 64 beside it when it is not UTF-8.
macro_rules! path_under {
    ($(#[$doc:meta])* $name:ident, $key:literal, $b64:literal) => {
        $(#[$doc])*
        #[derive(Serialize)]
        pub struct $name {
            #[serde(rename = $key)]
            text: String,
            #[serde(rename = $b64, skip_serializing_if = "Option::is_none")]
            bytes: Option<String>,
        }

        impl $name {
            /// Of a path's bytes.
            pub fn of(p: &[u8]) -> $name {
                $name {
                    text: String::from_utf8_lossy(p).into_owned(),
                    bytes: std::str::from_utf8(p).is_err().then(|| text::base64(p)),
                }
            }
        }

        impl From<&Path> for $name {
            fn from(p: &Path) -> $name {
                $name::of(p.as_os_str().as_bytes())
            }
        }
    };
}

path_under!(
    /// A pair's virtual directory.
    Virtual, "virtual", "virtual_b64"
);
path_under!(
    /// Any path.
    At, "path", "path_b64"
);
path_under!(
    /// The first directory of a comparison.
    DirA, "a", "a_b64"
);
path_under!(
    /// The second directory of a comparison.
    DirB, "b", "b_b64"
);
path_under!(
    /// Leg a of a line.
    LegA, "leg_a", "leg_a_b64"
);
path_under!(
    /// Leg b of a line.
    LegB, "leg_b", "leg_b_b64"
);
path_under!(
    /// A library.
    LibraryPath, "library_path", "library_path_b64"
);

/// `mirror.error/1`
#[derive(Serialize)]
pub struct Error<'a> {
    pub schema: &'static str,
    pub command: &'a str,
    pub kind: &'static str,
    pub code: Option<&'a str>,
    pub message: &'a str,
    pub exit: u8,
}

/// The report of a command that acts; its own fields beside these.
#[derive(Serialize)]
pub struct Report {
    pub schema: String,
    pub exit: u8,
    pub time: String,
    pub messages: Vec<String>,
    #[serde(flatten)]
    pub fields: serde_json::Map<String, serde_json::Value>,
}

/// `mirror.init/1`
#[derive(Serialize)]
pub struct Init {
    pub r#virtual: String,
    pub legs: Vec<String>,
    pub dry_run: bool,
}

/// `mirror.detach/1`
#[derive(Serialize)]
pub struct Detach {
    pub r#virtual: String,
}

/// `mirror.wait/1`
#[derive(Serialize)]
pub struct Wait {
    pub state: String,
    /// With `--clean`, of a pair in sync: whether it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clean: Option<bool>,
}

/// `mirror.doctor/1`: one of `checks`.
#[derive(Serialize)]
pub struct Check<'a> {
    pub ok: bool,
    pub what: &'a str,
    pub detail: &'a str,
}

/// `mirror.doctor/1`: one of `own_calls`.
#[derive(Serialize)]
pub struct OwnCall {
    pub file: String,
    pub certain: bool,
}

/// `mirror.config-check/1`: one of `pairs`.
#[derive(Serialize)]
pub struct Line {
    #[serde(flatten)]
    pub virt: Virtual,
    #[serde(flatten)]
    pub leg_a: LegA,
    #[serde(flatten)]
    pub leg_b: LegB,
    pub place: String,
    pub options: String,
}

/// `mirror.resync/1`: one of `pairs`.
#[derive(Serialize)]
pub struct Resynced {
    #[serde(flatten)]
    pub virt: Virtual,
    pub symlinks_out: u64,
    pub left_out: Vec<LeftOut>,
}

/// What a comparison or a repair leaves out, or could not look at.
#[derive(Serialize)]
pub struct LeftOut {
    #[serde(flatten)]
    pub path: At,
    pub why: String,
}

/// `mirror.status/1`
#[derive(Serialize)]
pub struct Status<'a> {
    pub schema: &'static str,
    pub time: String,
    pub pairs: Vec<Pair<'a>>,
    pub unreadable: Vec<String>,
}

/// `mirror.status/1`: one of `pairs`.
#[derive(Serialize)]
pub struct Pair<'a> {
    #[serde(flatten)]
    pub virt: Virtual,
    pub state: &'a str,
    pub exit: u8,
    pub in_place: bool,
    pub options: String,
    pub why: &'a [String],
    pub action: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    pub refused: Vec<Refused>,
    pub unmirrored: Vec<Unmirrored>,
    pub met: Vec<Met>,
    #[serde(flatten)]
    pub open: Option<OpenPair>,
}

/// What is known of a pair whose legs are at hand.
#[derive(Serialize)]
pub struct OpenPair {
    pub id: String,
    pub pending: u64,
    pub mapped: u64,
    pub legs: Vec<Leg>,
    #[serde(flatten)]
    pub who: Option<Attended>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<Audit>,
    pub verified: Option<Verified>,
}

/// The audit that runs, or the last one.
#[derive(Serialize)]
pub struct Audit {
    pub on: bool,
    pub tier: String,
    pub since: String,
    pub findings: u64,
    pub healed: u64,
    pub lost: u64,
}

#[derive(Serialize)]
pub struct Leg {
    pub leg: char,
    #[serde(flatten)]
    pub path: At,
    pub filesystem: String,
    pub state: &'static str,
    pub used: u64,
    pub free: u64,
}

/// How many programs have the pair open.
#[derive(Serialize)]
pub struct Attended {
    pub attached: usize,
    pub changing: u64,
    pub stale_libraries: u64,
}

/// The last comparison of both legs.
#[derive(Serialize)]
pub struct Verified {
    pub time: String,
    pub objects: u64,
    pub differences: u64,
    pub uncompared: u64,
}

/// A program whose change was refused.
#[derive(Serialize)]
pub struct Refused {
    pub time: String,
    pub reason: u16,
    pub why: &'static str,
    pub errno: u16,
    pub call: Option<&'static str>,
    pub pid: u32,
    pub uid: u32,
    pub program: String,
}

/// A program that ran unmirrored.
#[derive(Serialize)]
pub struct Unmirrored {
    pub program: String,
    pub why: &'static str,
    pub times: u32,
    pub first: String,
    pub last: String,
    pub pid: u32,
    pub uid: u32,
    pub refused: bool,
    pub touched: Vec<&'static str>,
}

/// A difference that a program met.
#[derive(Serialize)]
pub struct Met {
    pub time: String,
    pub object: String,
    pub equal: bool,
    pub pid: u32,
    pub uid: u32,
    pub program: String,
}

/// `mirror.verify/1`
#[derive(Serialize)]
pub struct Verify {
    pub schema: &'static str,
    pub pairs: Vec<Verifying>,
}

/// `mirror.verify/1`: one of `pairs`.
#[derive(Serialize)]
#[serde(untagged)]
#[allow(clippy::large_enum_variant, reason = "one for each pair of a command")]
pub enum Verifying {
    Compared(Compared),
    Lost(Lost),
}

/// A pair that was compared.
#[derive(Serialize)]
pub struct Compared {
    #[serde(flatten)]
    pub virt: Virtual,
    pub state: String,
    pub objects: u64,
    pub time: String,
    pub differences: Vec<Difference>,
    pub trouble: Vec<LeftOut>,
    pub symlinks_out: u64,
    pub left_out: Vec<LeftOut>,
    pub unrecorded: Vec<char>,
}

/// A pair that could not be.
#[derive(Serialize)]
pub struct Lost {
    #[serde(flatten)]
    pub virt: Virtual,
    pub state: String,
    pub why: Vec<String>,
    pub action: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

/// One path that differs.
#[derive(Serialize)]
pub struct Difference {
    #[serde(flatten)]
    pub path: At,
    pub r#type: &'static str,
    /// `only-in-a`, `only-in-b`, or in what the objects differ.
    pub what: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub a: Option<Object>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub b: Option<Object>,
}

/// What one side has.
#[derive(Serialize)]
pub struct Object {
    pub size: u64,
    pub mode: u32,
    pub mtime: String,
}

/// `mirror.diff/1`
#[derive(Serialize)]
pub struct Diff {
    pub schema: &'static str,
    #[serde(flatten)]
    pub a: DirA,
    #[serde(flatten)]
    pub b: DirB,
    pub objects: u64,
    pub differences: Vec<Difference>,
    pub trouble: Vec<LeftOut>,
}

/// `mirror.ps/1`
#[derive(Serialize)]
pub struct Ps {
    pub schema: &'static str,
    pub time: String,
    pub pairs: Vec<Attending>,
}

/// `mirror.ps/1`: one of `pairs`.
#[derive(Serialize)]
#[serde(untagged)]
pub enum Attending {
    Known(Known),
    Unknown(Unknown),
}

/// Who is attached to a pair.
#[derive(Serialize)]
pub struct Known {
    #[serde(flatten)]
    pub virt: Virtual,
    pub attached: usize,
    pub changing: u64,
    pub stale: u64,
    pub unseen: u64,
    pub processes: Vec<Process>,
}

/// A pair of which that cannot be known.
#[derive(Serialize)]
pub struct Unknown {
    #[serde(flatten)]
    pub virt: Virtual,
    pub unknown: String,
}

#[derive(Serialize)]
pub struct Process {
    pub pid: u32,
    pub uid: Option<u32>,
    pub user: String,
    pub command: String,
    pub started: Option<String>,
    pub changing: bool,
    pub library: &'static str,
    #[serde(flatten)]
    pub library_path: Option<LibraryPath>,
    pub kind: &'static str,
}
