//! The tables as Markdown, for the marked sections of README.md, docs/bench/FIGURES.md and docs/PERFORMANCE.md.
use super::results::{Part, Profile, Results, Scaling};
use super::scaling::BAR;
use super::stats::Five;
use super::text::{self, PROFILED, heading, short, spread};
use std::fmt::Write as _;

/// The rows that the README shows.
const README: &[&str] = &["w2", "w3", "stat", "w7d", "w8", "w9"];

/// The README's section: the medians of some rows.
pub fn readme(r: &Results) -> String {
    let mut t = String::new();
    if let Some(main) = part_of(r, "main") {
        let rows = main
            .rows
            .iter()
            .filter(|row| README.contains(&row.key.as_str()));
        let rows = rows.map(|row| {
            let median = |k: &str| row.ratios.get(k).map_or_else(|| "–".into(), marked);
            vec![row.title.clone(), median("hand"), median("mirror")]
        });
        table(&mut t, &["Work", "by hand", "mirror"], rows);
    }
    t
}

/// The section of docs/bench/FIGURES.md: the plot, which shows the peers too, and our own medians.
pub fn summary(r: &Results) -> String {
    let mut t = String::from("![Ratios to one plain directory](ratios.svg)\n");
    if let Some(main) = part_of(r, "main") {
        let rows = main.rows.iter().map(|row| {
            let median = |k: &str| row.ratios.get(k).map_or_else(|| "–".into(), marked);
            vec![
                row.title.clone(),
                median("hand"),
                median("mirror"),
                spread(row.ratios.get("mirror/hand")),
            ]
        });
        table(
            &mut t,
            &["Work", "by hand", "mirror", "mirror / by hand [quartiles]"],
            rows,
        );
    }
    if !r.scaling.is_empty() {
        let n = r.scaling[0].processes;
        let _ = writeln!(
            t,
            "\n{n} processes at once against one, times the throughput:"
        );
        let rows = r.scaling.iter().map(|s| scaling(s, marked));
        table(&mut t, SCALING, rows);
    }
    let noise = text::noise(r);
    // The names of the rows are for those who read on.
    let short = noise.split(": ").take(2).collect::<Vec<_>>().join(": ");
    let _ = writeln!(
        t,
        "\n{}",
        conditions(r, &format!("{}.", short.trim_end_matches('.')))
    );
    t
}

const SCALING: &[&str] = &["Work", "native", "by hand", "mirror", "mirror / by hand"];

/// The section of docs/PERFORMANCE.md with all figures.
pub fn figures(r: &Results) -> String {
    let mut t = conditions(r, &text::noise(r)) + "\n";
    let meanings = r
        .columns
        .iter()
        .map(|c| vec![c.label.clone(), c.meaning.clone()]);
    table(&mut t, &["Column", "What it is"], meanings);
    for l in &r.left_out {
        let _ = writeln!(t, "\nLeft out: {} ({}).", l.key, l.reason);
    }
    for p in &r.parts {
        let keys = text::ratio_keys(p);
        let _ = writeln!(
            t,
            "\n### {} ({} rounds)\n\nRatios to native: median [quartiles] (least to greatest).",
            match p.name.as_str() {
                "peers" => "Peers",
                "net" => "A process with the net",
                _ => "Mirror",
            },
            p.rounds
        );
        let rows = p.rows.iter().map(|row| {
            let samples = row.samples.get("native");
            let native = samples.and_then(|s| Five::of(s.iter().copied()));
            let mut cells = vec![
                format!("{} {}", row.key, row.title),
                native.map_or_else(|| "–".into(), |f| format!("{:.3} s", f.median)),
            ];
            cells.extend(
                keys.iter()
                    .map(|k| whole(row.ratios.get(*k), row.errors.get(*k))),
            );
            cells
        });
        let headings: Vec<&str> = ["Work", "native"]
            .into_iter()
            .chain(keys.iter().map(|k| heading(k)))
            .collect();
        table(&mut t, &headings, rows);
    }
    if let Some(first) = r.scaling.first() {
        let _ = writeln!(
            t,
            "\n### {} processes against one\n\nTimes the throughput of one process. The bar for mirror / by hand is {BAR}.",
            first.processes
        );
        table(
            &mut t,
            SCALING,
            r.scaling
                .iter()
                .map(|s| scaling(s, |f| whole(Some(f), None))),
        );
    }
    t
}

/// The section of docs/PERFORMANCE.md with the profiles.
pub fn profiles(r: &Results) -> String {
    let mut t = format!(
        "As of mirror {}, {} on {}, Linux {}.\n",
        r.versions.get("mirror").map_or("?", String::as_str),
        r.when,
        r.machine.cpu,
        r.machine.kernel
    );
    r.profiles.iter().for_each(|p| profile(&mut t, p));
    t
}

