//! What a service manager is told (sd_notify's protocol): that the audit has begun, how it stands, that it
//! lives.
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::{Duration, Instant};

/// The manager, if there is one.
pub struct Service {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear that this process lives.
    pulse: Option<Duration>,
    next: Instant,
    said: String,
}

/// The variable that names its socket.
pub const SOCKET: &str = "NOTIFY_SOCKET";

fn socket() -> Option<(UnixDatagram, SocketAddr)> {
    let name = std::env::var_os(SOCKET)?;
    let address = match name.as_bytes() {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
        [b'/', ..] => SocketAddr::from_pathname(&name),
        _ => return None,
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, address.ok()?))
}

/// Half of what WATCHDOG_USEC says, if it is for this process.
fn pulse() -> Option<Duration> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let own = number("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    let wanted = number("WATCHDOG_USEC").filter(|us| own && *us > 0)?;
    Some(Duration::from_micros(wanted / 2))
}

impl Service {
    /// That of the environment.
    pub fn of_environment() -> Service {
        let socket = socket();
        Service {
            pulse: pulse().filter(|_| socket.is_some()),
            socket,
            next: Instant::now(),
            said: String::new(),
        }
    }

    fn tell(&self, text: &str) {
        if let Some((socket, address)) = &self.socket {
            // A manager that does not listen has no say.
            let _ = socket.send_to_addr(text.as_bytes(), address);
        }
    }

    /// Everything from here on is seen.
    pub fn ready(&mut self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
        self.said = status.into();
    }

    /// The loop has come round.
    pub fn alive(&mut self, status: impl FnOnce() -> String) {
        if self.socket.is_none() || Instant::now() < self.next {
            return;
        }
        let status = status();
        if status != self.said {
            self.tell(&format!("STATUS={status}"));
            self.said = status;
        }
        if self.pulse.is_some() {
            self.tell("WATCHDOG=1");
        }
        let often = Duration::from_secs(5);
        self.next = Instant::now() + self.pulse.map_or(often, |p| p.min(often));
    }

    /// When [`Service::alive`] has something to say again.
    pub fn next(&self) -> Option<Instant> {
        self.socket.as_ref().map(|_| self.next)
    }

    /// The end has begun.
    pub fn ends(&self) {
        self.tell("STOPPING=1");
    }
}
