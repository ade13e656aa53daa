//! Ending a change that was announced and not ended, as the library and the command do it:
//! [`mirror_pair::carry_out`] on the model.
//!
//! One thing is simpler here: a descriptor's file is found by its inode. The others know a name for it,
//! and record the object where that name is another file's by now.
use crate::effect::{At, Need, effect, moves_directory};
use crate::equal::What;
use crate::fault::{Place, Sabotage};
use crate::op::{How, Op, Range};
use crate::port::Port;
use crate::proc::Proc;
use crate::tree::Ino;
use crate::world::{Record, World};
use mirror_core::repair::{Act, Names, OneName, Seen};
use mirror_core::runtime::{AT_END, Intent, IntentKind};
use mirror_core::{Action, BothLocked, Errno, Leg, Where};
use mirror_pair::carry_out::{Ground, end};

const ALONE: &[Need] = &[Need::Alone];

impl Op {
    /// What its intent says.
    fn kind(&self) -> IntentKind {
        match self {
            Op::Write { .. } | Op::PWrite { .. } => IntentKind::Write,
            Op::Truncate { .. } | Op::FTruncate { .. } => IntentKind::Truncate,
            Op::Open { .. } => IntentKind::Open,
            Op::Mkdir { .. } => IntentKind::Mkdir,
            Op::Symlink { .. } => IntentKind::Symlink,
            Op::Link { .. } => IntentKind::Link,
            Op::Unlink { .. } => IntentKind::Unlink,
            Op::Rmdir { .. } => IntentKind::Rmdir,
            Op::Rename {
                how: How::Exchange, ..
            } => IntentKind::Exchange,
            Op::Rename { .. } => IntentKind::Rename,
            Op::Mknod { .. } => IntentKind::Mknod,
            Op::Allocate { .. } if self.shifts() => IntentKind::Allocate,
            // Repair looks at these bytes and the size alone.
            Op::Allocate { .. } => IntentKind::Write,
            _ => IntentKind::Attributes,
        }
    }
}

impl World {
    /// The intent of the call under way.
    pub fn intent_of(&self, p: &Proc) -> Intent {
        let c = &p.call;
        let mut i = Intent::of(c.op.kind(), p.first);
        for leg in Leg::BOTH {
            let named = || self.legs[leg].lookup(c.op.paths().first()?).ok();
            i.inode[leg] = c.object[leg].or_else(named).map_or(0, u64::from);
        }
        if let Op::Allocate { how, at, len, .. } = *c.op {
            let size = c.object[p.first].and_then(|i| self.legs[p.first].bytes(i).ok());
            (i.offset, i.length) = match how {
                Range::Clear => (at as u64, len as u64),
                _ => (size.map_or(0, |b| b.len() as u64), 0),
            };
        }
        let desc = c.desc.and_then(|d| self.descs.get(d));
        if let (Some(data), Some(d)) = (c.op.data(), desc) {
            i.length = data.len() as u64;
            i.offset = match c.op.action(d.append) {
                Action::Write(Where::At(at)) => at,
                Action::Write(Where::End { .. }) => AT_END,
                _ => d.pos,
            };
        }
        i
    }

    /// What the names of an intent are on both legs.
    pub fn seen(&self, r: &Record) -> Names {
        let seen = |leg: Leg, ino: Option<Ino>| {
            ino.map(|i| Seen {
                inode: u64::from(i),
                size: self.legs[leg].bytes(i).map_or(0, |b| b.len() as u64),
            })
        };
        if r.op.slot().is_some() {
            let object =
                |leg: Leg| r.object[leg].or_else(|| self.there(leg.other(), r.object[leg.other()]));
            let one = OneName::by(|leg| seen(leg, object(leg)));
            return [one, OneName::default()];
        }
        let paths = r.op.paths();
        let found = |leg: Leg, n: usize| self.legs[leg].lookup(paths.get(n)?).ok();
        [0, 1].map(|n| OneName::by(|leg| seen(leg, found(leg, n))))
    }

