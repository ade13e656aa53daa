//! Whether a program's file says that it will have a C library: the rule that the command, the library's
//! exec and its start share.

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;

/// One entry of a dynamic section (struct Elf64_Dyn), in bytes.
pub const ENTRY: usize = 16;

/// Whether a piece of a dynamic section (whole entries) names a library that is needed; `None`: neither
/// so nor at its end. A program with a dynamic linker that needs none has no C library, and makes its
/// system calls itself.
pub fn needs_library(entries: &[u8]) -> Option<bool> {
    entries.chunks_exact(ENTRY).find_map(|e| {
        let tag = e.first_chunk().map_or(DT_NULL, |t| u64::from_le_bytes(*t));
        match tag {
            DT_NEEDED => Some(true),
            DT_NULL => Some(false),
            _ => None,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(tags: &[u64]) -> [u8; 4 * ENTRY] {
        let mut all = [0; 4 * ENTRY];
        for (e, t) in all.chunks_exact_mut(ENTRY).zip(tags) {
            e[..8].copy_from_slice(&t.to_le_bytes());
        }
        all
    }

    #[test]
    fn the_first_needed_library_or_the_end_decides() {
        assert_eq!(needs_library(&entries(&[5, 1, 0, 0])), Some(true));
        assert_eq!(needs_library(&entries(&[5, 6, 0, 1])), Some(false));
        assert_eq!(needs_library(&entries(&[5, 6, 7, 8])), None);
        assert_eq!(needs_library(&[]), None);
    }
}
