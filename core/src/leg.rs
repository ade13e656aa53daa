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
    /// Its letter, as people and records say it: `a` or `b`.
    #[must_use]
    pub const fn letter(self) -> char {
        match self {
            Leg::A => 'a',
            Leg::B => 'b',
        }
    }
    /// The leg with this letter. What others wrote may be none.
    #[must_use]
    pub const fn from_letter(text: &[u8]) -> Option<Leg> {
        match text {
            b"a" => Some(Leg::A),
            b"b" => Some(Leg::B),
            _ => None,
        }
    }
    /// The leg with this number, 0 or 1. What others wrote may be none.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Leg> {
        match number {
            0 => Some(Leg::A),
            1 => Some(Leg::B),
            _ => None,
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
    /// The same of each, lent.
    pub fn as_ref(&self) -> PerLeg<&T> {
        PerLeg {
            a: &self.a,
            b: &self.b,
        }
    }
    /// Each together with the other's of the same leg.
    pub fn zip<U>(self, other: PerLeg<U>) -> PerLeg<(T, U)> {
        PerLeg {
            a: (self.a, other.a),
            b: (self.b, other.b),
        }
    }
    /// The first leg of which this is so, leg a before leg b.
    pub fn position(&self, mut is: impl FnMut(&T) -> bool) -> Option<Leg> {
        Leg::BOTH.into_iter().find(|leg| is(&self[*leg]))
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

impl<'a, T> IntoIterator for &'a PerLeg<T> {
    type Item = &'a T;
    type IntoIter = core::array::IntoIter<&'a T, 2>;
    fn into_iter(self) -> Self::IntoIter {
        [&self.a, &self.b].into_iter()
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
            assert_eq!(Some(leg), Leg::from_number(leg.index() as u8));
            assert_eq!(Some(leg), Leg::from_letter(&[leg.letter() as u8]));
        }
        assert_eq!((Leg::from_number(2), Leg::from_letter(b"c")), (None, None));
        let mut p = PerLeg::by(Leg::index);
        assert_eq!([p[Leg::A], p[Leg::B]], [0, 1]);
        p[Leg::B] = 7;
        assert_eq!(p, PerLeg { a: 0, b: 7 });
        p.iter_mut().for_each(|v| *v += 1);
        assert!(p.iter().copied().eq([1, 8]));
        assert_eq!(p.map(|v| v + 1), PerLeg { a: 2, b: 9 });
        assert!(p.each().eq([(Leg::A, &1), (Leg::B, &8)]));
        assert_eq!(p.position(|v| *v == 8), Some(Leg::B));
        assert_eq!(p.as_ref().zip(p).b, (&8, 8));
    }
}
