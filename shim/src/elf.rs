//! ld.so's list of libraries and libc's headers in memory.
//!
//! Rules of this file: reads memory that ld.so owns, at boot only; checks before it believes.
use mirror_core::image::{MAX_BUILD_ID, PAGE};

/// An entry of ld.so's list (struct link_map: l_addr, l_name, l_ld, l_next).
#[derive(Clone, Copy)]
pub struct LinkMap(*const [usize; 4]);

impl LinkMap {
    /// The first entry, from `_r_debug` (r_map is its second word).
    ///
    /// # Safety
    /// `debug` is the address of ld.so's `_r_debug`.
    pub unsafe fn first(debug: usize) -> LinkMap {
        // SAFETY: the caller's promise.
        LinkMap(unsafe { *(debug as *const [usize; 2]) }[1] as *const [usize; 4])
    }

    /// The first entry from here on for which `f` holds.
    pub fn find(self, f: impl Fn(LinkMap) -> bool) -> Option<LinkMap> {
        let mut m = self;
        while !m.0.is_null() {
            if f(m) {
                return Some(m);
            }
            m = LinkMap(m.word(3) as *const [usize; 4]);
        }
        None
    }

    fn word(self, n: usize) -> usize {
        // SAFETY: entries of ld.so's list stay while their libraries are loaded.
        unsafe { *self.0 }.get(n).copied().unwrap_or(0)
    }

    /// Load address.
    pub fn base(self) -> usize {
        self.word(0)
    }

    /// Path, a C string.
    pub fn name(self) -> *const u8 {
        self.word(1) as *const u8
    }

    /// Address of the dynamic section.
    pub fn dynamic(self) -> usize {
        self.word(2)
    }

    /// Is the last part of its path `libc.so.6`?
    pub fn is_libc(self) -> bool {
        if self.name().is_null() {
            return false;
        }
        // SAFETY: l_name is a C string.
        let name = unsafe { core::ffi::CStr::from_ptr(self.name().cast()) }.to_bytes();
        name == b"libc.so.6" || name.ends_with(b"/libc.so.6")
    }
}

/// What boot needs to know of libc.
pub struct Libc {
    build_id: [u8; MAX_BUILD_ID],
    build_id_len: usize,
    /// First page of the executable segment, relative.
    pub text_vaddr: u64,
    /// Its whole pages.
    pub text_len: u64,
    /// End of .bss, relative.
    pub bss_end: u64,
}

impl Libc {
    /// The build-id's bytes.
    pub fn build_id(&self) -> &[u8] {
        self.build_id.get(..self.build_id_len).unwrap_or(&[])
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct Phdr {
    kind: u32,
    flags: u32,
    offset: u64,
    vaddr: u64,
    paddr: u64,
    filesz: u64,
    memsz: u64,
    align: u64,
}

/// Reads the headers of a loaded library.
///
/// # Safety
/// A library whose first segment holds its ELF header is loaded at `base`.
pub unsafe fn read(base: usize) -> Option<Libc> {
    // SAFETY: the caller's promise; the header is 64 bytes.
    let head = unsafe { core::slice::from_raw_parts(base as *const u8, 64) };
    if head.get(..6)? != b"\x7fELF\x02\x01" {
        return None;
    }
    let phoff = u64::from_le_bytes(head.get(32..40)?.try_into().ok()?) as usize;
    let count = u16::from_le_bytes(head.get(56..58)?.try_into().ok()?).min(64);
    // SAFETY: the program headers lie in the first segment too (ld.so itself read them there).
    let phdrs = unsafe {
        core::slice::from_raw_parts(base.wrapping_add(phoff) as *const Phdr, usize::from(count))
    };
    let mut libc = Libc {
        build_id: [0; MAX_BUILD_ID],
        build_id_len: 0,
        text_vaddr: 0,
        text_len: 0,
        bss_end: 0,
    };
    for p in phdrs {
        match p.kind {
            libc::PT_LOAD if p.flags & libc::PF_X != 0 => {
                libc.text_vaddr = p.vaddr / PAGE * PAGE;
                libc.text_len = p
                    .vaddr
                    .wrapping_add(p.memsz)
                    .next_multiple_of(PAGE)
                    .wrapping_sub(libc.text_vaddr);
            }
            libc::PT_LOAD if p.flags & libc::PF_W != 0 => {
                libc.bss_end = libc.bss_end.max(p.vaddr.wrapping_add(p.memsz));
            }
            libc::PT_NOTE => {
                // SAFETY: a PT_NOTE segment lies inside a loaded one.
                let notes = unsafe {
                    core::slice::from_raw_parts(
                        base.wrapping_add(p.vaddr as usize) as *const u8,
                        p.memsz as usize,
                    )
                };
                find_build_id(notes, &mut libc);
            }
            _ => {}
        }
    }
    (libc.build_id_len >= 8 && libc.text_len > 0 && libc.bss_end > 0).then_some(libc)
}

/// Notes: name size, data size, type, name, data, each padded to 4.
fn find_build_id(mut notes: &[u8], libc: &mut Libc) -> Option<()> {
    loop {
        let word =
            |at: usize| Some(u32::from_le_bytes(notes.get(at..at + 4)?.try_into().ok()?) as usize);
        let (name, size, kind) = (word(0)?, word(4)?, word(8)?);
        let data = 12usize.checked_add(name.checked_next_multiple_of(4)?)?;
        let desc = notes.get(data..data.checked_add(size)?)?;
        if kind == 3 && notes.get(12..16) == Some(b"GNU\0") && size <= MAX_BUILD_ID {
            for (d, s) in libc.build_id.iter_mut().zip(desc) {
                *d = *s;
            }
            libc.build_id_len = size;
            return Some(());
        }
        notes = notes.get(data.checked_add(size.checked_next_multiple_of(4)?)?..)?;
    }
}
