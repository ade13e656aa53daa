//! "Make these objects equal from one leg to the other": repair and undo are this one act.
use crate::tree::{Body, Ino};
use crate::world::{Pid, Record, World};
use mirror_core::Errno;
use std::collections::BTreeMap;

impl World {
    /// Makes the inode behind a record's descriptor equal, from leg `from`.
    pub fn heal_object(&mut self, pid: Pid, r: &Record, from: usize) {
        let Some(first) = r.object else { return };
        let Some(&second) = self.partner[self.source].get(&first) else {
            return;
        };
        let (s, t) = if from == self.source {
            (first, second)
        } else {
            (second, first)
        };
        self.sync_node(pid, from, s, t);
    }

    /// Makes one name equal, from leg `from`: same object, same content.
    pub fn heal_name(&mut self, pid: Pid, path: &str, from: usize) -> Result<(), Errno> {
        let to = 1 - from;
        let Ok((ds, name)) = self.legs[from].parent(path) else {
            return Ok(());
        };
        // The partner of the directory, not the directory of that name.
        let Some(&dt) = self.partner[from].get(&ds) else {
            return Err(Errno::ENOENT);
        };
        if !self.legs[to].is_dir(dt) {
            return Err(Errno::ENOTDIR);
        }
        match self.legs[from].dir(ds)?.get(name).copied() {
            None => self.leg_mut(pid, to).set(dt, name, None),
            Some(s) => {
                let t = self.counterpart(pid, from, s);
                self.leg_mut(pid, to).set(dt, name, Some(t));
            }
        }
        Ok(())
    }

    /// The partner of `s` with the content of `s`, made if need be.
    fn counterpart(&mut self, pid: Pid, from: usize, s: Ino) -> Ino {
        let node = self.legs[from].node(s).clone();
        let to = 1 - from;
        if let Some(&t) = self.partner[from].get(&s)
            && self.legs[to].node(t).body.same_type(&node.body)
        {
            self.sync_node(pid, from, s, t);
            return t;
        }
        let body = match &node.body {
            Body::Dir(_) => Body::Dir(BTreeMap::new()),
            b => b.clone(),
        };
        let t = self.leg_mut(pid, to).add(body, node.meta);
        self.pair(from, s, t);
        if let Body::Dir(d) = node.body {
            for (name, child) in d {
                let c = self.counterpart(pid, from, child);
                self.leg_mut(pid, to).set(t, &name, Some(c));
            }
        }
        t
    }

    fn sync_node(&mut self, pid: Pid, from: usize, s: Ino, t: Ino) {
        let node = self.legs[from].node(s).clone();
        let there = self.leg_mut(pid, 1 - from).node_mut(t);
        if !there.body.same_type(&node.body) {
            return;
        }
        there.meta = node.meta;
        // Entries of a directory are names of their own.
        if !matches!(node.body, Body::Dir(_)) {
            there.body = node.body;
        }
    }

    /// Whether the record's objects are equal on both legs.
    pub fn objects_equal(&self, r: &Record) -> bool {
        let (a, b) = (&self.legs[self.source], &self.legs[self.other()]);
        let same = |i: Ino, j: Ino| {
            let (x, y) = (a.node(i), b.node(j));
            let bodies = match (&x.body, &y.body) {
                (Body::Dir(_), Body::Dir(_)) => true,
                (p, q) => p == q,
            };
            self.partner[self.source].get(&i) == Some(&j) && x.meta == y.meta && bodies
        };
        let object = r.object.is_none_or(|i| {
            self.partner[self.source]
                .get(&i)
                .is_some_and(|&j| same(i, j))
        });
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
}
