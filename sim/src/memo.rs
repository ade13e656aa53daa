//! The answers that a process has got so far in an attempt.
use mirror_core::{Errno, LockMiss, Prepared, Where};

/// One answer of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Val {
    /// A number: a state, a word, a flag.
    Raw(u64),
    /// What a leg answers.
    Num(Result<u64, Errno>),
    /// What a lock answers.
    Miss(Result<(), LockMiss>),
    /// What a resolution ends in.
    Prep(Prepared),
}

fn errno(r: Result<u64, Errno>) -> [u64; 2] {
    match r {
        Ok(n) => [1, n],
        Err(e) => [2, e.0 as u64],
    }
}

impl Val {
    fn code(self) -> [u64; 2] {
        let more = |n: u64, c: [u64; 2]| [c[0] + n, c[1]];
        match self {
            Val::Raw(n) => [0, n],
            Val::Num(r) => more(10, errno(r)),
            Val::Miss(Ok(())) => [20, 0],
            Val::Miss(Err(LockMiss::Busy(o))) => [21, o as u64],
            Val::Miss(Err(LockMiss::Failed(e))) => [22, e.0 as u64],
            Val::Prep(Prepared::Answer(r)) => more(30, errno(r)),
            Val::Prep(Prepared::Ready) => [40, 0],
            Val::Prep(Prepared::Forward) => [41, 0],
            Val::Prep(Prepared::Replan) => [42, 0],
            Val::Prep(Prepared::Exclusive) => [43, 0],
            Val::Prep(Prepared::Unresolved) => [47, 0],
            Val::Prep(Prepared::Write(Where::Position)) => [44, 0],
            Val::Prep(Prepared::Write(Where::At(at))) => [45, at],
            Val::Prep(Prepared::Write(Where::End { moves })) => [46, u64::from(moves)],
        }
    }
}

/// What a port can answer.
pub trait Answer: Copy {
    /// As a value to keep.
    fn val(self) -> Val;
    /// Back again. A value of another kind is a defect of the simulator.
    fn of(v: Val) -> Self;
}

macro_rules! answers {
    ($($t:ty: $x:ident => $to:expr, $pat:pat => $from:expr;)*) => { $(
        impl Answer for $t {
            fn val(self) -> Val { let $x = self; $to }
            fn of(v: Val) -> $t {
                match v { $pat => $from, _ => unreachable!("another answer was recorded: {v:?}") }
            }
        })*
    };
}

answers! {
    (): _x => Val::Raw(0), Val::Raw(_) => ();
    bool: x => Val::Raw(u64::from(x)), Val::Raw(n) => n != 0;
    u32: x => Val::Raw(u64::from(x)), Val::Raw(n) => n as u32;
    u64: x => Val::Raw(x), Val::Raw(n) => n;
    Result<u64, Errno>: x => Val::Num(x), Val::Num(r) => r;
    Result<(), Errno>: x => Val::Num(x.map(|()| 0)), Val::Num(r) => r.map(|_| ());
    Result<(), LockMiss>: x => Val::Miss(x), Val::Miss(r) => r;
    Prepared: x => Val::Prep(x), Val::Prep(p) => p;
}

/// The answers of an attempt, and how many of them the engine has been told again.
#[derive(Clone, Debug, Default)]
pub struct Memo {
    vals: Vec<Val>,
    next: usize,
    /// A number that stands for all of them.
    digest: u64,
    /// Calls that may still be carried out in this step.
    pub fuel: u32,
    /// The engine has asked for more than that: what it does from here on does not count.
    pub out: bool,
}

impl Memo {
    /// Forgets all: a new attempt.
    pub fn clear(&mut self) {
        self.vals.clear();
        self.digest = 0;
        self.rewind();
    }
    /// The engine starts again.
    pub fn rewind(&mut self) {
        self.next = 0;
        self.out = false;
    }
    /// A recorded answer.
    pub fn again(&mut self) -> Option<Val> {
        let v = self.vals.get(self.next).copied()?;
        self.next += 1;
        Some(v)
    }
    /// Records an answer.
    pub fn push(&mut self, v: Val) {
        for n in v.code() {
            self.digest = (self.digest ^ n)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .rotate_left(23);
        }
        self.vals.push(v);
        self.next = self.vals.len();
    }
    /// What tells two attempts apart.
    pub fn key(&self) -> (usize, u64) {
        (self.vals.len(), self.digest)
    }
}
