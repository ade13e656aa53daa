//! "Make this object equal, from one leg to the other", call by call: name, bytes, size, owner, extended
//! attributes, mode, time. To compare: `shim/src/repair/heal.rs`, `copying.rs` and `both.rs`.
use crate::effect::Need;
use crate::fault::{Place, Sabotage};
use crate::legs::PIECE;
use crate::port::Port;
use crate::proc::Proc;
use crate::tree::{Body, Ino};
use crate::world::{Record, World};
use mirror_core::Errno;
use mirror_core::Leg;

const ALONE: &[Need] = &[Need::Alone];

/// What is made equal.
#[derive(Clone, Copy, Debug)]
pub enum What {
    /// The n-th name of a record, with the directories above it.
    Trail(usize),
    /// The first name of a record, in directories that both legs have.
    Name,
    /// The file behind its descriptor.
    Object,
}

/// A call of it, or several of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Piece(usize),
    Size,
    Owner,
    Set,
    Unset,
    Mode,
    Time,
}

impl World {
    /// The two objects.
    fn both(&self, r: &Record, from: Leg, what: What) -> Option<(Ino, Ino)> {
        let named = |leg: Leg, n: usize| self.legs[leg].lookup(r.op.paths().get(n)?).ok();
        let object =
            |leg: Leg| r.object[leg].or_else(|| self.there(leg.other(), r.object[leg.other()]));
        let of = |leg: Leg| match what {
            What::Trail(n) => named(leg, n),
            What::Name => named(leg, 0),
            What::Object => object(leg),
        };
        Some((of(from)?, of(from.other())?))
    }

    /// The name; and how many pieces are to be copied, from where, is noted.
    fn begin_equal(
        &mut self,
        p: &mut Proc,
        r: &Record,
        (from, what): (Leg, What),
        range: Option<(u64, u64)>,
    ) -> Result<u64, Errno> {
        self.met(p, from.other(), Place::Effect)?;
        if self.disks[from].gone {
            return Err(Errno::EIO);
        }
        match what {
            What::Trail(n) => {
                let path = r.op.paths()[n].to_owned();
                self.heal_name(p.pid, &path, from)?;
            }
            What::Name => self.equal_name(p, r, from)?,
            What::Object => {}
        }
        let Some((s, t)) = self.both(r, from, what) else {
            return Ok(0);
        };
        let (f, t) = (
            &self.legs[from].node(s).body,
            &self.legs[from.other()].node(t).body,
        );
        if !f.same_type(t) {
            return Err(Errno::EEXIST);
        }
        let size = f.size() as u64;
        // A longer copy says that the intent is not the last word about this file.
        let (start, len) = range.filter(|_| f.size() >= t.size()).unwrap_or((0, size));
        let start = start.min(size);
        p.span = (start as usize, start.saturating_add(len).min(size) as usize);
        Ok(((p.span.1 - p.span.0).div_ceil(PIECE)) as u64)
    }

    /// One name in directories that both legs have.
    fn equal_name(&mut self, p: &Proc, r: &Record, from: Leg) -> Result<(), Errno> {
        let path = r.op.paths()[0].to_owned();
        let (ds, name) = self.legs[from].parent(&path)?;
        let (dt, _) = self.legs[from.other()].parent(&path)?;
        let s = self.legs[from].entry(ds, name).ok();
        let t = self.legs[from.other()].entry(dt, name).ok();
        if let (Some(s), Some(t)) = (s, t) {
            let f = &self.legs[from].node(s).body;
            if !f.same_type(&self.legs[from.other()].node(t).body) {
                return Err(Errno::EEXIST);
            }
        }
        self.heal_entry(p.pid, from, (ds, dt), name, s)
    }

