//! A write that the second leg has refused is taken back on the first.
use mirror_core::{Errno, Refused, Untouched};
use mirror_sys as sys;
use mirror_sys::Sys;

/// The bytes `from..to` of the first leg's file `n` are again what the second leg's `m` still holds there,
/// and the file is no longer than that. In part: some of them are.
#[cold]
#[inline(never)]
pub fn from_second(
    n: i32,
    m: i32,
    from: u64,
    to: u64,
    source: &Untouched<'_>,
) -> Result<(), Refused> {
    let mut begun = false;
    brought_back((n, m), from, to, &mut begun, source).map_err(|e| Refused::after(begun, e))
}

fn brought_back(
    (n, m): (i32, i32),
    from: u64,
    to: u64,
    begun: &mut bool,
    _: &Untouched<'_>,
) -> Sys<()> {
    let end = sys::fstat(m)?.size();
    let mut at = from;
    let mut buf = [0u8; 4096];
    while at < to.min(end) {
        let want = to.min(end).saturating_sub(at).min(4096) as usize;
        let k = sys::pread(m, buf.get_mut(..want).unwrap_or(&mut []), at)?;
        if k == 0 {
            break;
        }
        let mut done = 0usize;
        while done < k {
            let rest = buf.get(done..k).unwrap_or(&[]);
            match sys::pwrite(n, rest, at.saturating_add(done as u64))? {
                0 => return Err(Errno::EIO),
                more => done = done.saturating_add(more),
            }
            *begun = true;
        }
        at = at.saturating_add(k as u64);
    }
    if sys::fstat(n)?.size() > end {
        sys::ftruncate(n, end)?;
    }
    Ok(())
}
