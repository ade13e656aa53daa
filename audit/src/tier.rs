//! Where an audit's knowledge comes from.

/// The sources, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Tier {
    /// eBPF at the kernel's functions: also what the kernel does for nobody's call.
    T1 = 1,
    /// eBPF at tracepoints.
    T2 = 2,
    /// fanotify: the path and the process, not the range.
    T3 = 3,
    /// inotify: the path alone.
    T4 = 4,
}

impl Tier {
    /// Every one.
    pub const ALL: [Tier; 4] = [Tier::T1, Tier::T2, Tier::T3, Tier::T4];

    /// `t1` to `t4`, as it is typed.
    pub const fn word(self) -> &'static str {
        match self {
            Tier::T1 => "t1",
            Tier::T2 => "t2",
            Tier::T3 => "t3",
            Tier::T4 => "t4",
        }
    }

    /// As it is shown: what does the seeing.
    pub const fn title(self) -> &'static str {
        match self {
            Tier::T1 => "T1 eBPF hooks",
            Tier::T2 => "T2 eBPF tracepoints",
            Tier::T3 => "T3 fanotify",
            Tier::T4 => "T4 inotify",
        }
    }

    /// The one of a word.
    pub fn parse(word: &str) -> Option<Tier> {
        Tier::ALL.into_iter().find(|t| t.word() == word)
    }
}
