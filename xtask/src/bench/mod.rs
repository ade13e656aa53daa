//! `cargo xtask bench`: the same work in a plain directory, by hand (each change made twice), through
//! the mirror, and through other file systems, interleaved in one run; what counts are ratios, since
//! machines and disks are noisy.
mod columns;
mod facts;
mod ground;
mod markdown;
mod net;
mod options;
mod peers;
mod profile;
mod results;
mod rounds;
mod sandbox;
mod scaling;
mod sections;
mod small;
mod stats;
mod svg;
mod text;
mod watch;
mod workloads;

use crate::interrupt;
use crate::{Result, build, target};
use ground::{Floor, Ground};
use options::Options;
use results::{Results, SCHEMA};
use rounds::Plan;
use sandbox::Stand;
use std::fs;
use std::path::Path;
use workloads::Kit;

/// Runs the benchmark; `Ok(false)` when a workload failed in one of our own columns.
pub fn bench(args: &[String]) -> Result<bool> {
    let options = Options::parse(args)?;
    if let Some(file) = &options.from {
        return show(&read(file)?, &options);
    }
    let inside = match stand()? {
        Stand::Done(good) => return Ok(good),
        Stand::Inside => Ok(()),
        Stand::Outside(why) => Err(why),
    };
    let results = measure(&options, inside)?;
    let json = serde_json::to_string_pretty(&results).map_err(|e| e.to_string())?;
    let file = target().join("bench.json");
    fs::write(&file, json + "\n").map_err(|e| format!("{}: {e}", file.display()))?;
    let good = show(&results, &options)?;
    println!("\n{}", file.display());
    Ok(good)
}

/// Profiles some workloads, call by call.
pub fn profile(args: &[String]) -> Result<bool> {
    let options = Options::parse_profile(args)?;
    let inside = match stand()? {
        Stand::Done(good) => return Ok(good),
        Stand::Inside => true,
        Stand::Outside(_) => false,
    };
    let kit_folder = folder()?;
    let kit = Kit::new(&kit_folder)?;
    let profiles = profile::all(&kit, &Floor::choose(None, inside), &options);
    let _ = fs::remove_dir_all(&kit_folder);
    let results = Results {
        when: facts::now(),
        versions: facts::versions(),
        machine: facts::machine(String::new()),
        profiles: profiles?,
        ..Results::default()
    };
    print!("{}", text::profiles(&results));
    if options.write {
        sections::rewrite(
            "docs/PERFORMANCE.md",
            "profile",
            &markdown::profiles(&results),
        )?;
    }
    Ok(true)
}

/// Builds and enters the namespaces (in that order: they have no network).
fn stand() -> Result<Stand> {
    if !sandbox::is_inside() {
        build::build()?;
    }
    crate::use_dist();
    sandbox::enter()
}

/// A new folder for programs and data.
fn folder() -> Result<std::path::PathBuf> {
    let folder = std::env::temp_dir().join(format!("mirror-bench-kit.{}", std::process::id()));
    ground::create(&folder)?;
    Ok(folder)
}

/// All measurements.
fn measure(options: &Options, inside: std::result::Result<(), String>) -> Result<Results> {
    let floor = Floor::choose(options.on.as_deref(), inside.is_ok());
    let kit_folder = folder()?;
    let r = measure_with(options, inside, &floor, &kit_folder);
    let _ = fs::remove_dir_all(&kit_folder);
    r
}

