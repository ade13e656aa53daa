//! `--metrics`: what was counted, for Prometheus: by HTTP, or in a file for node_exporter's textfile collector.
//! No label has values without end: pairs, legs, tiers and reasons.
use crate::audit::finding::Finding;
use crate::audit::watch::Watch;
use crate::fail::{Context, Fail, Kind, Res};
use crate::text;
use mirror_audit::{Tier, Why};
use mirror_core::Leg;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often the file is written.
const FILE: Duration = Duration::from_secs(15);
/// How long somebody who asks may take.
const ASKING: Duration = Duration::from_secs(2);

/// Where something was found.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum On {
    Leg(Leg),
    Both,
}

/// A pair's numbers.
#[derive(Clone)]
struct Numbers {
    pair: String,
    tier: &'static str,
    counts: crate::audit::watch::Counts,
    /// By where and why.
    by: BTreeMap<(On, Why), u64>,
    since: u64,
    last: u64,
    waiting: usize,
    lag: f64,
}

type Shared = Arc<Mutex<Vec<Numbers>>>;

/// The numbers, and where they go.
pub struct Metrics {
    shared: Shared,
    file: Option<PathBuf>,
    next: Instant,
    /// Where they can be asked for.
    pub address: Option<SocketAddr>,
}

/// `PORT`, `ADDRESS:PORT`, or a file (with a slash in it).
pub fn open(word: &str) -> Res<Metrics> {
    let shared: Shared = Shared::default();
    let mut m = Metrics {
        shared: shared.clone(),
        file: None,
        next: Instant::now(),
        address: None,
    };
    if word.contains('/') {
        m.file = Some(word.into());
        return Ok(m);
    }
    let address = match word.parse::<u16>() {
        Ok(port) => SocketAddr::from(([127, 0, 0, 1], port)),
        Err(_) => word.parse().map_err(|_| {
            Fail::new(
                Kind::Usage,
                format!("--metrics {word}: an address and a port (127.0.0.1:9555), or a file with a / in its path, is meant"),
            )
        })?,
    };
    let listener = TcpListener::bind(address).about(format!("--metrics {address}"))?;
    m.address = listener.local_addr().ok();
    // It ends with the process.
    std::thread::Builder::new()
        .name("metrics".into())
        .spawn(move || {
            for s in listener.incoming() {
                match s {
                    Ok(s) => _ = answer(s, &shared),
                    Err(_) => std::thread::sleep(Duration::from_millis(100)),
                }
            }
        })
        .about("a thread")?;
    Ok(m)
}

impl Metrics {
    /// Brings a pair's numbers up to date.
    pub fn update(&mut self, at: usize, w: &Watch, found: &[Finding], lag: Option<Duration>) {
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        while all.len() <= at {
            all.push(Numbers::new(w));
        }
        let Some(n) = all.get_mut(at) else { return };
        n.counts = w.counts;
        n.last = w.times().1;
        n.waiting = w.waiting();
        n.lag = lag.map_or(n.lag, |d| d.as_secs_f64());
        for f in found {
            *n.by
                .entry((f.leg.map_or(On::Both, On::Leg), f.why))
                .or_insert(0) += 1;
        }
    }

    /// A pair is not watched any more.
    pub fn remove(&mut self, at: usize) {
        let mut all = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if at < all.len() {
            all.remove(at);
        }
    }

    /// Writes the file, if it is time.
    pub fn turn(&mut self, now: bool) -> Res<()> {
        let Some(file) = self
            .file
            .as_deref()
            .filter(|_| now || self.next <= Instant::now())
        else {
            return Ok(());
        };
        self.next = Instant::now() + FILE;
        write(file, &render(&self.shared)).about(format!("--metrics {}", text::path(file)))
    }

    /// When the file is to be written again.
    pub fn next(&self) -> Option<Instant> {
        self.file.as_ref().map(|_| self.next)
    }
}

/// The whole file or none of it.
fn write(file: &Path, content: &str) -> std::io::Result<()> {
    let mut new = file.as_os_str().to_owned();
    new.push(format!(".{}", std::process::id()));
    let done = std::fs::write(&new, content).and_then(|()| std::fs::rename(&new, file));
    if done.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    done
}

impl Numbers {
    fn new(w: &Watch) -> Numbers {
        let mut by = BTreeMap::new();
        // A series that begins with its first finding has no increase then: nobody would be alerted.
        for on in [On::Leg(Leg::A), On::Leg(Leg::B), On::Both] {
            by.extend(Why::ALL.iter().map(|why| ((on, *why), 0)));
        }
        Numbers {
            pair: text::path(&w.pair.pair.line.virt),
            tier: w.source.tier().word(),
            counts: w.counts,
            by,
            since: w.times().0,
            last: 0,
            waiting: 0,
            lag: 0.0,
        }
    }
}

