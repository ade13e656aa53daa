//! What a program printed and how it ended, with the pair's own paths taken out.
use std::path::PathBuf;

/// The result of one program run.
#[derive(Clone, PartialEq, Eq)]
pub struct Output {
    /// Exit code, or 128 + signal as a shell says it.
    pub code: i32,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: Vec<u8>,
}

impl Output {
    /// Takes over a finished child's result.
    pub fn from_std(o: std::process::Output) -> Output {
        use std::os::unix::process::ExitStatusExt;
        let code = o
            .status
            .code()
            .unwrap_or_else(|| 128 + o.status.signal().unwrap_or(0));
        Output {
            code,
            out: o.stdout,
            err: o.stderr,
        }
    }

    /// Panics unless the program ended with 0.
    #[track_caller]
    pub fn ok(self) -> Output {
        assert!(self.code == 0, "expected success:\n{self:?}");
        self
    }

    /// Standard output as text without the last newline.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out)
            .trim_end_matches('\n')
            .to_owned()
    }

    /// Each path replaced by its name (longest paths first), in both streams.
    pub fn normalised(mut self, names: &[(PathBuf, &str)]) -> Output {
        use std::os::unix::ffi::OsStrExt;
        for (path, name) in names {
            self.out = replace(&self.out, path.as_os_str().as_bytes(), name.as_bytes());
            self.err = replace(&self.err, path.as_os_str().as_bytes(), name.as_bytes());
        }
        self
    }
}

/// All occurrences of `from` replaced.
pub fn replace(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.windows(from.len()).position(|w| w == from) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(to);
        rest = &rest[at + from.len()..];
    }
    out.extend_from_slice(rest);
    out
}

impl std::fmt::Debug for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let tail = |b: &[u8]| {
            let s = String::from_utf8_lossy(b).into_owned();
            let lines: Vec<&str> = s.lines().collect();
            lines[lines.len().saturating_sub(40)..].join("\n   | ")
        };
        write!(
            f,
            "exit {}\n   | {}\nstderr\n   | {}",
            self.code,
            tail(&self.out),
            tail(&self.err)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_become_names() {
        let o = Output {
            code: 0,
            out: b"/t/v/x /t/v2 /t/v".to_vec(),
            err: b"".to_vec(),
        };
        let n = o.normalised(&[("/t/v".into(), "$V")]);
        assert_eq!(n.out, b"$V/x $V2 $V");
    }
}
