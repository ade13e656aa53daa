//! Prepared text images: a libc's executable segment with a jump before every system call that the
//! mirror must see. `libmirror.so` maps one over the live text at boot (docs/FORMATS.md).
//!
//! Rules of this module: only the command writes images; one is written whole and renamed into
//! place; one counts only if it belongs to root or to the user and nobody else can write it or its
//! folder; a libc of which a required site cannot be patched gets none.
mod elf;
mod kinds;
mod patch;
mod scan;
mod store;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

pub use kinds::{Error, Site, Status};
pub use patch::Image;
pub use store::{cache_dir, cached_library, default_libcs, image_name, image_path};
pub(crate) use store::{distrust, search};

/// A written image.
#[derive(Debug)]
pub struct Prepared {
    /// Where it lies.
    pub path: PathBuf,
    /// Build-id of the libc, in hex.
    pub build_id: String,
    /// All `syscall` instructions of the libc.
    pub sites: u32,
    /// How many of them are wanted.
    pub wanted: u32,
    /// How many got a jump.
    pub patched: u32,
    /// The wanted ones without (none is required).
    pub unpatched: Vec<Site>,
    /// The patched ones.
    pub patched_sites: Vec<Site>,
}

/// Decodes and patches a libc without writing anything.
pub fn build(data: &[u8]) -> Result<Image, Error> {
    let libc = elf::Libc::parse(data)?;
    let code = scan::Code::decode(&libc)?;
    patch::patch(&libc, &code)
}

/// Writes the image of this libc into the cache folder.
pub fn prepare_for(libc: &Path) -> Result<Prepared, Error> {
    let dir = cache_dir().ok_or(Error::NoCache)?;
    prepare_into(libc, &dir)
}

/// Writes the image of this libc into `dir`.
pub fn prepare_into(libc: &Path, dir: &Path) -> Result<Prepared, Error> {
    let data = std::fs::read(libc).map_err(|source| Error::Io {
        path: libc.to_owned(),
        source,
    })?;
    let Image {
        header,
        text,
        patched: patched_sites,
        unpatched,
    } = build(&data)?;
    let path = store::write(dir, &header, &text)?;
    Ok(Prepared {
        path,
        build_id: store::hex(header.build_id()),
        sites: header.sites,
        wanted: header.wanted,
        patched: header.patched,
        unpatched,
        patched_sites,
    })
}

/// What the shim would find for this libc.
pub fn check(libc: &Path) -> Status {
    let data = match std::fs::read(libc) {
        Ok(d) => d,
        Err(e) => return Status::Unsuitable(format!("{}: {e}", libc.display())),
    };
    match elf::Libc::parse(&data) {
        Ok(l) => store::check(&l.build_id),
        Err(e) => Status::Unsuitable(e.to_string()),
    }
}
