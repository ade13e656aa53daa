//! What everything that reads bytes of others must hold, for any bytes: one function for each reader.
//!
//! They panic where a promise is broken. Two run them: cargo-fuzz (`fuzz_targets/`), for as long as one
//! likes, and `cargo test` (`tests/bounded.rs`), some thousand inputs each. Arithmetic that overflows
//! panics in both.
mod audit;
mod records;
mod rings;
mod texts;

pub use audit::{audit_record, audit_state, held_list};
pub use records::{
    away_mark, domain_record, filter, image_header, intent, leg_record, lock_word, mapped_entry,
    names_file, outside_file, verdicts,
};
pub use rings::{core_files, core_list, refusal_record, unmirrored_record};
pub use texts::{maps_line, paths, pending_line, tab};

/// A reader's promises, put to the test with some bytes.
pub type Target = fn(&[u8]);

/// All of them by name.
pub const TARGETS: &[(&str, Target)] = &[
    ("tab", tab),
    ("leg_record", leg_record),
    ("away_mark", away_mark),
    ("domain_record", domain_record),
    ("intent", intent),
    ("image_header", image_header),
    ("paths", paths),
    ("maps_line", maps_line),
    ("pending_line", pending_line),
    ("names_file", names_file),
    ("outside_file", outside_file),
    ("filter", filter),
    ("verdicts", verdicts),
    ("audit_record", audit_record),
    ("refusal_record", refusal_record),
    ("unmirrored_record", unmirrored_record),
    ("core_files", core_files),
    ("core_list", core_list),
    ("mapped_entry", mapped_entry),
    ("lock_word", lock_word),
    ("held_list", held_list),
    ("audit_state", audit_state),
];

/// Numbers and texts made of a target's bytes; zeros and nothing when they have run out.
struct Source<'a>(&'a [u8]);

impl<'a> Source<'a> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let (from, rest) = self.0.split_at(N.min(self.0.len()));
        out[..from.len()].copy_from_slice(from);
        self.0 = rest;
        out
    }
    fn byte(&mut self) -> u8 {
        self.bytes::<1>()[0]
    }
    fn number(&mut self) -> u64 {
        u64::from_le_bytes(self.bytes())
    }
    /// At most 65,535 bytes, mostly few.
    fn text(&mut self) -> &'a [u8] {
        let wanted = u16::from_le_bytes(self.bytes());
        let wanted = usize::from(if wanted >= 0xf000 {
            wanted
        } else {
            wanted & 63
        });
        let (text, rest) = self.0.split_at(wanted.min(self.0.len()));
        self.0 = rest;
        text
    }
}
