//! `--log`: each finding, and what else is worth it, in the journal with fields of its own, or in syslog.
use super::told::Told;
use crate::audit::finding::Done;
use crate::cmd::explain;
use crate::fail::{Context, Fail, Kind, Res};
use crate::text;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// What one entry tells.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The audit has begun.
    Start,
    /// A change that was not mirrored.
    Finding,
    /// It was held for a decision.
    Held,
    /// Events were lost.
    Lost,
    /// A leg went away.
    Gone,
    /// The audit has ended.
    End,
}

impl Event {
    /// Its word, and the journal's id of it (docs/JSON.md lists them).
    pub const fn word(self) -> (&'static str, &'static str) {
        match self {
            Event::Start => ("start", "6d3c1bb7a2c04f5d9d2f0a1c77e5b101"),
            Event::Finding => ("finding", "6d3c1bb7a2c04f5d9d2f0a1c77e5b128"),
            Event::Held => ("held", "6d3c1bb7a2c04f5d9d2f0a1c77e5b130"),
            Event::Lost => ("lost", "6d3c1bb7a2c04f5d9d2f0a1c77e5b129"),
            Event::Gone => ("leg-gone", "6d3c1bb7a2c04f5d9d2f0a1c77e5b102"),
            Event::End => ("end", "6d3c1bb7a2c04f5d9d2f0a1c77e5b103"),
        }
    }

    /// syslog's urgency.
    const fn priority(self) -> u8 {
        match self {
            Event::Start | Event::End => 6,
            Event::Finding => 4,
            Event::Held | Event::Lost | Event::Gone => 3,
        }
    }

    /// What `mirror explain` knows of it.
    pub const fn code(self) -> Option<&'static str> {
        match self {
            Event::Finding => Some(explain::AUDIT),
            Event::Held => Some(explain::AUDIT_HELD),
            Event::Lost => Some(explain::AUDIT_LOST),
            _ => None,
        }
    }
}

/// What an event is about, for a log and for a command: name and value.
pub type Fields = Vec<(&'static str, Vec<u8>)>;

/// The event and the pair.
pub fn of_pair(event: Event, virt: &Path) -> Fields {
    vec![
        ("MIRROR_EVENT", event.word().0.into()),
        ("MIRROR_PAIR", virt.as_os_str().as_bytes().to_vec()),
    ]
}

/// A finding's event.
pub fn event_of(t: &Told<'_>) -> Event {
    match t.first.done {
        Done::Held => Event::Held,
        _ => Event::Finding,
    }
}

/// All about a finding.
pub fn of_finding(t: &Told<'_>, virt: &Path) -> Fields {
    let f = t.first;
    let mut all = of_pair(event_of(t), virt);
    let leg = f.leg.map_or(String::new(), |l| l.letter().into());
    all.push(("MIRROR_LEG", leg.into()));
    all.push(("MIRROR_PATH", f.rel.clone()));
    all.push(("MIRROR_OPERATION", f.op.word().into()));
    all.push(("MIRROR_COUNT", t.times.to_string().into()));
    all.push(("MIRROR_WHY", f.why.key().into()));
    all.push(("MIRROR_DONE", f.done.key().into()));
    if let Some(b) = &f.by {
        all.push(("MIRROR_PID", b.pid.to_string().into()));
        if let Some(uid) = b.uid {
            all.push(("MIRROR_UID", uid.to_string().into()));
        }
        all.push(("MIRROR_PROGRAM", b.name.clone().into()));
    }
    all
}

/// Where entries go.
pub struct Log {
    socket: UnixDatagram,
    journal: bool,
    /// Entries that were not taken.
    pub dropped: u64,
}

impl Log {
    /// `journal`, `syslog`, or one of them and a colon and its socket.
    pub fn open(word: &str) -> Res<Log> {
        let (kind, path) = word.split_once(':').unwrap_or((word, ""));
        let (journal, usual) = match kind {
            "journal" => (true, "/run/systemd/journal/socket"),
            "syslog" => (false, "/dev/log"),
            _ => {
                return Err(Fail::new(
                    Kind::Usage,
                    format!("--log {word}: journal or syslog is meant"),
                ));
            }
        };
        let path = match path {
            "" => PathBuf::from(usual),
            p => PathBuf::from(p),
        };
        let socket = UnixDatagram::unbound().about("a socket")?;
        socket.set_nonblocking(true).about("a socket")?;
        socket.connect(&path).map_err(|e| {
            let other = if journal { "syslog" } else { "journal" };
            let why = crate::fail::reason(&e);
            Fail::failed(format!(
                "no {kind} at {}: {why}. --log {other} may be there",
                text::path(&path)
            ))
        })?;
        Ok(Log {
            socket,
            journal,
            dropped: 0,
        })
    }

    /// Writes one.
    pub fn write(&mut self, event: Event, message: &str, fields: &Fields) {
        let entry = match self.journal {
            true => native(event, message, fields),
            false => classic(event, message),
        };
        if self.socket.send(&entry).is_err() {
            self.dropped += 1;
        }
    }
}

/// A field in the journal's own protocol: by its length, since a value may hold line ends.
fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend(name.bytes());
    entry.push(b'\n');
    entry.extend((value.len() as u64).to_le_bytes());
    entry.extend(value);
    entry.push(b'\n');
}

fn native(event: Event, message: &str, fields: &Fields) -> Vec<u8> {
    let mut b = vec![];
    field(&mut b, "MESSAGE", message.as_bytes());
    field(&mut b, "MESSAGE_ID", event.word().1.as_bytes());
    field(&mut b, "PRIORITY", event.priority().to_string().as_bytes());
    field(&mut b, "SYSLOG_IDENTIFIER", b"mirror");
    if let Some(code) = event.code() {
        field(&mut b, "MIRROR_CODE", code.as_bytes());
    }
    for (name, value) in fields {
        field(&mut b, name, value);
    }
    b
}

/// As libc's syslog(3) writes it: daemon's facility, local time.
fn classic(event: Event, message: &str) -> Vec<u8> {
    const DAEMON: u8 = 3;
    let code = event.code().map_or(String::new(), |c| format!(" ({c})"));
    format!(
        "<{}>{} mirror[{}]: {message}{code}",
        DAEMON * 8 + event.priority(),
        local_time(),
        std::process::id()
    )
    .into_bytes()
}

fn local_time() -> String {
    let mut b = [0u8; 32];
    // SAFETY: out-buffers of the right types; the format is a C string and the length is the buffer's.
    let n = unsafe {
        let now = libc::time(std::ptr::null_mut());
        let mut tm: libc::tm = std::mem::zeroed();
        libc::localtime_r(&now, &mut tm);
        libc::strftime(
            b.as_mut_ptr().cast(),
            b.len(),
            c"%b %e %H:%M:%S".as_ptr(),
            &tm,
        )
    };
    String::from_utf8_lossy(b.get(..n).unwrap_or_default()).into_owned()
}