    fn part(
        &mut self,
        p: &mut Proc,
        from: Leg,
        (s, t): (Ino, Ino),
        part: Part,
    ) -> Result<(), Errno> {
        let good = self.legs[from].node(s);
        let now = self.legs[from.other()].node(t);
        let mut then = now.clone();
        match (part, &good.body, &mut then.body) {
            (Part::Piece(n), Body::File(good), Body::File(bytes)) => {
                let start = p.span.0 + n * PIECE;
                let end = (start + PIECE).min(p.span.1).min(good.len());
                if start < end {
                    bytes.resize(bytes.len().max(end), 0);
                    bytes[start..end].copy_from_slice(&good[start..end]);
                }
            }
            (Part::Size, Body::File(good), Body::File(bytes)) => bytes.resize(good.len(), 0),
            (Part::Owner, ..) => then.meta.uid = good.meta.uid,
            (Part::Set, ..) => {
                let all = good.meta.xattrs.iter();
                then.meta
                    .xattrs
                    .extend(all.map(|(k, v)| (k.clone(), v.clone())));
            }
            (Part::Unset, ..) => then
                .meta
                .xattrs
                .retain(|k, _| good.meta.xattrs.contains_key(k)),
            (Part::Mode, ..) => then.meta.mode = good.meta.mode,
            (Part::Time, ..) => then.meta.mtime = good.meta.mtime,
            _ => {}
        }
        // What is equal is left alone: to write it would take capabilities away.
        let rewrites =
            self.sabotage == Some(Sabotage::Capabilities) && matches!(part, Part::Piece(_));
        if then == *now && !rewrites {
            return Ok(());
        }
        if matches!(part, Part::Piece(_) | Part::Size | Part::Owner)
            && matches!(then.body, Body::File(_))
        {
            then.meta.strip();
        }
        self.met(p, from.other(), Place::Effect)?;
        *self.change(p.pid, from.other(), ALONE).node_mut(t) = then;
        Ok(())
    }
}

/// With the leg that is read as it was when it was read.
fn from_image<T>(
    w: &mut World,
    p: &mut Proc,
    from: Leg,
    write: impl FnOnce(&mut World, &mut Proc) -> T,
) -> T {
    let Some(image) = p.image.clone() else {
        return write(w, p);
    };
    let now = std::mem::replace(&mut w.legs[from], image);
    let done = write(w, p);
    w.legs[from] = now;
    done
}

impl Port<'_> {
    /// Heals a record's objects from its first leg, one after the other. The first error ends it.
    pub(crate) fn heal_record(&self, r: &Record) -> Result<(), Errno> {
        for n in 0..r.op.paths().len() {
            self.equal(r, r.first, What::Trail(n), None)?;
        }
        self.equal(r, r.first, What::Object, None)
    }

    /// A leg is read, then the other one is written.
    pub(crate) fn equal(
        &self,
        r: &Record,
        from: Leg,
        what: What,
        range: Option<(u64, u64)>,
    ) -> Result<(), Errno> {
        let (path, sabotage) = self.look(|w, _| {
            let desc = r.op.slot().and_then(|s| w.descs.get(s.min(1)));
            (desc.map(|d| d.path.clone()), w.sabotage)
        });
        self.step((), |w, p| p.image = Some(w.legs[from].clone()));
        let pieces = self.step(Err(Errno::EIO), |w, p| {
            from_image(w, p, from, |w, p| match path {
                // A path in place of inodes.
                Some(path) if sabotage == Some(Sabotage::Intent) => {
                    w.heal_name(p.pid, &path, from).map(|()| 0)
                }
                _ => w.begin_equal(p, r, (from, what), range),
            })
        })?;
        let bytes = (0..pieces as usize).map(Part::Piece);
        let rest = [
            Part::Size,
            Part::Owner,
            Part::Set,
            Part::Unset,
            Part::Mode,
            Part::Time,
        ];
        let parts: Vec<Part> = match sabotage {
            Some(Sabotage::Zeros) => [Part::Size]
                .into_iter()
                .chain(bytes.take(1))
                .chain(rest)
                .collect(),
            Some(Sabotage::Capabilities) => {
                let some = rest.into_iter().filter(|p| *p != Part::Set);
                [Part::Set].into_iter().chain(bytes).chain(some).collect()
            }
            Some(Sabotage::Stale) => bytes
                .chain(rest.into_iter().filter(|p| *p != Part::Unset))
                .collect(),
            _ => bytes.chain(rest).collect(),
        };
        for part in parts {
            self.step(Ok(()), |w, p| {
                from_image(w, p, from, |w, p| match w.both(r, from, what) {
                    Some(both) => w.part(p, from, both, part),
                    None => Ok(()),
                })
            })?;
        }
        self.note((), |_, p| p.image = None);
        Ok(())
    }
}
