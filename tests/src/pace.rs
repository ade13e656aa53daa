//! Time as an idle machine would count it: a limit that means "this must not take for ever" must not
//! strike because the machine has other work too.
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// A clock that runs slower while the machine is busy.
pub struct Clock {
    last: Instant,
    spent: Duration,
}

impl Clock {
    /// Starts at nothing spent.
    pub fn start() -> Clock {
        Clock {
            last: Instant::now(),
            spent: Duration::ZERO,
        }
    }

    /// What has been spent since the start, in time of an idle machine. To be asked often: each span
    /// counts at the pace of its end.
    pub fn spent(&mut self) -> Duration {
        let now = Instant::now();
        self.spent += (now - self.last).div_f64(slowdown());
        self.last = now;
        self.spent
    }
}

/// Waits until something is so. Panics when it is not after [`PATIENCE`](crate::PATIENCE).
#[track_caller]
pub fn until(what: &str, is: impl Fn() -> bool) {
    let mut clock = Clock::start();
    while !is() {
        assert!(clock.spent() < crate::PATIENCE, "no {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How often the pace is measured.
const EVERY: Duration = Duration::from_millis(500);
/// A machine that is slower than this is taken to hang.
const SLOWEST: f64 = 30.0;

struct Measured {
    at: Option<Instant>,
    best: Duration,
    pace: f64,
}

static MEASURED: Mutex<Measured> = Mutex::new(Measured {
    at: None,
    best: Duration::MAX,
    pace: 1.0,
});

/// How many times as long as on an idle machine work takes just now; at least 1. A fixed piece of work is
/// timed against its best time in this process, and what wants to run is counted against the processors.
pub fn slowdown() -> f64 {
    let mut m = MEASURED.lock().expect("no panic while it is held");
    if m.at.is_none_or(|at| at.elapsed() >= EVERY) {
        let unit = unit_of_work();
        m.best = m.best.min(unit);
        let slower = unit.as_secs_f64() / m.best.as_secs_f64();
        m.pace = slower.max(crowd()).clamp(1.0, SLOWEST);
        m.at = Some(Instant::now());
    }
    m.pace
}

/// A few milliseconds of arithmetic.
fn unit_of_work() -> Duration {
    let start = Instant::now();
    let mut x = 1u64;
    for i in 0..1_000_000u64 {
        x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(i));
    }
    std::hint::black_box(x);
    start.elapsed()
}

/// Tasks that run, want to run or wait for a disk, by processor.
fn crowd() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    tasks(&text) / processors as f64
}

/// `0.20 0.18 0.12 3/80 11206`: the larger of the last minute's average and what is runnable now.
fn tasks(loadavg: &str) -> f64 {
    let mut words = loadavg.split(' ');
    let average = words.next().and_then(|w| w.parse().ok()).unwrap_or(0.0);
    let now = words.nth(2).and_then(|w| w.split('/').next());
    now.and_then(|n| n.parse().ok())
        .unwrap_or(0.0_f64)
        .max(average)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_goes_on_and_never_too_fast() {
        let (start, mut clock) = (Instant::now(), Clock::start());
        std::thread::sleep(Duration::from_millis(20));
        let spent = clock.spent();
        assert!(spent > Duration::ZERO && spent <= start.elapsed());
        assert!(clock.spent() >= spent);
    }

    #[test]
    fn the_kernels_line_is_understood() {
        assert_eq!(tasks("0.20 0.18 0.12 3/80 11206\n"), 3.0);
        assert_eq!(tasks("8.00 2.18 0.12 1/80 11206\n"), 8.0);
        assert_eq!(tasks(""), 0.0);
    }
}
