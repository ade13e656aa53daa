//! One plain directory tree.
use mirror_core::Errno;
use std::collections::BTreeMap;

/// Inode number.
pub type Ino = u32;

/// What an inode is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Body {
    /// Names and their inodes.
    Dir(BTreeMap<String, Ino>),
    /// Bytes.
    File(Vec<u8>),
    /// Target text, never followed.
    Symlink(String),
}

impl Body {
    /// Whether two bodies are of one type.
    pub fn same_type(&self, o: &Body) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(o)
    }
}

impl Body {
    /// Bytes of a file.
    pub fn size(&self) -> usize {
        match self {
            Body::File(b) => b.len(),
            _ => 0,
        }
    }
}

/// Attributes that are part of the copy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Meta {
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Explicitly set modification time.
    pub mtime: u64,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// The attribute that holds a file's capabilities.
pub const CAPABILITY: &str = "security.capability";

impl Meta {
    /// What the kernel takes from a file whose data or owner changes: set-id bits and capabilities.
    pub fn strip(&mut self) {
        self.mode &= !0o6000;
        self.xattrs.remove(CAPABILITY);
    }
}

/// An inode.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Node {
    /// Type and content.
    pub body: Body,
    /// Attributes.
    pub meta: Meta,
}

/// A tree. Inodes are never freed: an unlinked file may still be open.
#[derive(Clone, Debug, Hash)]
pub struct Tree {
    nodes: BTreeMap<Ino, Node>,
    root: Ino,
    next: Ino,
}

impl Tree {
    /// An empty tree whose inode numbers start at `base`: a number of another tree is then no number
    /// of this one.
    pub fn new(base: Ino) -> Tree {
        let mut t = Tree {
            nodes: BTreeMap::new(),
            root: base,
            next: base,
        };
        t.add(
            Body::Dir(BTreeMap::new()),
            Meta {
                mode: 0o755,
                ..Meta::default()
            },
        );
        t
    }
    /// The root directory.
    pub fn root(&self) -> Ino {
        self.root
    }
    /// A new inode without a name.
    pub fn add(&mut self, body: Body, meta: Meta) -> Ino {
        let i = self.next;
        self.next += 1;
        self.nodes.insert(i, Node { body, meta });
        i
    }
    /// The state of a tree that was, but with no number given out twice.
    pub fn since(mut self, now: &Tree) -> Tree {
        self.next = now.next;
        self
    }
    /// Whether there is such an inode.
    pub fn has(&self, i: Ino) -> bool {
        self.nodes.contains_key(&i)
    }
    /// The inodes.
    pub fn inodes(&self) -> Vec<Ino> {
        self.nodes.keys().copied().collect()
    }
    /// An inode that must exist.
    pub fn node(&self, i: Ino) -> &Node {
        &self.nodes[&i]
    }
    /// The same, to change it.
    pub fn node_mut(&mut self, i: Ino) -> &mut Node {
        self.nodes.get_mut(&i).expect("an inode of this tree")
    }
    /// Entries of a directory.
    pub fn dir(&self, i: Ino) -> Result<&BTreeMap<String, Ino>, Errno> {
        match &self.node(i).body {
            Body::Dir(d) => Ok(d),
            _ => Err(Errno::ENOTDIR),
        }
    }
    /// Whether it is a directory.
    pub fn is_dir(&self, i: Ino) -> bool {
        matches!(self.node(i).body, Body::Dir(_))
    }
    /// Bytes of a file.
    pub fn bytes(&self, i: Ino) -> Result<&Vec<u8>, Errno> {
        match &self.node(i).body {
            Body::File(b) => Ok(b),
            Body::Dir(_) => Err(Errno::EISDIR),
            Body::Symlink(_) => Err(Errno::ELOOP),
        }
    }
    /// The same, to change them.
    pub fn bytes_mut(&mut self, i: Ino) -> Result<&mut Vec<u8>, Errno> {
        match &mut self.node_mut(i).body {
            Body::File(b) => Ok(b),
            Body::Dir(_) => Err(Errno::EISDIR),
            Body::Symlink(_) => Err(Errno::ELOOP),
        }
    }
    /// Directory and last name of a path.
    pub fn parent<'p>(&self, path: &'p str) -> Result<(Ino, &'p str), Errno> {
        let (dirs, name) = path.rsplit_once('/').unwrap_or(("", path));
        let mut at = self.root;
        for c in dirs.split('/').filter(|c| !c.is_empty()) {
            at = *self.dir(at)?.get(c).ok_or(Errno::ENOENT)?;
        }
        self.dir(at)?;
        Ok((at, name))
    }
    /// The inode of a path.
    pub fn lookup(&self, path: &str) -> Result<Ino, Errno> {
        let (d, n) = self.parent(path)?;
        self.dir(d)?.get(n).copied().ok_or(Errno::ENOENT)
    }
    /// Each step of a path as far as it goes: directory, name, inode.
    pub fn trail<'p>(&self, path: &'p str) -> Vec<(Ino, &'p str, Option<Ino>)> {
        let (mut at, mut out) = (self.root, Vec::new());
        for c in path.split('/') {
            let Ok(d) = self.dir(at) else { break };
            let found = d.get(c).copied();
            out.push((at, c, found));
            let Some(i) = found else { break };
            at = i;
        }
        out
    }
    /// A name in a directory.
    pub fn entry(&self, dir: Ino, name: &str) -> Result<Ino, Errno> {
        self.dir(dir)?.get(name).copied().ok_or(Errno::ENOENT)
    }
    /// One step of a path.
    pub fn walk(&self, dir: Ino, name: &str) -> Result<Ino, Errno> {
        let i = self.entry(dir, name)?;
        self.dir(i).map(|_| i)
    }
    /// Whether a directory still has a name: nothing can be made in a removed one.
    pub fn linked(&self, dir: Ino) -> Result<(), Errno> {
        if self.below(dir, self.root) {
            Ok(())
        } else {
            Err(Errno::ENOENT)
        }
    }
    /// Sets or removes a name.
    pub fn set(&mut self, dir: Ino, name: &str, to: Option<Ino>) {
        let Body::Dir(d) = &mut self.node_mut(dir).body else {
            return;
        };
        match to {
            Some(i) => d.insert(name.to_owned(), i),
            None => d.remove(name),
        };
    }
    /// Whether `i` is `top` or lies below it.
    pub fn below(&self, i: Ino, top: Ino) -> bool {
        i == top
            || self
                .dir(top)
                .is_ok_and(|d| d.values().any(|&c| self.below(i, c)))
    }
    /// Writes bytes, filling a gap with zeros.
    pub fn write(&mut self, i: Ino, at: u64, data: &[u8]) -> Result<u64, Errno> {
        let b = self.bytes_mut(i)?;
        if data.is_empty() {
            return Ok(0);
        }
        let (from, to) = (at as usize, at as usize + data.len());
        if b.len() < to {
            b.resize(to, 0);
        }
        b[from..to].copy_from_slice(data);
        self.node_mut(i).meta.strip();
        Ok(data.len() as u64)
    }
}
