//! What became of a struck operation, and whether that is right.
use crate::ground;
use crate::trace::{End, Strike, Traced};
use mirror_tests::{Differences, Level, Output, Pair, Tree};
use std::path::Path;

/// One operation of programs/swept.c.
pub struct Op {
    pub name: String,
    flags: String,
}

impl Op {
    pub fn parse(line: &str) -> Op {
        let (name, flags) = line.split_once(' ').expect("a name and flags");
        Op {
            name: name.to_owned(),
            flags: flags.to_owned(),
        }
    }
    fn has(&self, flag: char) -> bool {
        self.flags.contains(flag)
    }
    pub fn wants_root(&self) -> bool {
        self.has('r')
    }
    /// It takes long, and is struck only where `PINS` says so.
    pub fn only_pinned(&self) -> bool {
        self.has('p')
    }
    /// Natively it succeeds.
    pub fn is_refused(&self) -> bool {
        self.has('u')
    }
    /// It shares blocks, where the file system can.
    pub fn shares_blocks(&self) -> bool {
        self.has('c')
    }
    pub fn may_be_short(&self) -> bool {
        self.has('s')
    }
    /// What gets a flag.
    fn flagged(&self) -> Option<&'static str> {
        match self.name.as_str() {
            "setflags" | "setxflags" => Some("f"),
            "setflags_dir" => Some("d"),
            _ => None,
        }
    }
    /// Times count where the operation sets them.
    fn level(&self) -> Level {
        if self.has('t') {
            Level::GivenTimes
        } else {
            Level::NoTimes
        }
    }
    /// What of an answer must be as natively.
    pub fn answer(&self, end: End) -> End {
        match end {
            End::Answer(r, e) if r >= 0 && self.has('d') => End::Answer(0, e),
            end => end,
        }
    }
}

/// What is right.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Right {
    /// Success, and both trees have it.
    Done,
    /// Fewer bytes, and both trees have these.
    Short,
    /// An error, and both trees are as before.
    Refused,
    /// They differ, and the pair knows; a resync makes them one of the two.
    Recorded,
    /// Killed; both trees are as before, or after.
    Before,
    After,
}

/// Which wrong.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Wrong {
    /// The trees differ, and nothing says so.
    Silent,
    /// An error, yet both trees have changed.
    Changed,
    /// Success, and it is not there.
    Lost,
    /// Neither before nor after.
    Torn,
    /// The pair says that something differs, and nothing does.
    False,
    /// Nobody has ended it.
    Unended,
    /// Not ended, or ended otherwise than by its own call.
    Died,
}

pub struct Verdict {
    pub what: Result<Right, Wrong>,
    pub detail: String,
}

/// How what is left half done is ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recovery {
    Program,
    Resync,
}

/// The states of the folder, read when nothing was struck.
pub struct States {
    pub before: Tree,
    pub after: Tree,
    pub answer: End,
}

fn wrong(what: Wrong, detail: impl Into<String>) -> Verdict {
    Verdict {
        what: Err(what),
        detail: detail.into(),
    }
}

fn right(what: Right) -> Verdict {
    Verdict {
        what: Ok(what),
        detail: String::new(),
    }
}

/// The folder on each leg.
fn legs(pair: &Pair, folder: &str) -> [Tree; 2] {
    [pair.a(), pair.b()].map(|leg| Tree::read(&leg.join(folder)))
}

fn text(d: &Differences) -> String {
    d.0.join("; ")
}

/// Ends what is left half done, as `recovery` says.
pub fn recover(pair: &Pair, next: &mut std::process::Command, recovery: Recovery) {
    match recovery {
        Recovery::Program => {
            let o = Output::from_std(next.output().expect("running the next program"));
            o.ok();
        }
        Recovery::Resync => drop(pair.resync().ok()),
    }
}

