//! The return of a leg that was left behind: when it is part of the pair again.
use super::domain::Attached;
use super::runtime_files;
use crate::fail::{Context, Fail, Res};
use crate::text;
use crate::tree::object::std;
use mirror_core::owner::OWNER_SIZE;
use mirror_pair::away;
use rustix::fs::FlockOperation;
use std::os::fd::AsRawFd;

/// What must be so for leg b to be back at the end of a walk that found both legs equal: nobody worked on leg a
/// alone since the walk began.
pub struct Watch {
    /// How many programs had come by then. `None`: some were there.
    count: Option<u64>,
}

impl Watch {
    /// Before a walk.
    pub fn begin(p: &Attached) -> Res<Watch> {
        let alone = alone(p)?;
        let count = std(away::count(p.pair.legs.a.root.fd().as_raw_fd()))
            .about(text::path(&p.pair.line.virt))?;
        if alone {
            share(p)?;
        }
        Ok(Watch {
            count: alone.then_some(count),
        })
    }

    /// After a walk that found both legs equal: leg b is back. `false`: programs worked, or work, on leg a
    /// alone.
    pub fn end(&self, p: &Attached) -> Res<bool> {
        let root = p.pair.legs.a.root.fd().as_raw_fd();
        let about = || text::path(&p.pair.line.virt);
        if self.count.is_none() || !alone(p)? {
            return Ok(false);
        }
        // A child of a program that has ended may have its mappings, and be attached to nothing.
        let mapped = super::alone::any(&p.pair);
        let same = !mapped && Some(std(away::count(root)).about(about())?) == self.count;
        if same {
            // From here on nobody is attached, and nobody comes. The mark goes last: whoever stops on the way
            // leaves it, and leg b with it.
            for (leg, owner) in p.pair.legs.as_ref().zip(p.owners.as_ref()) {
                runtime_files::remove(&p.pair, leg);
                rustix::io::pwrite(owner, &[0; OWNER_SIZE], 0).about(about())?;
                rustix::fs::fdatasync(owner).about(about())?;
                leg.root.sync()?;
            }
            std(away::end(root)).about(about())?;
        }
        share(p)?;
        Ok(same)
    }
}

/// Whether nobody else is attached; then nobody can come until [`share`].
fn alone(p: &Attached) -> Res<bool> {
    match rustix::fs::flock(&p.owners.a, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => {
            share(p)?;
            Ok(false)
        }
        Err(e) => Err(Fail::io(text::path(&p.pair.line.virt), e)),
    }
}

fn share(p: &Attached) -> Res<()> {
    let owners = [p.owners.a.as_raw_fd(); 2];
    let pause = || std::thread::sleep(std::time::Duration::from_millis(1));
    std(mirror_pair::domain::share(owners.into(), pause)).about(text::path(&p.pair.line.virt))
}
