//! A change of attributes, from the program's arguments to the answer.
use crate::calls::args::{copy_path, verdict};
use crate::calls::at_place::at_place;
use crate::calls::attributes::call::{Kind, Request, is_cwd, parse};
use crate::calls::attributes::set::Attr;
use crate::calls::paired::outer;
use crate::calls::paired::recognise::{Fd, behind, recognise};
use crate::change::job::Job;
use crate::change::port::{Ran, run};
use crate::change::target::Target;
use crate::path::beside;
use crate::path::loc::{Last, Loc, Path, Place};
use crate::path::resolve::{locate, locate_slow};
use crate::process::fds;
use crate::regs::{DONE, NATIVE, Regs, arg, copy_of, fail, fd_arg};
use core::sync::atomic::Ordering;
use libc as c;
use mirror_core::Errno;
use mirror_core::runtime::IntentKind;
use mirror_sys as sys;

/// The family's entry.
#[inline(never)]
pub fn attribute(regs: &mut Regs) -> usize {
    let Some(mut call) = parse(regs) else {
        return NATIVE;
    };
    let mut text = Path::new();
    if is_cwd(regs, &call) {
        call.path = arg(regs, 1);
        call.last = Last::Follow;
        let _ = text.set(b".");
    }
    let copy = copy_of(regs);
    let kind = match call.kind {
        Kind::Truncate(_) => IntentKind::Truncate,
        Kind::Marks(_) => IntentKind::Marks,
        _ => IntentKind::Attributes,
    };
    let mut loc = Loc::new();
    let by_fd;
    let mut place;
    if call.path == 0 {
        (place, by_fd) = by_number(fd_arg(regs, 0), &mut loc);
    } else {
        if text.is_empty() && copy_path(call.path, &mut text).is_none() {
            return NATIVE;
        }
        place = locate(call.dir, &text, call.last, &mut loc);
        by_fd = through(&mut place, &mut loc);
    }
    let asked = Asked {
        call,
        regs: &copy,
        text: &text,
        kind,
    };
    let v = at_place(
        regs,
        (place, by_fd),
        &mut loc,
        |loc, found, tries| asked.again(loc, found, tries),
        |regs, found, loc, tries| asked.run(regs, found, loc, tries),
    );
    // That it is looked for anywhere is the library's affair.
    if v == DONE && call.path == 0 && (regs.nr as isize) < 0 && names_only(fd_arg(&copy, 0)) {
        (regs.nr, regs.args) = (copy.nr, copy.args);
        return NATIVE;
    }
    v
}

/// Whether a descriptor only names an object: the kernel changes nothing by it alone.
#[cold]
fn names_only(n: i32) -> bool {
    sys::fcntl(n, c::F_GETFL, 0).is_ok_and(|f| f as i32 & c::O_PATH != 0)
}

/// By a descriptor of the program's.
fn by_number(n: i32, loc: &mut Loc) -> Found {
    match recognise(n, loc) {
        Fd::Out(proof) => (Place::Out(proof), None),
        Fd::Lost(e) => (Place::Fail(e), None),
        Fd::Paired => {
            if let Some(i) = fds::info(n) {
                loc.pair = usize::from(i.pair.load(Ordering::Relaxed));
                loc.leg = i.leg();
                let mut buf = [0u8; 232];
                loc.set_text(i.path(&mut buf));
            }
            (Place::In, Some((n, true)))
        }
        Fd::Bare if loc.rel.is_empty() => (Place::Root(false), Some((n, false))),
        Fd::Bare => (Place::In, Some((n, false))),
    }
}

/// Where an attribute is, and the descriptor that leads there: does it have a partner?
type Found = (Place, Option<(i32, bool)>);

/// What the call has asked for.
struct Asked<'a> {
    call: Request,
    regs: &'a Regs,
    text: &'a Path,
    kind: IntentKind,
}

impl Asked<'_> {
    /// Looks slowly for what has misled.
    fn again(&self, loc: &mut Loc, (_, by_fd): Found, tries: usize) -> Found {
        if self.call.path == 0 && matches!(by_fd, Some((_, true))) {
            // It has lost its partner, or is another's.
            return by_number(fd_arg(self.regs, 0), loc);
        }
        if self.call.path == 0 {
            let place = match crate::path::object::sought(fd_arg(self.regs, 0), loc) {
                Place::Nameless | Place::Linked if tries < 8 => Place::In,
                p => p,
            };
            return (place, by_fd);
        }
        let mut place = locate_slow(self.call.dir, self.text, self.call.last, loc);
        let by_fd = through(&mut place, loc);
        (place, by_fd)
    }

    /// The answer, at this place; `None`: it misled.
    fn run(
        &self,
        regs: &mut Regs,
        (place, by_fd): Found,
        loc: &mut Loc,
        tries: usize,
    ) -> Option<usize> {
        let mut call = self.call;
        if loc.jump.is_some() {
            // The link's end is the object, also where that is a symlink.
            call.last = Last::Keep;
        }
        let root = match place {
            Place::Linked | Place::Nameless if matches!(by_fd, Some((_, true))) => false,
            // It lives somewhere in the leg, and where is not known: nothing is changed.
            Place::Linked => return Some(fail(regs, Errno::EIO)),
            Place::Out(_) | Place::Nameless => {
                if call.path != 0 {
                    outer::changed(beside::at(
                        call.dir,
                        self.text,
                        self.call.last == Last::Follow,
                    ));
                }
                return Some(NATIVE);
            }
            Place::Control => return Some(fail(regs, Errno::ENOENT)),
            Place::Fail(e) => return Some(fail(regs, e)),
            // The symlink V itself is nobody's component.
            Place::Root(true) if call.last == Last::Keep => return Some(NATIVE),
            Place::Root(_) => true,
            Place::In => false,
        };
        if root && matches!(call.kind, Kind::Truncate(_)) {
            return Some(NATIVE);
        }
        // "name/" is followed by the kernel: through a symlink that might lead from one leg to the other.
        let slash = loc.slash && call.path != 0;
        if slash {
            call.last = Last::Follow;
            let bare = loc.name.len().saturating_sub(1);
            if loc.name.as_bytes().last() == Some(&b'/') {
                loc.name.truncate(bare);
            }
        }
        let mut t = Target::new(loc);
        let mut change = Attr {
            call,
            regs: self.regs,
            by_fd,
            before: None,
            root,
            slash,
            directory: slash,
            again: tries.saturating_add(1) == crate::calls::args::TRIES,
            caps: None,
            second: -1,
            marks: None,
            other: None,
            part: false,
        };
        let job = Job::at(loc, self.kind);
        match run(job, [Some(&mut t), None], &mut change) {
            Ran::Unresolved => None,
            ran => Some(verdict(regs, ran)),
        }
    }
}

/// The descriptor of this process that a magic link led to, and whether it has a partner.
fn through(place: &mut Place, loc: &mut Loc) -> Option<(i32, bool)> {
    match behind(*place, loc) {
        Ok(Some(n)) => return Some((n, true)),
        Ok(None) => {}
        Err(e) => *place = Place::Fail(e),
    }
    let own = loc.jump.filter(|j| j.fd >= 0 && *place == Place::In);
    own.map(|j| (j.fd, false))
}
