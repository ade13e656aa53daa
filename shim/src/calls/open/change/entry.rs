//! An open for change, from the program's arguments to the answer.
use crate::calls::args::{copy_path, verdict};
use crate::calls::at_place::at_place;
use crate::calls::open::change::{EXCLUSIVE, Open, REFUSED};
use crate::calls::open::flags::{OPEN_FLAGS, TMPFILE, probe_strict, without_effects};
use crate::calls::paired::outer;
use crate::calls::paired::recognise::behind;
use crate::calls::read_only;
use crate::change::deep::NOWHERE;
use crate::change::job::Job;
use crate::change::port::{Ran, run};
use crate::change::target::Target;
use crate::path::beside;
use crate::path::loc::{Last, Loc, Path, Place};
use crate::path::ruled;
use crate::process::limits::own_fd;
use crate::regs::{NATIVE, Regs, arg, fail};
use libc as c;
use mirror_core::Errno;
use mirror_core::PerLeg;
use mirror_core::calls::Call;
use mirror_core::runtime::IntentKind;
use mirror_sys as sys;

/// open, openat, creat that can change something.
#[inline(never)]
pub fn open(regs: &mut Regs) -> usize {
    let a = |i| arg(regs, i);
    let (dir, path, flags, mode) = match regs.call() {
        Some(Call::Openat) => (a(0) as i32, a(1), a(2) as i32, a(3) as u32),
        Some(Call::Open) => (c::AT_FDCWD, a(0), a(1) as i32, a(2) as u32),
        _ => (
            c::AT_FDCWD,
            a(0),
            c::O_CREAT | c::O_WRONLY | c::O_TRUNC,
            a(1) as u32,
        ),
    };
    opening(regs, dir, path, flags, mode, None)
}

#[inline(never)]
pub(super) fn opening(
    regs: &mut Regs,
    dir: i32,
    addr: usize,
    flags: i32,
    mode: u32,
    strict: Option<sys::OpenHow>,
) -> usize {
    let tmpfile = flags & TMPFILE == TMPFILE;
    // What the kernel drops or takes from open(2) and refuses from openat2(2).
    if flags & c::O_PATH != 0 || (!tmpfile && flags & (c::O_ACCMODE | c::O_CREAT | c::O_TRUNC) == 0)
    {
        return crate::calls::readers::look(regs);
    }
    if tmpfile && flags & c::O_ACCMODE == c::O_RDONLY {
        // Refused before the path is looked at.
        return NATIVE;
    }
    let flags = flags & OPEN_FLAGS;
    if flags & (c::O_CREAT | c::O_DIRECTORY) == c::O_CREAT | c::O_DIRECTORY {
        // As Linux 6.4 and later say; earlier ones would make a file.
        return fail(regs, Errno::EINVAL);
    }
    if flags & c::O_DIRECTORY != 0 && !tmpfile {
        // No directory is opened for change, and nothing else: the kernel says which error that is.
        return crate::calls::readers::look(regs);
    }
    let mut text = Path::new();
    // With '/' behind the name nothing is ever made.
    let slash = |t: &Path| flags & c::O_CREAT != 0 && t.as_bytes().last() == Some(&b'/');
    if copy_path(addr, &mut text).is_none() || slash(&text) {
        return NATIVE;
    }
    let keep =
        flags & c::O_NOFOLLOW != 0 || flags & (c::O_CREAT | c::O_EXCL) == c::O_CREAT | c::O_EXCL;
    let last = if keep && (!tmpfile || flags & c::O_NOFOLLOW != 0) {
        Last::Keep
    } else {
        Last::Follow
    };
    let mut loc = Loc::new();
    let seek = |slow, loc: &mut Loc| {
        ruled::seek(strict.as_ref(), (dir, &text), (last, tmpfile), slow, loc)
    };
    let asked = Asked {
        dir,
        text: &text,
        flags,
        mode,
        last,
        strict,
    };
    let place = seek(false, &mut loc);
    at_place(
        regs,
        place,
        &mut loc,
        |loc, _, _| seek(true, loc),
        |regs, place, loc, nth| asked.run(regs, place, loc, nth == 0),
    )
}

/// What the call has asked for.
struct Asked<'a> {
    dir: i32,
    text: &'a Path,
    flags: i32,
    mode: u32,
    last: Last,
    strict: Option<sys::OpenHow>,
}

