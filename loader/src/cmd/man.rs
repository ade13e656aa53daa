//! The manual: mirror(1) and a page per subcommand from the definition of the command line, and pages
//! written by hand. The page of `mirror run` is mirror-run-command(1): mirror-run(1) is the script's,
//! since that is the name that is typed.
use super::sub::{CommandLine, Sub};
use crate::fail::{Context, Fail, Res};
use crate::output;
use crate::text;
use clap::Args;
use clap_mangen::Man;
use std::path::Path;
use std::path::PathBuf;

const BY_HAND: [(&str, &str); 3] = [
    ("man1/mirror-run.1", include_str!("../../man/mirror-run.1")),
    ("man5/mirrortab.5", include_str!("../../man/mirrortab.5")),
    ("man7/mirror.7", include_str!("../../man/mirror.7")),
];

const OTHERS: &str = "0 done, 1 failed, 64 wrong usage, 77 no permission, 78 configuration.";

/// What a page says beyond the definition: its name, its exit codes, and examples with what they do.
struct More {
    name: &'static str,
    exit: &'static str,
    examples: &'static [(&'static str, &'static str)],
}

const MORE: [More; 21] = [
    More {
        name: "mirror",
        exit: "That of the subcommand; see their pages. 64: no such subcommand.",
        examples: &[
            ("mirror try", "a pair to throw away, and a shell in it"),
            (
                "mirror init /srv/data /mnt/disk2/data",
                "two directories become a pair",
            ),
            ("mirror run -- COMMAND", "its changes reach both"),
        ],
    },
    More {
        name: "mirror-init",
        exit: OTHERS,
        examples: &[
            (
                "mirror init /srv/data /mnt/nas/data",
                "in place: programs go on using /srv/data",
            ),
            (
                "mirror init /disk1/git /disk2/git --at /srv/git",
                "V is a link to leg a",
            ),
            (
                "mirror init -n /srv/data /mnt/nas/data",
                "only says what would be done",
            ),
            (
                "mirror init a b --source b --yes",
                "b wins; what a loses is kept aside",
            ),
        ],
    },
    More {
        name: "mirror-run-command",
        exit: "That of the command; 125 a failure of mirror, 126 not runnable, 127 not found.",
        examples: &[
            (
                "mirror run -- make install",
                "starts a command under the mirror",
            ),
            (
                "mirror run --exec --pair /srv/data -- redis-server /etc/redis.conf",
                "a service",
            ),
            (
                "mirror run --require in-sync -- backup.sh",
                "only while both legs are equal",
            ),
        ],
    },
    More {
        name: "mirror-status",
        exit: "0 in sync, 1 not in sync or something is pending, 2 no usable leg, 3 unknown (no such pair, no permission).",
        examples: &[
            ("mirror status", "all pairs, a line each"),
            ("mirror status /srv/data", "one pair in detail"),
            ("mirror status --json", "for programs"),
        ],
    },
    More {
        name: "mirror-verify",
        exit: "0 equal, 1 different, 2 trouble.",
        examples: &[(
            "mirror verify /srv/data",
            "compares both legs while programs run",
        )],
    },
    More {
        name: "mirror-resync",
        exit: "0 whole, 1 finished with paths left, 2 refused, 3 interrupted (the same command goes on).",
        examples: &[
            ("mirror resync -n /srv/data", "only says what would be done"),
            (
                "mirror resync /srv/data",
                "makes b like a, after a question",
            ),
            ("mirror resync /srv/data --from b --yes", "makes a like b"),
        ],
    },
    More {
        name: "mirror-diff",
        exit: "0 equal, 1 different, 2 trouble.",
        examples: &[
            ("mirror diff /srv/data", "the legs of a pair"),
            ("mirror diff /srv/data /mnt/old", "two directories"),
        ],
    },
    More {
        name: "mirror-audit",
        exit: "0 nothing was found, 3 changes that were not mirrored, 4 events were lost, whatever else was found, 1 a leg went away or trouble. With a command: that of the command if it is not 0.",
        examples: &[
            (
                "sudo mirror audit /srv/data",
                "tells every change that did not go through the mirror, until ^C",
            ),
            (
                "mirror audit /srv/data --heal",
                "makes leg b like leg a again after each; more than 100 removals at once are held",
            ),
            (
                "mirror audit /srv/data --heal --dry-run",
                "only says what would be healed",
            ),
            (
                "mirror audit /srv/data --held list",
                "what the brake held; restore puts it back, carry removes it on the other leg too",
            ),
            (
                "mirror audit /srv/data --summary",
                "in place of lines a table at the end: who, why, where",
            ),
            (
                "mirror audit --metrics 9555 --log journal",
                "as a service: numbers for Prometheus, findings in the journal",
            ),
            (
                "mirror audit --exec 'mail -s \"$MIRROR_PAIR: $MIRROR_EVENT\" root </dev/null'",
                "a command for each finding; MIRROR_LEG, MIRROR_PATH, MIRROR_WHY, MIRROR_DONE, MIRROR_PROGRAM and others say what it is about",
            ),
            (
                "mirror audit -- make install",
                "runs a command mirrored and says what of it was not",
            ),
            (
                "mirror audit --explain",
                "what can be seen here, and what not",
            ),
        ],
    },
    More {
        name: "mirror-ps",
        exit: OTHERS,
        examples: &[("mirror ps /srv/data", "who is attached")],
    },
    More {
        name: "mirror-wait",
        exit: "0 in sync, 1 not in time, 64 wrong usage, 77 no permission, 78 configuration.",
        examples: &[("mirror wait /srv/data --timeout 60", "a minute at most")],
    },
    More {
        name: "mirror-try",
        exit: "That of the command or shell; 125 a failure of mirror, 126 not runnable, 127 not found.",
        examples: &[
            ("mirror try", "a shell in a pair that is removed at its end"),
            (
                "mirror try --keep -- sh -c 'echo hello > f'",
                "one command; the folder stays",
            ),
        ],
    },
    More {
        name: "mirror-detach",
        exit: OTHERS,
        examples: &[("mirror detach /srv/data", "both trees stay as they are")],
    },
    More {
        name: "mirror-doctor",
        exit: "0 all is well, 1 something is not, 64 wrong usage.",
        examples: &[
            ("mirror doctor", "checks the machine"),
            ("mirror doctor nginx", "checks one command"),
            (
                "mirror doctor --prepare",
                "as root, after libc or many programs were updated",
            ),
        ],
    },
    More {
        name: "mirror-leg",
        exit: "Those of the subcommand; see their pages.",
        examples: &[(
            "mirror leg offline /srv/data b",
            "programs go on with leg a alone",
        )],
    },
    More {
        name: "mirror-leg-offline",
        exit: "0 leg b is offline, or was already, 1 failed (leg a cannot be used, a first copy has not finished), 64 usage (no such pair, leg a), 77 no permission, 78 configuration.",
        examples: &[(
            "mirror leg offline /srv/data b",
            "programs let go of leg b at their next change; then it can be unmounted",
        )],
    },
    More {
        name: "mirror-leg-online",
        exit: "0 in sync, leg b was not away, or a dry run, 1 leg b is not back yet (a program works on leg a alone, or paths are left), or failed, 2 refused (a leg cannot be used, leg a is empty, another repair runs, no permission), 3 interrupted (the same command goes on), 64 usage (no such pair, leg a), 78 configuration.",
        examples: &[(
            "mirror leg online /srv/data b --yes",
            "makes leg b like leg a; what b loses is kept aside",
        )],
    },
    More {
        name: "mirror-leg-replace",
        exit: "Before the new leg is made: 1 failed (no room, leg a cannot be used, an audit that stays), 64 refused or usage (the directory cannot be the new leg, programs use the pair, nobody can be asked), 77 no permission, 78 configuration. Then: 0 in sync with the new leg b, or a dry run, 1 not yet (a program works on leg a alone, or paths are left), or failed, 2 refused by the copy, 3 interrupted (the same command goes on).",
        examples: &[(
            "mirror leg replace /srv/data b /disk3/data",
            "copies leg a to an empty directory, which is leg b from then on",
        )],
    },
    More {
        name: "mirror-config",
        exit: OTHERS,
        examples: &[("mirror config check", "checks all files that count")],
    },
    More {
        name: "mirror-config-check",
        exit: "0 all is well, 64 wrong usage, 78 a fault, with file and line.",
        examples: &[
            ("mirror config check", "checks all files that count"),
            ("mirror config check ./mirrortab", "checks one file"),
        ],
    },
    More {
        name: "mirror-explain",
        exit: "0 explained, 64 no such code.",
        examples: &[("mirror explain M-101", "what it means and what to do")],
    },
    More {
        name: "mirror-completions",
        exit: "0 printed, 64 no such shell.",
        examples: &[(
            "mirror completions bash > /etc/bash_completion.d/mirror",
            "options and pairs are completed",
        )],
    },
];