    /// The change that one leg has, on the other.
    fn again(&mut self, p: &mut Proc, r: &Record, act: Act, leg: Leg) -> Result<(), Errno> {
        self.met(p, leg, Place::Effect)?;
        if self.disks[leg.other()].gone {
            return Err(Errno::EIO);
        }
        let paths: Vec<String> = r.op.paths().into_iter().map(str::to_owned).collect();
        let [one, two] = &paths[..] else {
            return Err(Errno::EINVAL);
        };
        let rename = |how| Op::Rename {
            from: one.clone(),
            to: two.clone(),
            how,
        };
        let op = match act {
            Act::Rename(_) => rename(How::Plain),
            Act::Exchange(_) => rename(How::Exchange),
            Act::Unlink(_) => Op::Unlink { path: two.clone() },
            _ => Op::Link {
                from: one.clone(),
                to: two.clone(),
            },
        };
        let at = At::find(&self.legs[leg], &op, None)?;
        self.moves += u64::from(moves_directory(&self.legs[leg], &op, &at));
        effect(self.change(p.pid, leg, ALONE), &op, &at).map(|_| ())
    }
}

impl Port<'_> {
    /// Ends the change of a record that was read as the `n`-th of this run.
    pub(crate) fn carry_out(&self, n: usize, r: &Record, held: &BothLocked) -> Result<(), Errno> {
        let mut e = Ending {
            port: self,
            r,
            n,
            looks: 0,
            acted: false,
        };
        let ended = end(&mut e, &r.intent, held);
        let wrongly = !e.acted && self.look(|w, _| w.sabotage == Some(Sabotage::False));
        match ended {
            Ok(true) if wrongly => Err(Errno::ESTALE),
            Ok(true) => Ok(()),
            Ok(false) => Err(Errno::ESTALE),
            Err(e) => Err(e),
        }
    }
}

/// A change that is being ended.
struct Ending<'a, 'b> {
    port: &'a Port<'b>,
    r: &'a Record,
    n: usize,
    looks: usize,
    /// Something is done.
    acted: bool,
}

impl Ground for Ending<'_, '_> {
    type Error = Errno;
    fn look(&mut self) -> Result<Names, Errno> {
        let at = (self.n, self.looks);
        self.looks += 1;
        let look = |w: &mut World, p: &mut Proc| {
            for leg in Leg::BOTH {
                w.met(p, leg, Place::Look)?;
            }
            let mut seen = w.seen(self.r);
            if w.sabotage == Some(Sabotage::OneLeg) {
                let first = self.r.first;
                seen = seen.map(|n| OneName::by(|_| n[first]));
            }
            p.seen.insert(at, seen);
            Ok(())
        };
        match at.1 {
            0 => self.port.step(Ok(()), look)?,
            // Everybody else is kept out since the call.
            _ => self.port.note(Ok(()), look)?,
        }
        Ok(self
            .port
            .look(|_, p| p.seen.get(&at).copied().unwrap_or_default()))
    }
    fn names(&mut self, act: Act, _: &BothLocked) -> Result<(), Errno> {
        let (Act::Rename(leg) | Act::Exchange(leg) | Act::Link(leg) | Act::Unlink(leg)) = act
        else {
            return Err(Errno::EINVAL);
        };
        self.acted = true;
        self.port.step(Ok(()), |w, p| w.again(p, self.r, act, leg))
    }
    fn equal(&mut self, from: Leg, range: Option<(u64, u64)>, _: &BothLocked) -> Result<(), Errno> {
        self.acted = true;
        let what = match self.r.op.slot() {
            Some(_) => What::Object,
            None => What::Name,
        };
        self.port.equal(self.r, from, what, range)
    }
    /// No call of the model's changes any.
    fn marks(&mut self, _: Leg, _: &Intent, _: &BothLocked) -> Result<(), Errno> {
        Err(Errno::ESTALE)
    }
    fn copied(&mut self, _: Leg, _: &BothLocked) -> Result<bool, Errno> {
        Ok(false)
    }
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
