//! The two legs of a pair, and what there is one of for each.
use core::ops::{Index, IndexMut};

/// One of the two trees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Leg {
    /// The first tree, whose lock comes first.
    A,
    /// The second tree.
    B,
}

impl Leg {
    /// Both, in the order of locking.
    pub const BOTH: [Leg; 2] = [Leg::A, Leg::B];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Leg {
        match self {
            Leg::A => Leg::B,
            Leg::B => Leg::A,
        }
    }
    /// Its number, as records say it: 0 or 1.
    pub const fn index(self) -> usize {
        match self {
            Leg::A => 0,
            Leg::B => 1,
        }
    }
    /// The leg with this number: of what others wrote, the last bit counts.
    #[must_use]
    pub const fn of(index: usize) -> Leg {
        match index & 1 {
            0 => Leg::A,
            _ => Leg::B,
        }
    }
}

/// One thing for each leg.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PerLeg<T> {
    /// Leg a's.
    pub a: T,
    /// Leg b's.
    pub b: T,
}

impl<T> PerLeg<T> {
    /// What `of` says of each.
    pub fn by(mut of: impl FnMut(Leg) -> T) -> PerLeg<T> {
        let a = of(Leg::A);
        PerLeg { a, b: of(Leg::B) }
    }
    /// What `to` makes of each.
    pub fn map<U>(self, mut to: impl FnMut(T) -> U) -> PerLeg<U> {
        PerLeg {
            a: to(self.a),
            b: to(self.b),
        }
    }
    /// Each with its leg, leg a's first.
    pub fn each(&self) -> impl DoubleEndedIterator<Item = (Leg, &T)> {
        [(Leg::A, &self.a), (Leg::B, &self.b)].into_iter()
    }
    /// Both, leg a's first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &T> {
        [&self.a, &self.b].into_iter()
    }
    /// The same, to be changed.
    pub fn iter_mut(&mut self) -> impl DoubleEndedIterator<Item = &mut T> {
        [&mut self.a, &mut self.b].into_iter()
    }
}

impl<T> IntoIterator for PerLeg<T> {
    type Item = T;
    type IntoIter = core::array::IntoIter<T, 2>;
    fn into_iter(self) -> Self::IntoIter {
        [self.a, self.b].into_iter()
    }
}

impl<T> From<[T; 2]> for PerLeg<T> {
    fn from([a, b]: [T; 2]) -> PerLeg<T> {
        PerLeg { a, b }
    }
}

impl<T> Index<Leg> for PerLeg<T> {
    type Output = T;
    fn index(&self, leg: Leg) -> &T {
        match leg {
            Leg::A => &self.a,
            Leg::B => &self.b,
        }
    }
}

impl<T> IndexMut<Leg> for PerLeg<T> {
    fn index_mut(&mut self, leg: Leg) -> &mut T {
        match leg {
            Leg::A => &mut self.a,
            Leg::B => &mut self.b,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_leg_is_the_others_other() {
        for leg in Leg::BOTH {
            assert_ne!(leg, leg.other());
            assert_eq!(leg, leg.other().other());
            assert_eq!(leg, Leg::of(leg.index()));
        }
        let mut p = PerLeg::by(Leg::index);
        assert_eq!([p[Leg::A], p[Leg::B]], [0, 1]);
        p[Leg::B] = 7;
        assert_eq!(p, PerLeg { a: 0, b: 7 });
        p.iter_mut().for_each(|v| *v += 1);
        assert!(p.iter().copied().eq([1, 8]));
        assert_eq!(p.map(|v| v + 1), PerLeg { a: 2, b: 9 });
        assert!(p.each().eq([(Leg::A, &1), (Leg::B, &8)]));
    }
}
