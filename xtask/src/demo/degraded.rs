//! Steps 6 and 7: the second disk goes away while programs work, and comes back.
use super::Demo;
use crate::Result;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

/// A mirrored program that appends each line which it is told to `data/log`, and says so.
pub(super) struct Running {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.to.take());
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(d: &Demo) -> Result<Running> {
        let script = "exec 7>>data/log; while read -r l; do echo \"$l\" >&7 && echo written || echo refused; done";
        // By --exec no parent keeps the disk busy.
        let mut child = d
            .command(crate::dist().join("mirror"))
            .args(["run", "--exec", "--", "sh", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let from = child.stdout.take().ok_or("no pipe")?;
        Ok(Running {
            to: child.stdin.take(),
            child,
            from: BufReader::new(from),
        })
    }

    /// Whether it could append the line.
    fn writes(&mut self, line: &str) -> bool {
        let mut answer = String::new();
        let told = self
            .to
            .as_mut()
            .is_some_and(|to| writeln!(to, "{line}").and_then(|()| to.flush()).is_ok());
        told && self.from.read_line(&mut answer).is_ok() && answer == "written\n"
    }
}

impl Demo {
    pub(super) fn goes_away(&mut self) -> Result<Running> {
        let v = format!("{}/data", self.root.display());
        let mut running = Running::start(self)?;
        let mut goes_on = running.writes("both disks");
        let (code, text) = self.mirror(&["leg", "offline", &v, "b"])?;
        self.must(code == 0, &text);
        // It lets go of the disk at its next change.
        goes_on &= running.writes("one disk");
        fs::rename(self.path("disk2"), self.path("unplugged")).map_err(|e| e.to_string())?;
        self.say(
            "a disk goes away",
            "$ mirror leg offline data b; disk2 is moved away   (one that fails is left behind without that)",
        );
        goes_on &= running.writes("disk2 is not there");
        self.must(goes_on, "the running program was refused a write");
        let script = "cd data; cp -a docs since; rm docs/page9; mv docs/page10 docs/ten; echo new > alone; cat log";
        let (code, text) = self.mirror(&["run", "--", "sh", "-euc", script])?;
        let lines = text.lines().count();
        self.must(
            code == 0 && text.ends_with("disk2 is not there") && lines == 3,
            &format!("exit {code}: {text}"),
        );
        Self::more(&format!(
            "a program that runs goes on ({lines} of 3 lines written), and so does a new one: cp -a, rm, mv"
        ));
        let (code, text) = self.mirror(&["status", &v])?;
        let state = text.lines().find_map(|l| l.trim().strip_prefix("state"));
        let state = state.unwrap_or("?").trim().to_owned();
        Self::more(&format!("$ mirror status   -> {state}"));
        self.must(code == 1 && state == "DEGRADED", &text);
        Ok(running)
    }

    pub(super) fn returns(&mut self, mut running: Running) -> Result<()> {
        let v = format!("{}/data", self.root.display());
        fs::rename(self.path("unplugged"), self.path("disk2")).map_err(|e| e.to_string())?;
        let lacks = self.compare().2.len();
        self.must(lacks > 300, "disk2 lacks nothing, though it was away");
        self.say(
            "…and returns",
            "$ mirror leg online data b, beside the program that runs",
        );
        let (code, text) = self.mirror(&["leg", "online", &v, "b", "--yes"])?;
        self.must(code == 0, &format!("exit {code}: {text}"));
        let goes_on = running.writes("both disks again");
        drop(running);
        self.must(goes_on, "the running program was refused a write");
        let (a, b, differences) = self.compare();
        let equal = match differences.is_empty() {
            true => "equal",
            false => "DIFFERENT",
        };
        Self::more(&format!(
            "{lacks} differences made good: disk1 {a} files   disk2 {b} files   {equal}"
        ));
        self.must(differences.is_empty(), &differences.join("; "));
        let (code, text) = self.mirror(&["status", &v])?;
        self.must(code == 0, &text);
        Ok(())
    }
}