fn measure_with(
    options: &Options,
    inside: std::result::Result<(), String>,
    floor: &Floor,
    kit_folder: &Path,
) -> Result<Results> {
    let kit = Kit::new(kit_folder)?;
    let mut r = Results {
        schema: SCHEMA.into(),
        when: facts::now(),
        quick: options.quick,
        machine: facts::machine(floor.describe()),
        versions: facts::versions(),
        columns: columns::meanings(),
        ..Results::default()
    };
    let wants = |key: &str| options.wants(key);
    let mut plan = Plan {
        name: "main",
        rows: workloads::WORKLOADS,
        own: columns::own,
        rounds: options.rounds.unwrap_or(if options.quick { 3 } else { 9 }),
        divisor: if options.quick { 8 } else { 1 },
        peers: Vec::new(),
        scaling: Some(if options.quick { 200 } else { 600 }),
        wants: &wants,
    };
    {
        let ground = Ground::new(floor)?;
        kit.fill(&ground)?;
        let all = columns::own(&ground);
        if options.wants("start") {
            r.start_us = small::starts(&ground, &all, if options.quick { 100 } else { 500 })?;
        }
        if options.wants("memory") {
            r.private_kib = small::memory(&ground, &all)?;
        }
    }
    let scaled = !scaling::rows(&wants).is_empty();
    if scaled || workloads::WORKLOADS.iter().any(|w| wants(w.key)) {
        let main = rounds::measure(&kit, floor, &plan)?;
        r.parts.push(main.part);
        r.scaling = main.scaling;
    }
    plan.scaling = None;
    if net::ROWS.iter().any(|w| wants(w.key)) {
        (plan.name, plan.rows, plan.own) = ("net", net::ROWS, net::columns);
        r.parts.push(rounds::measure(&kit, floor, &plan)?.part);
        r.columns.push(net::meaning());
        (plan.rows, plan.own) = (workloads::WORKLOADS, columns::own);
    }
    if options.peers {
        let (here, left_out) = peers::present(inside.as_ref().err().map(String::as_str));
        r.left_out = left_out;
        r.columns.extend(here.iter().map(|p| p.meaning()));
        for p in &here {
            r.versions
                .extend(p.version().map(|v| (p.key.to_owned(), v)));
        }
        if !here.is_empty() {
            // Some are a hundred times slower: less work, the same for all, native too.
            plan.name = "peers";
            plan.divisor *= if options.quick { 4 } else { 16 };
            plan.rounds = options.rounds.unwrap_or(if options.quick { 2 } else { 5 });
            plan.peers = here;
            plan.scaling = None;
            let peers = rounds::measure(&kit, floor, &plan)?;
            r.parts.push(peers.part);
            r.columns
                .retain(|c| !peers.left_out.iter().any(|l| l.key == c.key));
            r.left_out.extend(peers.left_out);
        }
    }
    if options.write {
        let default = Options {
            quick: options.quick,
            ..Options::default()
        };
        r.profiles = profile::all(&kit, floor, &default)?;
    }
    r.machine.load[1] = facts::load();
    Ok(r)
}

/// Results of an earlier run.
fn read(file: &Path) -> Result<Results> {
    let text = fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
    let r: Results = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", file.display()))?;
    if r.schema != SCHEMA {
        return Err(format!("{}: schema {:?}", file.display(), r.schema));
    }
    Ok(r)
}

/// Prints the tables and, if asked for, puts them into the documents.
fn show(results: &Results, options: &Options) -> Result<bool> {
    print!("{}", text::report(results));
    if options.write {
        let plot = crate::root().join("docs/bench/ratios.svg");
        fs::write(&plot, svg::plot(results)).map_err(|e| format!("{}: {e}", plot.display()))?;
        sections::rewrite("README.md", "bench", &markdown::readme(results))?;
        sections::rewrite(
            "docs/bench/FIGURES.md",
            "bench",
            &markdown::summary(results),
        )?;
        sections::rewrite(
            "docs/PERFORMANCE.md",
            "figures",
            &markdown::figures(results),
        )?;
        if !results.profiles.is_empty() {
            sections::rewrite(
                "docs/PERFORMANCE.md",
                "profile",
                &markdown::profiles(results),
            )?;
        }
    }
    let own = ["native", "hand", "mirror", net::KEY];
    let rows = results
        .parts
        .iter()
        .flat_map(|p| &p.rows)
        .map(|r| &r.errors);
    let mut errors = rows.chain(results.scaling.iter().map(|s| &s.errors));
    Ok(errors.all(|e| !own.iter().any(|k| e.contains_key(*k))))
}
