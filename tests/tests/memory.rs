//! The library's own memory functions, in a program that has them in place of libc's: each length and
//! alignment up to some words beyond every border of theirs, against loops over bytes.
#[path = "../../shim/src/arch/mem.rs"]
mod mem;

use std::ffi::c_int;
use std::hint::black_box;

unsafe extern "C" {
    fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8;
    fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8;
    fn memset(to: *mut u8, byte: c_int, n: usize) -> *mut u8;
    fn memcmp(a: *const u8, b: *const u8, n: usize) -> c_int;
    fn bcmp(a: *const u8, b: *const u8, n: usize) -> c_int;
}

fn lengths() -> impl Iterator<Item = usize> {
    0..150
}

/// Bytes that differ from their neighbours.
fn sample() -> Vec<u8> {
    (0..2048u32).map(|i| (i * 37 + i / 7) as u8).collect()
}

/// What becomes of `bytes` when `n` of them at `from` go to `to`, and the rest stays.
fn moved(bytes: &[u8], to: usize, from: usize, n: usize) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for (o, b) in out[to..].iter_mut().zip(&bytes[from..]).take(n) {
        *o = *b;
    }
    out
}

#[test]
fn copies() {
    let all = sample();
    for n in lengths() {
        for (to, from) in (0..9).flat_map(|t| [0, 1, 7].map(|f| (1000 + t, f))) {
            let mut bytes = all.clone();
            let p = bytes.as_mut_ptr();
            // SAFETY: both ranges lie in the buffer and do not overlap.
            let r = unsafe { black_box(memcpy)(p.add(to), p.add(from), n) };
            assert_eq!(r as usize, p as usize + to);
            assert!(
                bytes == moved(&all, to, from, n),
                "{n} bytes from {from} to {to}"
            );
        }
    }
}

#[test]
fn moves() {
    let all = sample();
    for n in lengths() {
        for (to, from) in (0..40).flat_map(|t| [8, 16, 21].map(|f| (t, f))) {
            let mut bytes = all.clone();
            let p = bytes.as_mut_ptr();
            // SAFETY: both ranges lie in the buffer.
            let r = unsafe { black_box(memmove)(p.add(to), p.add(from), n) };
            assert_eq!(r as usize, p as usize + to);
            assert!(
                bytes == moved(&all, to, from, n),
                "{n} bytes from {from} to {to}"
            );
        }
    }
}

#[test]
fn fills() {
    let all = sample();
    for (n, at) in lengths().flat_map(|n| (0..9).map(move |at| (n, at))) {
        let mut bytes = all.clone();
        let p = bytes.as_mut_ptr();
        // SAFETY: the range lies in the buffer. Bits above the byte are not looked at.
        let r = unsafe { black_box(memset)(p.add(at), 0x7a5, n) };
        assert_eq!(r as usize, p as usize + at);
        let mut want = all.clone();
        want.iter_mut().skip(at).take(n).for_each(|b| *b = 0xa5);
        assert!(bytes == want, "{n} bytes at {at}");
    }
}

#[test]
fn compares() {
    let all = sample();
    for (n, at) in lengths().flat_map(|n| [0, 3].map(move |at| (n, at))) {
        let a = &all[..n];
        for differs in (0..=n).step_by(1 + n / 40) {
            for by in [1u8, 0x80, 0xff] {
                let mut b = vec![0; at];
                b.extend_from_slice(a);
                if let Some(d) = b.get_mut(at + differs) {
                    *d = d.wrapping_add(by);
                }
                let (p, q) = (a.as_ptr(), b[at..].as_ptr());
                // SAFETY: both have n bytes.
                let (ordered, equal) =
                    unsafe { (black_box(memcmp)(p, q, n), black_box(bcmp)(p, q, n)) };
                let want = a.iter().zip(&b[at..]).map(|(x, y)| x.cmp(y));
                let want = want.fold(std::cmp::Ordering::Equal, |o, c| o.then(c));
                assert_eq!(ordered.cmp(&0), want, "{n} bytes, byte {differs} by {by}");
                assert_eq!(equal == 0, want.is_eq());
            }
        }
    }
}
