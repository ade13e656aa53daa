//! Whether a program's file says that it will have a C library: the rule that the command, the library's
//! exec and its start share.

const DT_NULL: u64 = 0;
const DT_NEEDED: u64 = 1;
const DT_STRTAB: u64 = 5;

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

/// Address of the strings of a dynamic section, and place of the first needed library's name among them.
pub fn first_needed(entries: &[u8]) -> Option<(u64, u64)> {
    let value = |wanted: u64| {
        let mut all = entries.chunks_exact(ENTRY).map_while(|e| {
            let (tag, value) = (e.first_chunk()?, e.last_chunk()?);
            let tag = u64::from_le_bytes(*tag);
            (tag != DT_NULL).then_some((tag, u64::from_le_bytes(*value)))
        });
        all.find(|(tag, _)| *tag == wanted).map(|(_, v)| v)
    };
    Some((value(DT_STRTAB)?, value(DT_NEEDED)?))
}

/// Whether a library is the runtime of AddressSanitizer, which ends a program in which it does not come first.
pub fn is_sanitizer(name: &[u8]) -> bool {
    name.starts_with(b"libasan.so") || name.starts_with(b"libclang_rt.asan")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_is_found() {
        let mut all = entries(&[5, 1, 1, 0]);
        for (e, v) in all.chunks_exact_mut(ENTRY).zip([40u64, 7, 9, 0]) {
            e[8..].copy_from_slice(&v.to_le_bytes());
        }
        assert_eq!(first_needed(&all), Some((40, 7)));
        assert_eq!(first_needed(&all[..ENTRY]), None);
        assert_eq!(first_needed(&entries(&[0, 5, 1, 1])), None);
        assert!(is_sanitizer(b"libasan.so.8\0") && !is_sanitizer(b"libc.so.6"));
    }

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