/// A label's value.
fn quoted(s: &str) -> String {
    let s = s.replace('\\', "\\\\").replace('"', "\\\"");
    format!("\"{}\"", s.replace('\n', "\\n"))
}

/// A number of a pair.
type Of = fn(&Numbers) -> String;
/// Name, kind, what it is, value: families with one number for a pair.
const SINGLE: [(&str, &str, &str, Of); 9] = [
    (
        "start_time_seconds",
        "gauge",
        "When the audit began, in seconds since 1970.",
        |n| n.since.to_string(),
    ),
    (
        "mirrored_total",
        "counter",
        "Changes that are on both legs.",
        |n| n.counts.mirrored.to_string(),
    ),
    (
        "healed_total",
        "counter",
        "Findings after which both legs were made equal.",
        |n| n.counts.healed.to_string(),
    ),
    (
        "held_total",
        "counter",
        "Findings that were held for a decision or could not be healed.",
        |n| n.counts.held.to_string(),
    ),
    (
        "not_judged_total",
        "counter",
        "Paths that could not be compared.",
        |n| n.counts.open.to_string(),
    ),
    (
        "lost_total",
        "counter",
        "How often events were lost: changes may have been missed.",
        |n| n.counts.lost.to_string(),
    ),
    (
        "waiting_paths",
        "gauge",
        "Paths at which something happened and that have not been judged yet.",
        |n| n.waiting.to_string(),
    ),
    (
        "lag_seconds",
        "gauge",
        "How long after its change the last finding was judged.",
        |n| format!("{:.3}", n.lag),
    ),
    (
        "last_finding_time_seconds",
        "gauge",
        "When something was last found, in seconds since 1970; 0: never.",
        |n| n.last.to_string(),
    ),
];

/// All of it in Prometheus's text format.
fn render(shared: &Shared) -> String {
    let all = shared
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .clone();
    let mut out = String::new();
    let mut family =
        |name: &str, kind: &str, help: &str, value: &dyn Fn(&Numbers) -> Vec<(String, String)>| {
            out +=
                &format!("# HELP mirror_audit_{name} {help}\n# TYPE mirror_audit_{name} {kind}\n");
            for n in &all {
                for (labels, v) in value(n) {
                    out += &format!(
                        "mirror_audit_{name}{{pair={}{labels}}} {v}\n",
                        quoted(&n.pair)
                    );
                }
            }
        };
    family("info", "gauge", "What the pair is watched with.", &|n| {
        let used = |t: &Tier| u8::from(t.word() == n.tier).to_string();
        let all = Tier::ALL.iter();
        all.map(|t| (format!(",tier={}", quoted(t.word())), used(t)))
            .collect()
    });
    for (name, kind, help, of) in SINGLE {
        family(name, kind, help, &|n| vec![(String::new(), of(n))]);
    }
    family(
        "unmirrored_total",
        "counter",
        "Changes that did not go through the mirror.",
        &|n| {
            let rows = n.by.iter().map(|((on, why), v)| {
                let leg = match on {
                    On::Leg(leg) => leg.letter().to_string(),
                    On::Both => "both".into(),
                };
                (
                    format!(",leg=\"{leg}\",why={}", quoted(why.key())),
                    v.to_string(),
                )
            });
            rows.collect()
        },
    );
    out
}

/// One question, one answer.
fn answer(mut s: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let until = Instant::now() + ASKING;
    s.set_write_timeout(Some(ASKING))?;
    let mut head = vec![];
    let mut b = [0u8; 1024];
    while !head.windows(4).any(|w| w == b"\r\n\r\n") && head.len() < 16 * 1024 {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        s.set_read_timeout(Some(left))?;
        match s.read(&mut b)? {
            0 => break,
            n => head.extend(b.iter().take(n)),
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let mut words = head.split_whitespace();
    let (method, path) = (words.next().unwrap_or(""), words.next().unwrap_or(""));
    let path = path.split('?').next().unwrap_or("");
    let (status, body) = match (method, path) {
        ("GET" | "HEAD", "/metrics" | "/") => ("200 OK", render(shared)),
        ("GET" | "HEAD", _) => ("404 Not Found", "the numbers are at /metrics\n".into()),
        _ => ("405 Method Not Allowed", String::new()),
    };
    let mut all = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if method != "HEAD" {
        all += &body;
    }
    s.write_all(all.as_bytes())
}