fn profile(t: &mut String, p: &Profile) {
    let _ = writeln!(
        t,
        "\n### {}: {}\n\nCalls × nanoseconds each = nanoseconds. {}.",
        p.key,
        p.title,
        title(&p.method)
    );
    let ns = |x: Option<f64>| x.map_or_else(|| "–".into(), |x| format!("{x:.0}"));
    let total = |c: &str| p.total_ns.get(c).copied();
    let line = |name: &str, cell: &dyn Fn(&str) -> String| {
        let mut cells = vec![name.to_owned()];
        cells.extend(PROFILED.iter().map(|c| cell(c)));
        let by =
            |c: &str| text::call(p, c, name).map(|c| c.per_operation * c.ns.unwrap_or(f64::NAN));
        let over = by("mirror").map(|m| m - by("hand").unwrap_or(0.0));
        cells.push(
            over.filter(|x| x.is_finite())
                .map_or_else(String::new, |x| format!("{x:+.0}")),
        );
        cells
    };
    let mut rows: Vec<Vec<String>> = text::call_names(p)
        .into_iter()
        .map(|name| {
            line(name, &|c| {
                text::call(p, c, name)
                    .map_or_else(String::new, |c| text::cost(c).replace(" x ", " × "))
            })
        })
        .collect();
    let mut sum = |name: &str, of: &dyn Fn(&str) -> Option<f64>| {
        let mut cells = vec![format!("**{name}**")];
        cells.extend(PROFILED.iter().map(|c| ns(of(c))));
        let over = of("mirror").zip(of("hand")).map(|(m, h)| m - h);
        cells.push(over.map_or_else(String::new, |x| format!("{x:+.0}")));
        rows.push(cells);
    };
    sum("in system calls", &|c| text::in_kernel(p, c));
    sum("outside them", &|c| {
        Some(total(c)? - text::in_kernel(p, c)?)
    });
    sum("one operation", &total);
    table(
        t,
        &["Call", "native", "by hand", "mirror", "mirror − by hand"],
        rows.into_iter(),
    );
}

/// What the figures hold for, in a few sentences.
fn conditions(r: &Results, noise: &str) -> String {
    let m = &r.machine;
    let rounds = r.parts.iter().map(|p| p.rounds).max().unwrap_or(0);
    let mut t = format!(
        "Medians of up to {rounds} interleaved rounds of `cargo xtask bench`{} on {} {} ({}), Linux {}, load {:.1} before and {:.1} after; both trees on {}; mirror {}, {}. {}",
        if r.quick { " **--quick**" } else { "" },
        m.cores,
        if m.virtual_machine {
            "virtual cores"
        } else {
            "cores"
        },
        m.cpu,
        m.kernel,
        m.load[0],
        m.load[1],
        m.file_system,
        r.versions.get("mirror").map_or("?", String::as_str),
        r.when.split('T').next().unwrap_or_default(),
        noise,
    );
    if let Some([native, mirror]) = text::starts(r) {
        let _ = write!(
            t,
            " Starting `/bin/true` takes {:.2} times as long.",
            mirror.median / native.median
        );
    }
    if let (Some(n), Some(m)) = (r.private_kib.get("native"), r.private_kib.get("mirror")) {
        let _ = write!(t, " Private dirty memory of `sleep`: {n} and {m} KiB.");
    }
    t
}

fn part_of<'a>(r: &'a Results, name: &str) -> Option<&'a Part> {
    r.parts.iter().find(|p| p.name == name)
}

fn scaling(s: &Scaling, show: impl Fn(&Five) -> String) -> Vec<String> {
    let mut cells = vec![s.title.clone()];
    for k in PROFILED {
        cells.push(s.speed_up.get(k).map_or_else(|| "–".into(), &show));
    }
    cells.push(s.against_hand.as_ref().map_or_else(|| "–".into(), &show));
    cells
}

/// The median, marked when noisy.
fn marked(five: &Five) -> String {
    format!(
        "{}{}",
        if five.noisy() { "~" } else { "" },
        short(five.median)
    )
}

/// Median, quartiles and ends.
fn whole(five: Option<&Five>, error: Option<&String>) -> String {
    match (five, error) {
        (_, Some(e)) => format!("failed: {}", e.replace('|', "/")),
        (Some(f), None) => format!("{} ({}–{})", spread(Some(f)), short(f.min), short(f.max)),
        (None, None) => "–".into(),
    }
}

/// With a capital.
fn title(text: &str) -> String {
    let mut chars = text.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string());
    first.unwrap_or_default() + chars.as_str()
}

fn table(t: &mut String, headings: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(t, "\n| {} |", headings.join(" | "));
    let _ = writeln!(t, "|{}", " --- |".repeat(headings.len()));
    for cells in rows {
        let _ = writeln!(t, "| {} |", cells.join(" | "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_as_many_cells_as_headings() {
        let mut t = String::new();
        table(
            &mut t,
            &["a", "b"],
            [vec!["1".into(), "2".into()]].into_iter(),
        );
        assert_eq!(t, "\n| a | b |\n| --- | --- |\n| 1 | 2 |\n");
    }

    #[test]
    fn a_failed_peer_is_named_and_has_no_figure() {
        let error = "took | long".to_owned();
        assert_eq!(whole(None, Some(&error)), "failed: took / long");
        assert_eq!(whole(None, None), "–");
        let five = Five::of([1.0, 2.0, 2.0, 2.0, 3.0].map(Some));
        assert_eq!(whole(five.as_ref(), None), "2.00 [2.00-2.00] (1.00–3.00)");
    }
}