impl Asked<'_> {
    /// The answer, at this place; `None`: it misled. `first`: it was not asked for before.
    // long: what is no file of a leg, in its order, and the change
    fn run(&self, regs: &mut Regs, place: Place, loc: &mut Loc, first: bool) -> Option<usize> {
        let (dir, text, flags) = (self.dir, self.text, self.flags);
        let tmpfile = flags & TMPFILE == TMPFILE;
        match place {
            Place::In => {}
            Place::Root(_) if tmpfile => {}
            Place::Control => return Some(fail(regs, Errno::ENOENT)),
            // A symlink's text had '/' behind a name: nothing is made there, wherever that would have led.
            Place::Fail(_) if loc.slash && flags & c::O_CREAT != 0 => {
                return Some(fail(regs, Errno::EISDIR));
            }
            Place::Fail(e) => {
                let answer = self
                    .strict
                    .as_ref()
                    .and_then(|h| probe_strict(regs, h).err());
                return Some(answer.unwrap_or_else(|| fail(regs, e)));
            }
            Place::Out(_) if loc.deep => {
                return Some(crate::calls::open::deep::open(regs, dir, text, flags));
            }
            Place::Out(_) => {
                outer::changed(beside::at(dir, text, self.last == Last::Follow));
                return Some(NATIVE);
            }
            Place::Linked | Place::Nameless => {}
            Place::Root(_) => return Some(NATIVE),
        }
        // A descriptor may name a symlink, which is no directory and is not followed.
        if tmpfile
            && loc.jump.is_some()
            && let Err(e) = no_directory(dir, text)
        {
            return Some(fail(regs, e));
        }
        let open_file = match behind(place, loc) {
            _ if tmpfile => None,
            Ok(n) => n,
            Err(e) => return Some(fail(regs, e)),
        };
        if open_file.is_none() {
            match place {
                // It lives somewhere in the leg, and where is not known: nothing is changed.
                Place::Linked => return Some(fail(regs, Errno::EIO)),
                // Without a partner it is the program's alone; a link to it copies it to the other leg.
                Place::Nameless => return Some(NATIVE),
                _ => {}
            }
        }
        // "name/" opens a directory or nothing.
        if loc.slash && !tmpfile {
            return Some(NATIVE);
        }
        // The program set RESOLVE_* bits: what they forbid, the kernel shall say.
        if let Some(how) = &self.strict
            && let Err(v) = probe_strict(regs, how)
        {
            return Some(v);
        }
        if let Some(n) = open_file {
            return crate::calls::open::reopen::reopen(regs, n, flags, loc);
        }
        let mut change = Open {
            flags,
            mode: self.mode,
            slash: loc.slash,
            fd: NOWHERE,
            found: None,
            made: false,
            stat: PerLeg::default(),
            second: false,
            slot: -1,
            blind: first && flags & EXCLUSIVE == EXCLUSIVE,
            later: false,
            refused: false,
            emptied: false,
            ready: core::cell::Cell::new(false),
            kernels: core::cell::Cell::new(false),
        };
        loc.anchor.park();
        let mut t = Target::new(loc);
        let ran = run(
            Job::at(loc, IntentKind::Open),
            [Some(&mut t), None],
            &mut change,
        );
        Some(match ran {
            Ran::Unresolved => return None,
            Ran::Done(Err(_)) | Ran::Lone(Err(_)) if change.kernels.get() => NATIVE,
            Ran::Native => without_effects(regs),
            Ran::Done(Err(REFUSED)) if change.refused => fail(regs, Errno::EPERM),
            Ran::Done(Err(e)) | Ran::Lone(Err(e)) if !tmpfile && read_only::refuses(e) => {
                match read_only::of_open(dir, text, flags, e) {
                    Some(why) => fail(regs, why),
                    None => without_effects(regs),
                }
            }
            Ran::Done(Ok(n)) => change.opened(regs, n as i32, loc),
            ran => verdict(regs, ran),
        })
    }
}

/// What the kernel says of a name that is to lead to a directory.
#[cold]
#[inline(never)]
fn no_directory(dir: i32, text: &Path) -> sys::Sys<()> {
    let flags = c::O_PATH | c::O_DIRECTORY | c::O_CLOEXEC;
    let n = own_fd(|| sys::openat(dir, text, flags, 0))?;
    let _ = sys::close(n);
    Ok(())
}
