//! Step 8: somebody goes past the mirror, on either disk. `mirror audit --heal` sees it, says who where the
//! machine lets it, and makes both trees equal; `mirror verify` is the proof.
use super::Demo;
use crate::Result;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};

/// A program without libmirror.so, which no preload can reach.
const STATIC: &str = r#"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int n, char **a) {
    int fd = n > 1 ? open(a[1], O_WRONLY | O_CREAT | O_TRUNC, 0644) : -1;
    const char *text = "written behind the mirror's back\n";
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return 1;
    close(fd);
    puts("done");
    fflush(stdout);
    return getchar();
}
"#;

/// An audit that has begun, in lines.
struct Audit {
    child: Child,
    out: BufReader<ChildStdout>,
    tier: String,
}

impl Drop for Audit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts a program that writes, says so, and ends with its standard input.
fn writer(c: &mut Command) -> Result<Stranger> {
    let mut child = c
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{c:?}: {e}"))?;
    let mut line = String::new();
    let out = child.stdout.take().ok_or("no pipe")?;
    BufReader::new(out)
        .read_line(&mut line)
        .map_err(|e| e.to_string())?;
    Ok(Stranger(child))
}

/// A program that has gone past the mirror.
struct Stranger(Child);

impl Drop for Stranger {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Demo {
    /// Starts the audit; if there can be none here, what it said.
    fn audit(&self, v: &str) -> Result<std::result::Result<Audit, String>> {
        let mut c = self.command(crate::dist().join("mirror"));
        c.args(["audit", v, "--heal"]);
        let mut child = c
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| e.to_string())?;
        let out = BufReader::new(child.stdout.take().ok_or("no pipe")?);
        let mut a = Audit {
            child,
            out,
            tier: String::new(),
        };
        let mut line = String::new();
        while a.out.read_line(&mut line).map_err(|e| e.to_string())? > 0 {
            if let Some(rest) = line.strip_prefix("mirror audit") {
                let words: Vec<&str> = rest.split("  ").map(str::trim).collect();
                let tier = words.iter().find(|w| w.starts_with('T'));
                a.tier = tier.map_or(String::new(), |t| (*t).to_owned());
            }
            if line.starts_with("watching") {
                return Ok(Ok(a));
            }
            line.clear();
        }
        let mut why = String::new();
        if let Some(mut err) = a.child.stderr.take() {
            let _ = err.read_to_string(&mut why);
        }
        Ok(Err(why.trim().to_owned()))
    }

    /// A static program, or why this one, which is not preloaded either, has to do.
    fn stranger(&self) -> (Option<PathBuf>, &'static str) {
        let (source, program) = (self.path("stranger.c"), self.path("stranger"));
        let built = fs::write(&source, STATIC).is_ok()
            && Command::new("cc")
                .args(["-static", "-o"])
                .args([&program, &source])
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|s| s.success());
        match built {
            true => (Some(program), "a static program"),
            false => (None, "an unmirrored program"),
        }
    }

    pub(super) fn bypass(&mut self) -> Result<()> {
        let v = format!("{}/data", self.root.display());
        let (program, who) = self.stranger();
        let audit = self.audit(&v)?;
        let target = self.path("disk1/bypass");
        // It lives until it has been seen: why a program is not mirrored is asked of what it runs.
        let _stranger = match program {
            Some(p) => Some(writer(self.command(p).arg(&target))?),
            None => {
                fs::write(&target, "written behind the mirror's back\n")
                    .map_err(|e| e.to_string())?;
                None
            }
        };
        // And the other disk, where a change is undone.
        fs::remove_file(self.path("disk2/docs/page7")).map_err(|e| e.to_string())?;
        match audit {
            Ok(audit) => self.healed(audit, &v, who),
            Err(why) => self.by_hand(&v, who, &why),
        }
    }

    /// What the audit saw, and that both are equal.
    fn healed(&mut self, mut audit: Audit, v: &str, who: &str) -> Result<()> {
        let pid = i32::try_from(audit.child.id()).map_err(|e| e.to_string())?;
        // SAFETY: a child of ours that has not been waited for.
        unsafe { libc::kill(pid, libc::SIGTERM) };
        let mut told = String::new();
        audit
            .out
            .read_to_string(&mut told)
            .map_err(|e| e.to_string())?;
        let code = audit.child.wait().map_err(|e| e.to_string())?.code();
        self.say(
            "somebody bypasses the mirror",
            &format!("{who} wrote disk1/bypass, a shell removed disk2/docs/page7"),
        );
        Self::more(&format!("$ mirror audit {v} --heal      {}", audit.tier));
        for line in told
            .lines()
            .filter(|l| l.contains("bypass") || l.contains("page7"))
        {
            Self::more(&line.split_whitespace().collect::<Vec<_>>().join(" "));
        }
        if audit.tier.starts_with("T4") {
            Self::more("who it was, and which bytes, T4 cannot know: sudo mirror audit --explain");
        }
        self.must(
            code == Some(3) && told.contains("bypass") && told.contains("page7"),
            &format!("audit: exit {code:?}: {told}"),
        );
        let (code, text) = self.mirror(&["verify", v])?;
        let equal = if code == 0 {
            "healed, equal"
        } else {
            "NOT EQUAL"
        };
        Self::more(&format!("$ mirror verify   -> {equal}"));
        self.must(code == 0 && self.compare().2.is_empty(), &text);
        Ok(())
    }

    /// Without an audit: found by comparing, repaired by hand.
    fn by_hand(&mut self, v: &str, who: &str, why: &str) -> Result<()> {
        let (found, text) = self.mirror(&["verify", v])?;
        self.say(
            "somebody bypasses the mirror",
            &format!("{who} wrote disk1/bypass: $ mirror verify"),
        );
        Self::more(&format!("no audit here: {why}"));
        Self::more(text.lines().find(|l| l.contains("bypass")).unwrap_or(&text));
        self.must(
            found == 1 && text.contains("bypass"),
            &format!("verify: exit {found}"),
        );
        let (code, text) = self.mirror(&["resync", v, "--yes"])?;
        self.must(code == 0, &text);
        let (code, _) = self.mirror(&["verify", v])?;
        let equal = if code == 0 {
            "repaired, equal"
        } else {
            "NOT EQUAL"
        };
        Self::more(&format!("$ mirror resync; mirror verify   -> {equal}"));
        self.must(code == 0 && self.compare().2.is_empty(), "still different");
        Ok(())
    }
}
