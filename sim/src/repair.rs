//! "Make these objects equal from one leg to the other": repair, undo and resync.
use crate::effect::{Need, last};
use crate::tree::{Body, Ino, Meta};
use crate::world::{Pid, World};
use mirror_core::Errno;
use mirror_core::Leg;
use std::collections::BTreeMap;

const ALONE: &[Need] = &[Need::Alone];

impl World {
    /// Makes what a path leads through equal, from leg `from`, directory by directory; the last name is
    /// the same object on both legs then, if not yet of the same content.
    pub fn heal_name(&mut self, pid: Pid, path: &str, from: Leg) -> Result<(), Errno> {
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
    pub fn heal_parents(&mut self, pid: Pid, path: &str, from: Leg) -> Result<(), Errno> {
        match path.rsplit_once('/') {
            Some((dirs, _)) => self.heal_name(pid, dirs, from),
            None => Ok(()),
        }
    }

    pub(crate) fn heal_entry(
        &mut self,
        pid: Pid,
        from: Leg,
        (ds, dt): (Ino, Ino),
        name: &str,
        s: Option<Ino>,
    ) -> Result<(), Errno> {
        let to = from.other();
        if !self.legs[to].is_dir(dt) || !self.legs[from].is_dir(ds) {
            return Err(Errno::ENOTDIR);
        }
        let t = s.map(|s| self.counterpart(pid, from, s));
        self.change(pid, to, ALONE).set(dt, name, t);
        Ok(())
    }

    /// The partner of `s`, made if need be; what is below a new directory with its content.
    fn counterpart(&mut self, pid: Pid, from: Leg, s: Ino) -> Ino {
        let node = self.legs[from].node(s).clone();
        let to = from.other();
        if let Some(t) = self.there(from, Some(s))
            && self.legs[to].node(t).body.same_type(&node.body)
        {
            return t;
        }
        let body = match &node.body {
            Body::Dir(_) => Body::Dir(BTreeMap::new()),
            Body::File(_) => Body::File(Vec::new()),
            b => b.clone(),
        };
        let made = Meta {
            mode: 0o600,
            ..Meta::default()
        };
        let t = self.change(pid, to, ALONE).add(body, made);
        self.pair(from, s, t);
        if let Body::Dir(d) = node.body {
            for (name, child) in d {
                let c = self.counterpart(pid, from, child);
                self.sync_node(pid, from, child, c);
                self.change(pid, to, ALONE).set(t, &name, Some(c));
            }
        }
        t
    }

    fn sync_node(&mut self, pid: Pid, from: Leg, s: Ino, t: Ino) {
        let node = self.legs[from].node(s).clone();
        let there = self.change(pid, from.other(), ALONE).node_mut(t);
        if !there.body.same_type(&node.body) {
            return;
        }
        there.meta = node.meta;
        // Entries of a directory are names of their own.
        if !matches!(node.body, Body::Dir(_)) {
            there.body = node.body;
        }
    }

    /// Makes the other leg wholly like `from`: `mirror resync`. Nobody else is there.
    pub fn resync(&mut self, from: Leg) {
        self.strict = false;
        for leg in Leg::BOTH {
            let both =
                |&i: &Ino, &mut j: &mut Ino| self.legs[leg].has(i) && self.legs[leg.other()].has(j);
            self.partner[leg].retain(both);
        }
        let (s, t) = (self.legs[from].root(), self.legs[from.other()].root());
        self.resync_dir(from, s, t);
    }

    fn resync_dir(&mut self, from: Leg, s: Ino, t: Ino) {
        self.sync_node(0, from, s, t);
        let here = self.legs[from].dir(s).cloned().unwrap_or_default();
        let there = self.legs[from.other()].dir(t).cloned().unwrap_or_default();
        for name in there.keys().filter(|n| !here.contains_key(*n)) {
            self.legs[from.other()].set(t, last(name), None);
        }
        for (name, i) in here {
            let c = self.counterpart(0, from, i);
            self.sync_node(0, from, i, c);
            self.legs[from.other()].set(t, &name, Some(c));
            if self.legs[from].is_dir(i) {
                self.resync_dir(from, i, c);
            }
        }
    }
}
