//! Contents of regular files: compare, copy with holes, rewrite in place.
//!
//! A differing file is rewritten *in place*: running programs hold descriptors of both legs' inodes,
//! and a replaced file would leave them with one that has no name.
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;
use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};

const CHUNK: usize = 1 << 18;
const BLOCK: usize = 4096;

/// Set by ^C: long work ends at the next chunk.
pub static STOP: AtomicBool = AtomicBool::new(false);

/// An error if the user wants to stop.
pub fn check_stop() -> io::Result<()> {
    if STOP.load(Ordering::Relaxed) {
        Err(Errno::INTR.into())
    } else {
        Ok(())
    }
}

/// Two buffers of [`CHUNK`] bytes, kept from file to file: clearing them costs more than most files.
fn buffers<T>(act: impl FnOnce(&mut [u8], &mut [u8]) -> T) -> T {
    thread_local!(static KEPT: Cell<(Vec<u8>, Vec<u8>)> = const { Cell::new((Vec::new(), Vec::new())) });
    let (mut x, mut y) = KEPT.take();
    x.resize(CHUNK, 0);
    y.resize(CHUNK, 0);
    let r = act(&mut x, &mut y);
    KEPT.set((x, y));
    r
}

fn fill(f: &File, buf: &mut [u8], at: u64) -> io::Result<usize> {
    let mut n = 0;
    while n < buf.len() {
        match f.read_at(&mut buf[n..], at + n as u64) {
            Ok(0) => break,
            Ok(k) => n += k,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(n)
}

/// Whether two files hold the same bytes; `tick` hears of the bytes that were read.
pub fn same(a: &File, b: &File, tick: &dyn Fn(u64)) -> io::Result<bool> {
    buffers(|x, y| same_in(a, b, tick, x, y))
}

fn same_in(a: &File, b: &File, tick: &dyn Fn(u64), x: &mut [u8], y: &mut [u8]) -> io::Result<bool> {
    let mut at = 0;
    loop {
        check_stop()?;
        let (n, m) = (fill(a, x, at)?, fill(b, y, at)?);
        if x[..n] != y[..m] {
            return Ok(false);
        }
        tick(n as u64);
        if n < CHUNK {
            return Ok(true);
        }
        at += n as u64;
    }
}

/// Copies all data of `s` into the empty file `d`, keeping holes.
pub fn copy(s: &File, d: &File, tick: &dyn Fn(u64)) -> io::Result<()> {
    let size = s.metadata()?.len();
    rustix::fs::ftruncate(d, size)?;
    buffers(|buf, _| copy_in(s, d, tick, size, buf))
}

fn copy_in(s: &File, d: &File, tick: &dyn Fn(u64), size: u64, buf: &mut [u8]) -> io::Result<()> {
    let mut at = 0;
    while at < size {
        let data = match rustix::fs::seek(s, SeekFrom::Data(at)) {
            Ok(p) => p,
            Err(Errno::NXIO) => size,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(e) => return Err(e.into()),
        };
        let end = match rustix::fs::seek(s, SeekFrom::Hole(data)) {
            Ok(p) if p > data => p,
            _ => size,
        };
        tick(data.min(size) - at);
        at = data;
        while at < end {
            check_stop()?;
            let want = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let n = fill(s, &mut buf[..want], at)?;
            if n == 0 {
                return Ok(());
            }
            d.write_all_at(&buf[..n], at)?;
            tick(n as u64);
            at += n as u64;
        }
    }
    Ok(())
}

/// Makes the bytes of `d` those of `s` without making a new file: only differing blocks are written,
/// and a block of zeros becomes a hole where the file system can.
pub fn rewrite(s: &File, d: &File, tick: &dyn Fn(u64)) -> io::Result<()> {
    let size = s.metadata()?.len();
    if d.metadata()?.len() != size {
        rustix::fs::ftruncate(d, size)?;
    }
    buffers(|x, y| rewrite_in(s, d, tick, size, x, y))
}

fn rewrite_in(
    s: &File,
    d: &File,
    tick: &dyn Fn(u64),
    size: u64,
    x: &mut [u8],
    y: &mut [u8],
) -> io::Result<()> {
    let mut at = 0u64;
    while at < size {
        check_stop()?;
        let n = fill(s, x, at)?;
        if n == 0 {
            break;
        }
        let m = fill(d, &mut y[..n], at)?;
        y[m..n].fill(0);
        for (i, (want, have)) in x[..n].chunks(BLOCK).zip(y[..n].chunks(BLOCK)).enumerate() {
            if want == have {
                continue;
            }
            let pos = at + (i * BLOCK) as u64;
            let zero = want.iter().all(|&b| b == 0);
            let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            if !zero || rustix::fs::fallocate(d, hole, pos, want.len() as u64).is_err() {
                d.write_all_at(want, pos)?;
            }
        }
        tick(n as u64);
        at += n as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    fn file(dir: &std::path::Path, name: &str) -> File {
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(dir.join(name))
            .unwrap()
    }

    #[test]
    fn holes_stay_and_rewriting_keeps_the_inode() {
        let dir = std::env::temp_dir().join(format!("mirror-content-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (s, d) = (file(&dir, "s"), file(&dir, "d"));
        s.write_all_at(b"end", 8 << 20).unwrap();
        s.write_all_at(b"start", 0).unwrap();
        copy(&s, &d, &|_| {}).unwrap();
        assert!(same(&s, &d, &|_| {}).unwrap());
        assert!(d.metadata().unwrap().blocks() * 512 < 1 << 20);
        d.write_all_at(&[7; 70_000], 3 << 20).unwrap();
        d.write_all_at(b"longer", 9 << 20).unwrap();
        assert!(!same(&s, &d, &|_| {}).unwrap());
        rewrite(&s, &d, &|_| {}).unwrap();
        assert!(same(&s, &d, &|_| {}).unwrap());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
