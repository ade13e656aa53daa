//! Ending a change that was announced and not ended, as the library and the command do it:
//! [`mirror_pair::carry_out`] on the model.
//!
//! One thing is simpler here: a descriptor's file is found by its inode. The others know a name for it,
//! and record the object where that name is another file's by now.
use crate::effect::{At, Need, effect, moves_directory};
use crate::fault::{Place, Sabotage};
use crate::op::{How, Op};
use crate::port::Port;
use crate::proc::Proc;
use crate::tree::{Body, Ino};
use crate::world::{Record, World};
use mirror_core::repair::{Act, Names, Seen};
use mirror_core::runtime::{AT_END, Intent, IntentKind};
use mirror_core::{Action, BothLocked, Errno, Where};
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
            _ => IntentKind::Attributes,
        }
    }
}

impl World {
    /// The intent of the call under way.
    pub fn intent_of(&self, p: &Proc) -> Intent {
        let c = &p.call;
        let mut i = Intent::of(c.op.kind(), p.first as u8);
        for (leg, ino) in i.inode.iter_mut().enumerate() {
            let named = || self.legs[leg].lookup(c.op.paths().first()?).ok();
            *ino = c.object[leg].or_else(named).map_or(0, u64::from);
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
        let seen = |leg: usize, ino: Option<Ino>| {
            ino.map(|i| Seen {
                inode: u64::from(i),
                size: self.legs[leg].bytes(i).map_or(0, |b| b.len() as u64),
            })
        };
        if r.op.slot().is_some() {
            let object =
                |leg: usize| r.object[leg].or_else(|| self.there(1 - leg, r.object[1 - leg]));
            return [[0, 1].map(|leg| seen(leg, object(leg))), [None; 2]];
        }
        let paths = r.op.paths();
        [0, 1].map(|n| [0, 1].map(|leg| seen(leg, self.legs[leg].lookup(paths.get(n)?).ok())))
    }

    /// The change that one leg has, on the other.
    fn again(&mut self, p: &mut Proc, r: &Record, act: Act, leg: usize) -> Result<(), Errno> {
        self.met(p, leg, Place::Effect)?;
        if self.disks[1 - leg].gone {
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

    /// What the first name is, or the descriptor's file, is made like what it is on leg `from`.
    fn equal(
        &mut self,
        p: &mut Proc,
        r: &Record,
        from: usize,
        range: Option<(u64, u64)>,
    ) -> Result<(), Errno> {
        self.met(p, 1 - from, Place::Effect)?;
        if self.disks[from].gone {
            return Err(Errno::EIO);
        }
        if let (Some(Sabotage::Intent), Some(s)) = (self.sabotage, r.op.slot()) {
            let path = self.descs[s.min(1)].path.clone();
            return self.heal_name(p.pid, &path, from);
        }
        let Some(path) = r.op.paths().first().map(|&p| p.to_owned()) else {
            let object =
                |leg: usize| r.object[leg].or_else(|| self.there(1 - leg, r.object[1 - leg]));
            if let (Some(s), Some(t)) = (object(from), object(1 - from)) {
                self.sync_range(p.pid, from, (s, t), range);
            }
            return Ok(());
        };
        let (ds, name) = self.legs[from].parent(&path)?;
        let (dt, _) = self.legs[1 - from].parent(&path)?;
        let s = self.legs[from].entry(ds, name).ok();
        let t = self.legs[1 - from].entry(dt, name).ok();
        if let (Some(s), Some(t)) = (s, t) {
            let (f, t) = (
                &self.legs[from].node(s).body,
                &self.legs[1 - from].node(t).body,
            );
            if !f.same_type(t) {
                return Err(Errno::EEXIST);
            }
        }
        self.heal_entry(p.pid, from, (ds, dt), name, s)
    }

    /// Attributes, and of a file's bytes the range and what lies behind the shorter one's end.
    fn sync_range(
        &mut self,
        pid: usize,
        from: usize,
        (s, t): (Ino, Ino),
        range: Option<(u64, u64)>,
    ) {
        let node = self.legs[from].node(s).clone();
        let there = self.change(pid, 1 - from, ALONE).node_mut(t);
        there.meta = node.meta;
        let (Body::File(good), Body::File(bytes)) = (&node.body, &mut there.body) else {
            return;
        };
        let whole = (0, good.len() as u64);
        // A longer copy says that the intent is not the last word about this file.
        let range = range.filter(|_| good.len() >= bytes.len());
        let (start, len) = range.unwrap_or(whole);
        bytes.resize(good.len(), 0);
        let end = start.saturating_add(len).min(whole.1) as usize;
        let start = (start as usize).min(end);
        bytes[start..end].copy_from_slice(&good[start..end]);
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
        };
        match end(&mut e, &r.intent, held) {
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
}

impl Ground for Ending<'_, '_> {
    type Error = Errno;
    fn look(&mut self) -> Result<Names, Errno> {
        let at = (self.n, self.looks);
        self.looks += 1;
        let look = |w: &mut World, p: &mut Proc| {
            let seen = w.seen(self.r);
            p.seen.insert(at, seen);
        };
        match at.1 {
            0 => self.port.step((), look),
            // Everybody else is kept out since the call.
            _ => self.port.note((), look),
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
        self.port.step(Ok(()), |w, p| w.again(p, self.r, act, leg))
    }
    fn equal(
        &mut self,
        from: usize,
        range: Option<(u64, u64)>,
        _: &BothLocked,
    ) -> Result<(), Errno> {
        self.port
            .read_then(from, |w, p| w.equal(p, self.r, from, range))
    }
    /// No call of the model's changes any.
    fn marks(&mut self, _: usize, _: &Intent, _: &BothLocked) -> Result<(), Errno> {
        Err(Errno::ESTALE)
    }
    fn copied(&mut self, _: usize, _: &BothLocked) -> Result<bool, Errno> {
        Ok(false)
    }
}

#[cfg(test)]
#[path = "recover_tests.rs"]
mod tests;
