//! "Make these objects equal from one leg to the other": repair, undo and resync.
use crate::effect::{At, Need, last};
use crate::op::Op;
use crate::tree::{Body, Ino};
use crate::world::{Pid, Record, World};
use mirror_core::Errno;
use std::collections::BTreeMap;

const ALONE: &[Need] = &[Need::Alone];

impl World {
    /// Makes the inode behind a record's descriptor equal, from its first leg.
    pub fn heal_object(&mut self, pid: Pid, r: &Record) {
        let here = r.object[r.first];
        let there = r.object[1 - r.first].or_else(|| self.there(r.first, here));
        if let (Some(s), Some(t)) = (here, there) {
            self.sync_node(pid, r.first, s, t);
        }
    }

    /// Makes one name equal, from leg `from`: same object, same content. So are the directories
    /// above it.
    pub fn heal_name(&mut self, pid: Pid, path: &str, from: usize) -> Result<(), Errno> {
        let trail = self.legs[from].trail(path);
        let trail: Vec<(Ino, String, Option<Ino>)> = trail
            .into_iter()
            .map(|(d, n, i)| (d, n.to_owned(), i))
            .collect();
        for (ds, name, s) in trail {
            let dt = self.there(from, Some(ds)).ok_or(Errno::ENOENT)?;
            self.heal_entry(pid, from, (ds, dt), &name, s)?;
        }
        Ok(())
    }

    /// Makes the directories above a path equal.
    pub fn heal_parents(&mut self, pid: Pid, path: &str, from: usize) -> Result<(), Errno> {
        match path.rsplit_once('/') {
            Some((dirs, _)) => self.heal_name(pid, dirs, from),
            None => Ok(()),
        }
    }

    pub(crate) fn heal_entry(
        &mut self,
        pid: Pid,
        from: usize,
        (ds, dt): (Ino, Ino),
        name: &str,
        s: Option<Ino>,
    ) -> Result<(), Errno> {
        let to = 1 - from;
        if !self.legs[to].is_dir(dt) || !self.legs[from].is_dir(ds) {
            return Err(Errno::ENOTDIR);
        }
        let t = s.map(|s| self.counterpart(pid, from, s));
        self.change(pid, to, ALONE).set(dt, name, t);
        Ok(())
    }

    /// The partner of `s` with the content of `s`, made if need be.
    fn counterpart(&mut self, pid: Pid, from: usize, s: Ino) -> Ino {
        let node = self.legs[from].node(s).clone();
        let to = 1 - from;
        if let Some(t) = self.there(from, Some(s))
            && self.legs[to].node(t).body.same_type(&node.body)
        {
            self.sync_node(pid, from, s, t);
            return t;
        }
        let body = match &node.body {
            Body::Dir(_) => Body::Dir(BTreeMap::new()),
            b => b.clone(),
        };
        let t = self.change(pid, to, ALONE).add(body, node.meta);
        self.pair(from, s, t);
        if let Body::Dir(d) = node.body {
            for (name, child) in d {
                let c = self.counterpart(pid, from, child);
                self.change(pid, to, ALONE).set(t, &name, Some(c));
            }
        }
        t
    }

    fn sync_node(&mut self, pid: Pid, from: usize, s: Ino, t: Ino) {
        let node = self.legs[from].node(s).clone();
        let there = self.change(pid, 1 - from, ALONE).node_mut(t);
        if !there.body.same_type(&node.body) {
            return;
        }
        there.meta = node.meta;
        // Entries of a directory are names of their own.
        if !matches!(node.body, Body::Dir(_)) {
            there.body = node.body;
        }
    }

    /// Takes a call on `leg` back: the names mean what they meant before, and attributes are taken
    /// from the partner. Touches nothing that the call has not touched.
    pub fn take_back(
        &mut self,
        pid: Pid,
        leg: usize,
        op: &Op,
        at: &At,
        before: [Option<Ino>; 2],
    ) -> Result<(), Errno> {
        let mut locked = crate::effect::needs(&self.legs[leg], op, at);
        if matches!(op, Op::Open { .. }) {
            // What was made has no other user yet.
            locked.retain(|n| matches!(n, Need::Dir(_)));
        }
        let object = match op {
            _ if op.attributes() => before[0],
            _ => at.object,
        };
        if let Some(here) = object {
            let there = self.there(leg, object).ok_or(Errno::EIO)?;
            let meta = self.legs[1 - leg].node(there).meta.clone();
            self.change(pid, leg, &locked).node_mut(here).meta = meta;
            return Ok(());
        }
        let made = matches!(
            op,
            Op::Open { .. } | Op::Mkdir { .. } | Op::Symlink { .. } | Op::Rename { .. }
        );
        for (n, &was) in before.iter().enumerate().take(op.paths().len()) {
            // A link has made its second name only.
            if made || n == 1 {
                let (d, name) = at.name(op, n)?;
                self.change(pid, leg, &locked).set(d, name, was);
            }
        }
        Ok(())
    }

    /// Whether a call's objects are on both legs what they are on the first.
    pub fn objects_equal(&self, r: &Record) -> bool {
        let (a, b) = (&self.legs[r.first], &self.legs[1 - r.first]);
        let whole = r.op.attributes()
            || matches!(&*r.op, Op::Truncate { .. } | Op::Open { trunc: true, .. });
        let same = |i: Ino, j: Ino| {
            let (x, y) = (a.node(i), b.node(j));
            let content = matches!(x.body, Body::Dir(_)) || x.body == y.body;
            self.there(r.first, Some(i)) == Some(j) && (!whole || (x.meta == y.meta && content))
        };
        let object = match (r.object[r.first], r.object[1 - r.first]) {
            (Some(i), Some(j)) => a.node(i) == b.node(j),
            (None, _) => true,
            _ => false,
        };
        object
            && r.op
                .paths()
                .iter()
                .all(|p| match (a.lookup(p), b.lookup(p)) {
                    (Ok(i), Ok(j)) => same(i, j),
                    (Err(_), Err(_)) => true,
                    _ => false,
                })
    }

    /// Makes the other leg wholly like `from`: `mirror resync`. Nobody else is there.
    pub fn resync(&mut self, from: usize) {
        self.strict = false;
        for leg in 0..2 {
            let both =
                |&i: &Ino, &mut j: &mut Ino| self.legs[leg].has(i) && self.legs[1 - leg].has(j);
            self.partner[leg].retain(both);
        }
        let (s, t) = (self.legs[from].root(), self.legs[1 - from].root());
        self.resync_dir(from, s, t);
    }

    fn resync_dir(&mut self, from: usize, s: Ino, t: Ino) {
        self.sync_node(0, from, s, t);
        let here = self.legs[from].dir(s).cloned().unwrap_or_default();
        let there = self.legs[1 - from].dir(t).cloned().unwrap_or_default();
        for name in there.keys().filter(|n| !here.contains_key(*n)) {
            self.legs[1 - from].set(t, last(name), None);
        }
        for (name, i) in here {
            let c = self.counterpart(0, from, i);
            self.legs[1 - from].set(t, &name, Some(c));
            if self.legs[from].is_dir(i) {
                self.resync_dir(from, i, c);
            }
        }
    }
}