/// Write the manual pages
#[derive(Args)]
pub struct Pages {
    /// The folder; man1, man5 and man7 are made in it
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Sub for Pages {
    const NAME: &'static str = "man";
    fn run(&self, line: CommandLine) -> Res<u8> {
        run(line(), &self.out)
    }
}

/// Writes everything below `out`.
fn run(mut command: clap::Command, out: &Path) -> Res<u8> {
    command.build();
    for dir in ["man1", "man5", "man7"] {
        let d = out.join(dir);
        std::fs::create_dir_all(&d).about(text::path(&d))?;
    }
    let mut pages = 0;
    page(&command, "mirror", out, &mut pages)?;
    for (name, content) in BY_HAND {
        let f = out.join(name);
        std::fs::write(&f, content).about(text::path(&f))?;
        pages += 1;
    }
    output::say!("{pages} manual pages in {}", text::path(out));
    Ok(0)
}

/// The name of a subcommand's page.
fn page_name(above: &str, sub: &str) -> String {
    match (above, sub) {
        ("mirror", "run") => "mirror-run-command".into(),
        _ => format!("{above}-{sub}"),
    }
}

/// A line of text as roff takes it.
fn roff(s: &str) -> String {
    let s = s
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .replace('\'', "\\(aq");
    if s.starts_with('.') {
        format!("\\&{s}")
    } else {
        s
    }
}

/// The synopsis with the options' arguments.
fn synopsis(c: &clap::Command) -> String {
    let mut words = vec![format!(
        "\\fB{}\\fR",
        roff(c.get_bin_name().unwrap_or("mirror"))
    )];
    for a in c
        .get_arguments()
        .filter(|a| !a.is_hide_set() && !a.is_positional())
    {
        let Some(long) = a.get_long() else { continue };
        let short = a
            .get_short()
            .map(|s| format!("\\fB\\-{s}\\fR|"))
            .unwrap_or_default();
        let value = match (a.get_action().takes_values(), a.get_value_names()) {
            (true, Some(names)) => format!(" \\fI{}\\fR", roff(&names.join(" "))),
            _ => String::new(),
        };
        words.push(format!("[{short}\\fB\\-\\-{}\\fR{value}]", roff(long)));
    }
    for a in c.get_positionals().filter(|a| !a.is_hide_set()) {
        let name = a
            .get_value_names()
            .map_or_else(|| a.get_id().to_string(), |n| n.join(" "));
        let many = if a.is_trailing_var_arg_set() {
            " ..."
        } else {
            ""
        };
        let name = format!("\\fI{}\\fR{many}", roff(&name));
        words.push(if a.is_required_set() {
            name
        } else {
            format!("[{name}]")
        });
    }
    if c.has_subcommands() {
        words.push("\\fISUBCOMMAND\\fR".into());
    }
    format!(".SH SYNOPSIS\n{}\n", words.join(" "))
}

fn tail(name: &str) -> String {
    let Some(m) = MORE.iter().find(|m| m.name == name) else {
        return String::new();
    };
    let mut out = format!(".SH \"EXIT STATUS\"\n{}\n.SH EXAMPLES\n", roff(m.exit));
    for (line, what) in m.examples {
        out += &format!(".TP\n\\fB{}\\fR\n{}\n", roff(line), roff(what));
    }
    let related = match name {
        "mirror-run-command" => "\\fBmirror\\-run\\fR(1), the script; ",
        _ => "",
    };
    let own = if name == "mirror" {
        ""
    } else {
        "\\fBmirror\\fR(1), "
    };
    out + &format!(".SH \"SEE ALSO\"\n{related}{own}\\fBmirrortab\\fR(5), \\fBmirror\\fR(7)\n")
}

/// One page, and those of the subcommands below.
fn page(command: &clap::Command, name: &str, out: &Path, pages: &mut u32) -> Res<()> {
    let file = out.join("man1").join(format!("{name}.1"));
    let shown = command.clone().mut_args(|a| a.hide_short_help(false));
    let man = Man::new(shown.clone())
        .title(name.to_uppercase())
        .manual("Mirror File System");
    let mut page = Vec::new();
    let mut write = || -> std::io::Result<()> {
        man.render_title(&mut page)?;
        man.render_name_section(&mut page)?;
        page.extend_from_slice(synopsis(&shown).as_bytes());
        man.render_description_section(&mut page)?;
        if shown.get_arguments().any(|a| !a.is_hide_set()) {
            man.render_options_section(&mut page)?;
        }
        if shown.has_subcommands() {
            man.render_subcommands_section(&mut page)?;
        }
        Ok(())
    };
    write().map_err(|e| Fail::io(text::path(&file), e))?;
    // The page of `mirror run` has another name.
    let body =
        String::from_utf8_lossy(&page).replace("mirror\\-run(1)", "mirror\\-run\\-command(1)");
    std::fs::write(&file, body + &tail(name)).about(text::path(&file))?;
    *pages += 1;
    for sub in command.get_subcommands() {
        if !sub.is_hide_set() && sub.get_name() != "help" {
            page_of(sub, name, out, pages)?;
        }
    }
    Ok(())
}

fn page_of(sub: &clap::Command, above: &str, out: &Path, pages: &mut u32) -> Res<()> {
    page(sub, &page_name(above, sub.get_name()), out, pages)
}
