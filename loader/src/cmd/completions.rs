//! Completions for shells: clap's, and the names of pairs, which the command itself is asked for.
use super::sub::{CommandLine, Sub};
use crate::fail::Res;
use crate::output;
use crate::pair::tab;
use clap::Args;
use clap_complete::Shell;

/// Subcommands whose word is a pair.
const WITH_PAIR: &str = "status verify resync diff audit monitor ps wait detach remove";

const BASH: &str = r#"
_mirror_with_pairs() {
    _mirror "${@}"
    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} pair
    case " WITH_PAIR " in
        *" ${COMP_WORDS[1]} "*) [ "$COMP_CWORD" -gt 1 ] || return 0 ;;
        *) [ "${COMP_WORDS[1]}" = run ] && [ "$prev" = --pair ] || return 0 ;;
    esac
    case $cur in -*) return 0 ;; esac
    while IFS= read -r pair; do
        case $pair in "$cur"*) COMPREPLY+=("$(printf %q "$pair")") ;; esac
    done < <(mirror __pairs 2>/dev/null)
}
complete -F _mirror_with_pairs -o bashdefault -o default mirror
"#;

const FISH: &str = r#"
complete -c mirror -n "__fish_seen_subcommand_from WITH_PAIR" -a "(mirror __pairs 2>/dev/null)"
complete -c mirror -n "__fish_seen_subcommand_from run" -l pair -x -a "(mirror __pairs 2>/dev/null)"
"#;

const ZSH: &str = r#"
(( $+functions[_mirror_pairs] )) ||
_mirror_pairs() {
    local -a pairs
    pairs=(${(f)"$(mirror __pairs 2>/dev/null)"})
    compadd -a pairs
    _files
}
"#;

/// Print completions for a shell
#[derive(Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Sub for Completions {
    const NAME: &'static str = "completions";
    fn run(&self, line: CommandLine) -> Res<u8> {
        run(self.shell, &mut visible(&line()))
    }
}

/// Print the names of pairs, for completion
#[derive(Args)]
pub struct Pairs {}

impl Sub for Pairs {
    const NAME: &'static str = "__pairs";
    fn run(&self, _: CommandLine) -> Res<u8> {
        pairs()
    }
}

/// The command line without what is for ourselves alone.
fn visible(all: &clap::Command) -> clap::Command {
    let shown = all.get_subcommands().filter(|s| !s.is_hide_set()).cloned();
    clap::Command::new("mirror")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommands(shown.collect::<Vec<_>>())
}

/// Prints the script.
fn run(shell: Shell, command: &mut clap::Command) -> Res<u8> {
    let mut made = Vec::new();
    clap_complete::generate(shell, command, "mirror", &mut made);
    let mut text = String::from_utf8_lossy(&made).trim_end().to_string();
    match shell {
        Shell::Bash => text += &BASH.replace("WITH_PAIR", WITH_PAIR),
        Shell::Fish => text += &FISH.replace("WITH_PAIR", WITH_PAIR),
        Shell::Zsh => {
            let pairs = |l: &str| {
                let one = l.contains("pair -- The pair")
                    || l.contains("first -- A pair")
                    || l.contains("--pair=");
                if one {
                    l.replace(":_files", ":_mirror_pairs")
                } else {
                    l.to_string()
                }
            };
            let lines: Vec<String> = text.lines().map(pairs).collect();
            // Before the function that calls it, behind the #compdef line and what follows it.
            let at = lines
                .iter()
                .position(|l| l.starts_with("_mirror()"))
                .unwrap_or(1);
            let (head, body) = lines.split_at(at);
            text = format!("{}\n{ZSH}\n{}", head.join("\n"), body.join("\n"));
        }
        _ => {}
    }
    output::say!("{}", text.trim_end());
    Ok(0)
}

/// Prints the virtual directories, for completion.
fn pairs() -> Res<u8> {
    for l in tab::load()? {
        // A name of two lines cannot be offered.
        if let Some(v) = l.virt.to_str().filter(|v| !v.contains('\n')) {
            output::say!("{v}");
        }
    }
    Ok(0)
}
