//! The command line of `cargo xtask bench` and `cargo xtask profile`.
use crate::Result;
use std::path::PathBuf;

/// What was asked for.
#[derive(Default, Debug, PartialEq)]
pub struct Options {
    /// A short run.
    pub quick: bool,
    /// The peers too.
    pub peers: bool,
    /// Put the figures into README.md and docs/.
    pub write: bool,
    /// Only workloads whose keys begin with one of these; empty means all.
    pub only: Vec<String>,
    /// How many rounds, if not as many as usual.
    pub rounds: Option<usize>,
    /// A directory on the file system to measure, instead of fresh ones in memory.
    pub on: Option<PathBuf>,
    /// Results of an earlier run, to be shown and written again.
    pub from: Option<PathBuf>,
}

/// The flags, for the usage text.
const FLAGS: &str = "[--quick] [--peers] [--only w2,w3] [--rounds N] [--on DIR] [--from FILE.json] [--write-readme]";

impl Options {
    /// Reads the arguments of `cargo xtask bench`.
    pub fn parse(args: &[String]) -> Result<Options> {
        let mut o = Options::default();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().ok_or_else(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "--quick" => o.quick = true,
                "--peers" => o.peers = true,
                "--write-readme" => o.write = true,
                "--only" => o.only.extend(value()?.split(',').map(str::to_owned)),
                "--rounds" => {
                    let n = value()?.parse().ok().filter(|n| *n > 0);
                    o.rounds = Some(n.ok_or("--rounds needs a number")?);
                }
                "--on" => o.on = Some(absolute(value()?)?),
                "--from" => o.from = Some(absolute(value()?)?),
                _ => return Err(format!("unknown option {arg}; bench takes {FLAGS}")),
            }
        }
        if o.write && !o.only.is_empty() {
            return Err("--write-readme wants all rows, not --only some".into());
        }
        Ok(o)
    }

    /// Reads the arguments of `cargo xtask profile`: keys of workloads and `--write-doc`.
    pub fn parse_profile(args: &[String]) -> Result<Options> {
        let mut o = Options::default();
        for arg in args {
            match arg.as_str() {
                "--quick" => o.quick = true,
                "--write-doc" => o.write = true,
                a if a.starts_with('-') => {
                    return Err(format!(
                        "unknown option {a}; profile takes [--quick] [--write-doc] and workloads"
                    ));
                }
                _ => o.only.push(arg.clone()),
            }
        }
        Ok(o)
    }

    /// Whether the workload of this key was asked for.
    pub fn wants(&self, key: &str) -> bool {
        self.only.is_empty()
            || self
                .only
                .iter()
                .any(|o| !o.is_empty() && key.starts_with(o.as_str()))
    }
}

fn absolute(path: &str) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| format!("{path}: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Options> {
        let args: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        Options::parse(&args)
    }

    #[test]
    fn flags_and_values() {
        let o = parse("--quick --only w2,w3 --rounds 4 --on /x --peers").unwrap();
        assert!(o.quick && o.peers && !o.write);
        assert_eq!((o.rounds, o.on.as_deref()), (Some(4), Some("/x".as_ref())));
        assert!(o.wants("w2") && !o.wants("w1"));
        assert!(parse("").unwrap().wants("w1"));
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parse("--quik").is_err());
        assert!(parse("--rounds").is_err());
        assert!(parse("--rounds 0").is_err());
        assert!(parse("w2").is_err());
        assert!(parse("--write-readme --only w2").is_err());
        assert!(Options::parse_profile(&["--only".into()]).is_err());
    }
}
