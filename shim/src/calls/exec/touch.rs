//! Whether a program that is about to start, and cannot be mirrored, has to do with a pair: its current
//! directory, its own file, an argument, a descriptor.
//!
//! Rules: nothing is opened for longer than a look; the program's strings are copied a piece at a time; what
//! cannot be told is said to be so.
use crate::calls::paired::recognise::{Fd, recognise};
use crate::config::{CONFIG, Member, member};
use crate::path::loc::{Last, Loc, Path, Place};
use crate::path::resolve::locate;
use crate::process::fds;
use crate::user::Array;
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::unmirrored::touch;
use mirror_core::{Errno, MAX_PAIRS, RESERVED};
use mirror_sys as sys;

/// Arguments whose text is looked at.
const TEXTS: usize = 4096;
/// Arguments that the kernel is asked about.
const ASKED: usize = 64;

/// What touches each pair.
pub struct Touched([u8; MAX_PAIRS]);

impl Touched {
    /// What touches a pair of this process, as it goes on.
    #[inline(never)]
    pub fn of_self() -> Touched {
        let mut t = Touched([0; MAX_PAIRS]);
        t.here();
        t.descriptors(0);
        t
    }

    /// A descriptor of this pair, or of any.
    pub fn of_descriptor(pair: Option<usize>) -> Touched {
        let mut t = Touched([0; MAX_PAIRS]);
        match pair {
            Some(pair) => t.mark(pair, touch::DESCRIPTOR),
            None => t.unsure(),
        }
        t
    }

    fn here(&mut self) {
        let mut here = Path::new();
        let _ = here.set(b".");
        self.place(c::AT_FDCWD, &here, touch::CWD);
    }

    /// Looks at everything.
    #[inline(never)]
    pub fn of(dir: i32, file: &Path, argv: usize) -> Touched {
        let mut t = Touched([0; MAX_PAIRS]);
        t.here();
        if !file.is_empty() {
            t.place(dir, file, touch::ARGUMENT);
        }
        t.arguments(argv);
        t.descriptors(c::FD_CLOEXEC);
        t
    }

    /// What touches a pair; 0: nothing.
    pub fn bits(&self, pair: usize) -> u8 {
        self.0.get(pair).copied().unwrap_or(0)
    }

    /// One thing more.
    pub fn mark(&mut self, pair: usize, bits: u8) {
        if let Some(b) = self.0.get_mut(pair) {
            *b |= bits;
        }
    }

    /// It may have to do with any of them.
    fn unsure(&mut self) {
        for pair in 0..CONFIG.get().pairs().len() {
            self.mark(pair, touch::UNSURE);
        }
    }

    fn place(&mut self, dir: i32, path: &Path, bits: u8) {
        let mut loc = Loc::new();
        match locate(dir, path, Last::Follow, &mut loc) {
            Place::In | Place::Root(_) | Place::Nameless | Place::Linked => {
                self.mark(loc.pair, bits)
            }
            // In a control folder.
            Place::Control => self.text(path.as_bytes(), bits),
            // An argument need not be a path at all.
            Place::Fail(e) if bits == touch::CWD || e == Errno::EIO => self.unsure(),
            Place::Fail(_) | Place::Out(_) => {}
        }
    }

    /// Paths that stand somewhere in an argument: `--to=/srv/data/x`, `-o/srv/data/x`.
    fn text(&mut self, all: &[u8], bits: u8) {
        for (at, _) in all.iter().enumerate().filter(|(_, b)| **b == b'/') {
            let before = at.checked_sub(1).and_then(|i| all.get(i));
            let option = at == 2 && all.first() == Some(&b'-');
            if before.is_some_and(in_a_name) && !option {
                continue;
            }
            let rest = all.get(at..).unwrap_or(&[]);
            let end = rest
                .iter()
                .position(|b| !in_a_name(b))
                .unwrap_or(rest.len());
            for text in [rest, rest.get(..end).unwrap_or(rest)] {
                if let Member::In(pair, ..) | Member::Root(pair, ..) = member(text) {
                    self.mark(pair, bits);
                }
            }
        }
    }

    fn arguments(&mut self, argv: usize) {
        if argv == 0 {
            return;
        }
        let mut array = Array::<usize>::new(argv);
        let (mut text, mut asked) = (Path::new(), 0usize);
        for i in 1..TEXTS {
            let Ok(at @ 1..) = array.get(i) else {
                return;
            };
            // One that is longer is no path.
            if crate::user::path(at, &mut text).is_err() {
                continue;
            }
            self.text(text.as_bytes(), touch::ARGUMENT);
            let value = text.as_bytes().iter().position(|b| *b == b'=');
            let value = value.and_then(|i| text.as_bytes().get(i.saturating_add(1)..));
            let mut path = Path::new();
            let (Some(_), false) = (
                path.set(value.unwrap_or(text.as_bytes())).ok(),
                asked >= ASKED,
            ) else {
                continue;
            };
            if !path.is_empty() && path.as_bytes().first() != Some(&b'-') {
                asked = asked.saturating_add(1);
                self.place(c::AT_FDCWD, &path, touch::ARGUMENT);
            }
        }
    }

    /// Those without one of these flags. A descriptor that is open for reading can change attributes.
    fn descriptors(&mut self, but: i32) {
        for n in 0..RESERVED {
            match sys::fd_flags(n) {
                Ok(f) if f & but == 0 => {}
                _ => continue,
            }
            let mut loc = Loc::new();
            match (recognise(n, &mut loc), fds::info(n)) {
                (Fd::Paired, Some(i)) if fds::hint(n) == fds::PAIRED => {
                    self.mark(
                        usize::from(i.pair.load(Ordering::Relaxed)),
                        touch::DESCRIPTOR,
                    );
                }
                (Fd::Paired | Fd::Bare, _) => self.mark(loc.pair, touch::DESCRIPTOR),
                (Fd::Lost(_), _) => self.unsure(),
                (Fd::Out(_), _) => {}
            }
        }
    }
}

/// Whether a byte is part of a path's text, and no sign between texts.
fn in_a_name(b: &u8) -> bool {
    b.is_ascii_alphanumeric() || b"._-/~+%@".contains(b) || *b >= 0x80
}
