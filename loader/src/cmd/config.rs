//! `mirror config check`: whether the mirrortab files are right.
use super::json;
use super::sub::{CommandLine, Sub};
use crate::fail::{Fail, Kind, Res};
use crate::pair::{room, tab};
use crate::{output, text};
use clap::{Args, Subcommand};
use std::path::{Path, PathBuf};

/// Work with the mirrortab
#[derive(Args)]
pub struct Config {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Check the mirrortab files, or one file
    Check {
        /// The file
        file: Option<PathBuf>,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
}

impl Sub for Config {
    const NAME: &'static str = "config check";
    fn reports(&self) -> bool {
        let What::Check { json, .. } = self.what;
        json
    }
    fn run(&self, _: CommandLine) -> Res<u8> {
        let What::Check { file, .. } = &self.what;
        check(file.as_deref())
    }
}

/// Checks one file, or everything that counts here. Exit code 78 comes from the failure's kind.
fn check(file: Option<&Path>) -> Res<u8> {
    let all = match file {
        Some(f) => {
            let content = tab::read_trusted(f)?.ok_or_else(|| {
                Fail::new(Kind::Config, format!("{}: no such file", text::path(f)))
            })?;
            let all = tab::parse(f, &content)?;
            tab::check_overlaps(&all)?;
            all
        }
        None => tab::load()?,
    };
    if all.is_empty() {
        let e = tab::none();
        output::say!(
            "{}",
            file.map_or(e.text, |f| format!("{}: no pairs", text::path(f)))
        );
        return Ok(0);
    }
    for l in &all {
        output::push(
            "pairs",
            &json::Line {
                virt: l.virt.as_path().into(),
                leg_a: l.legs.a.as_path().into(),
                leg_b: l.legs.b.as_path().into(),
                place: l.place(),
                options: l.options(),
            },
        );
        output::say!(
            "{}  {}  a {}  b {}  {}",
            l.place(),
            text::path(&l.virt),
            text::path(&l.legs.a),
            text::path(&l.legs.b),
            l.shown_options()
        );
    }
    room::check(&all)?;
    output::say!("OK  {}", text::plural(all.len() as u64, "pair"));
    Ok(0)
}