/// Judges. The process has ended, and what it left half done has been given to `recover`.
pub fn judge(
    pair: &Pair,
    op: &Op,
    folder: &str,
    states: &States,
    strike: Strike,
    traced: &Traced,
    recovery: Option<Recovery>,
) -> Verdict {
    let killed = matches!(strike, Strike::Kill | Strike::KillAfter);
    match traced.end {
        End::Signal(libc::SIGKILL) if killed => {}
        End::Answer(..) | End::Became if traced.exit.is_some_and(|s| s.success()) => {}
        End::Exited(0) if states.answer == End::Exited(0) => {}
        end => return wrong(Wrong::Died, format!("{end:?}, {:?}", traced.exit)),
    }
    let evidence = pair.evidence();
    if evidence.inside {
        return wrong(Wrong::Unended, "a post is occupied");
    }
    // Of several files under one lock object one alone is settled by a program, and where nobody may set times
    // they differ (LIMITS).
    let no_times = strike == Strike::Lasting(libc::EPERM);
    let level = if no_times || recovery == Some(Recovery::Program) {
        op.level()
    } else {
        Level::Strict
    };
    let [a, b] = legs(pair, folder);
    let mut between = a.differences(&b, level);
    let answer = op.answer(traced.end);
    let mut unlike_before = a.differences(&states.before, op.level());
    let mut unlike_after = a.differences(&states.after, op.level());
    if let Some(name) = op.flagged() {
        // A tree has no flags.
        let marked =
            [pair.a(), pair.b()].map(|leg| ground::is_nodump(&leg.join(folder).join(name)));
        let say = |of: &mut Differences, wrong: bool| {
            if wrong {
                of.0.push(format!("{name}: flags {marked:?}"));
            }
        };
        say(&mut between, marked[0] != marked[1]);
        say(&mut unlike_before, marked[0]);
        say(&mut unlike_after, !marked[0]);
    }
    if evidence.pending {
        let lasting = matches!(strike, Strike::Lasting(_));
        return recorded(pair, op, folder, states, (&between, lasting));
    }
    if !between.0.is_empty() {
        return wrong(Wrong::Silent, format!("{answer:?}: {}", text(&between)));
    }
    let failed = matches!(answer, End::Answer(r, _) if r < 0);
    let (before, after) = (unlike_before.0.is_empty(), unlike_after.0.is_empty());
    match () {
        () if killed && before => right(Right::Before),
        () if killed && after => right(Right::After),
        () if killed => wrong(
            Wrong::Torn,
            format!(
                "not as before ({}), nor after ({})",
                text(&unlike_before),
                text(&unlike_after)
            ),
        ),
        () if failed && before => right(Right::Refused),
        () if failed => wrong(
            Wrong::Changed,
            format!("{answer:?}: {}", text(&unlike_before)),
        ),
        () if after && answer == states.answer => right(Right::Done),
        () if op.may_be_short() && shorter(answer, states.answer) => right(Right::Short),
        () => wrong(
            Wrong::Lost,
            format!(
                "{answer:?} in place of {:?}: {}",
                states.answer,
                text(&unlike_after)
            ),
        ),
    }
}

fn shorter(answer: End, whole: End) -> bool {
    matches!((answer, whole), (End::Answer(r, _), End::Answer(w, _)) if 0 < r && r < w)
}

/// The pair says that something differs.
fn recorded(
    pair: &Pair,
    op: &Op,
    folder: &str,
    states: &States,
    (between, lasting): (&Differences, bool),
) -> Verdict {
    let status = pair.status();
    if status.code != 1 {
        return wrong(Wrong::False, format!("pending, yet status says {status:?}"));
    }
    let equal = between.0.is_empty();
    if !equal && pair.verify().code == 0 {
        return wrong(Wrong::Silent, "verify finds nothing");
    }
    pair.resync().ok();
    let [a, b] = legs(pair, folder);
    let d = a.differences(&b, Level::Strict);
    if !d.0.is_empty() || pair.evidence().pending {
        return wrong(Wrong::Torn, format!("resync leaves: {}", text(&d)));
    }
    let unlike = [&states.before, &states.after].map(|t| a.differences(t, op.level()));
    if unlike.iter().all(|d| !d.0.is_empty()) && !op.may_be_short() {
        let [x, y] = unlike;
        return wrong(
            Wrong::Torn,
            format!(
                "resynced, neither before ({}) nor after ({})",
                text(&x),
                text(&y)
            ),
        );
    }
    // Who goes on seeing nothing cannot know that nothing differs.
    if equal && !lasting {
        return wrong(Wrong::False, "the trees were equal");
    }
    right(Right::Recorded)
}

/// What two readings of one folder have in common, for the run in which nothing was struck.
pub fn undisturbed(pair: &Pair, folder: &str, native: &Path) -> Vec<String> {
    let [a, b] = legs(pair, folder);
    let mut found = a.differences(&b, Level::Strict).0;
    found.extend(a.differences(&Tree::read(native), Level::NoTimes).0);
    let e = pair.evidence();
    if e.pending || e.inside {
        found.push(format!("{e:?}"));
    }
    found
}
