//! How a name was moved, as far as it is known: whether both legs had the same done to it.

/// Moves of one name that are told apart.
const MOVES: usize = 16;

/// The moves of one name on one leg.
#[derive(Clone, Debug, Default)]
pub struct Moves {
    /// By which thread (0: not known), to where and from where.
    all: Vec<(u32, Vec<u8>, Vec<u8>)>,
    /// There were others, of which less is known.
    more: bool,
}

impl Moves {
    /// It was moved by this thread, to there or from there.
    pub fn add(&mut self, tid: u32, to: Option<&[u8]>, from: Option<&[u8]>) {
        let of = |rel: Option<&[u8]>| rel.unwrap_or_default().to_vec();
        let new = (tid, of(to), of(from));
        // A source that knows threads tells moves of one of them together.
        if tid != 0 && self.all.contains(&new) {
            return;
        }
        let nothing = tid == 0 && new.1.is_empty() && new.2.is_empty();
        match self.all.len() < MOVES && !nothing {
            true => self.all.push(new),
            false => self.more = true,
        }
    }

    /// It was moved, and no more is known.
    pub fn lose(&mut self) {
        self.more = true;
    }

    /// What another one knows.
    pub fn merge(&mut self, other: Moves) {
        self.more |= other.more;
        for (tid, to, from) in other.all {
            self.add(tid, Some(&to), Some(&from));
        }
    }

    /// Whether there were none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty() && !self.more
    }

    /// Whether it is known that those of the other leg were the same.
    pub fn same(&self, other: &Moves) -> bool {
        let sorted = |m: &Moves| {
            let mut all = m.all.clone();
            all.sort_unstable();
            all
        };
        !self.more && !other.more && sorted(self) == sorted(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(all: &[(u32, &str, &str)]) -> Moves {
        let mut m = Moves::default();
        for (tid, to, from) in all {
            m.add(*tid, Some(to.as_bytes()), Some(from.as_bytes()));
        }
        m
    }

    #[test]
    fn the_same_on_both_legs() {
        let one = of(&[(0, "e", ""), (0, "", "e")]);
        assert!(one.same(&of(&[(0, "", "e"), (0, "e", "")])));
        for other in [
            of(&[]),
            of(&[(0, "e", "")]),
            of(&[(0, "e", ""), (0, "", "f")]),
            of(&[(0, "e", ""), (0, "", "e"), (0, "e", "")]),
            of(&[(7, "e", ""), (7, "", "e")]),
        ] {
            assert!(!one.same(&other) && !other.same(&one), "{other:?}");
        }
        // One thread's are told once or twice.
        assert!(of(&[(7, "", ""), (7, "", "")]).same(&of(&[(7, "", "")])));
        assert!(!of(&[(7, "", "")]).same(&of(&[(8, "", "")])));
    }

    #[test]
    fn what_is_not_known_is_not_the_same() {
        let nothing = of(&[(0, "", "")]);
        assert!(!nothing.is_empty() && !nothing.same(&nothing));
        let names: Vec<String> = (0..=MOVES).map(|n| n.to_string()).collect();
        let many: Vec<(u32, &str, &str)> = names.iter().map(|n| (0, n.as_str(), "")).collect();
        assert!(of(&many[1..]).same(&of(&many[1..])));
        assert!(!of(&many).same(&of(&many)));
        let mut merged = of(&many[..2]);
        merged.merge(of(&many[2..]));
        assert!(!merged.same(&of(&many)));
    }
}
