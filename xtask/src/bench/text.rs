//! The tables as text for a terminal.
use super::results::{Call, Part, Profile, Results};
use super::scaling::BAR;
use super::stats::{Five, NOISY};
use std::fmt::Write as _;

/// Everything that was measured.
pub fn report(r: &Results) -> String {
    let mut t = String::new();
    let m = &r.machine;
    let _ = writeln!(
        t,
        "\n{} cores of {}{}, Linux {}, {} GiB\nboth trees: {}\nmirror {}; load {:.1} before, {:.1} after{}",
        m.cores,
        m.cpu,
        if m.virtual_machine { " (virtual)" } else { "" },
        m.kernel,
        m.memory >> 30,
        m.file_system,
        r.versions.get("mirror").map_or("?", String::as_str),
        m.load[0],
        m.load[1],
        if r.quick { "; a QUICK run" } else { "" },
    );
    for c in &r.columns {
        let _ = writeln!(t, "{:>13}  {}", c.label, c.meaning);
    }
    for l in &r.left_out {
        let _ = writeln!(t, "{:>13}  LEFT OUT: {}", l.key, l.reason);
    }
    r.parts.iter().for_each(|p| part(&mut t, p));
    scaling(&mut t, r);
    for (what, values) in [("start of /bin/true", starts(r))] {
        if let Some([native, mirror]) = values {
            let _ = writeln!(
                t,
                "\n{what}: {:.0} us, mirror {:.0} us (x {:.2})",
                native.median,
                mirror.median,
                mirror.median / native.median
            );
        }
    }
    if let (Some(n), Some(m)) = (r.private_kib.get("native"), r.private_kib.get("mirror")) {
        let _ = writeln!(t, "private dirty memory of sleep: {n} KiB, mirror {m} KiB");
    }
    let _ = writeln!(t, "\n{}", noise(r));
    t += &profiles(r);
    t
}

/// The two spreads of starting a program.
pub fn starts(r: &Results) -> Option<[Five; 2]> {
    let five = |k: &str| Five::of(r.start_us.get(k)?.iter().copied());
    Some([five("native")?, five("mirror")?])
}

/// How far the figures can be trusted, in one sentence.
pub fn noise(r: &Results) -> String {
    let (mut count, mut bad, mut rows) = (0, 0, Vec::new());
    for row in r.parts.iter().flat_map(|p| &p.rows) {
        for (_, five) in row.ratios.iter().filter(|(k, _)| *k != "native") {
            count += 1;
            if five.noisy() {
                bad += 1;
                if !rows.contains(&row.key.as_str()) {
                    rows.push(&row.key);
                }
            }
        }
    }
    if r.parts.iter().any(|p| p.rounds < 3) {
        return "Too few rounds to say how far the figures can be trusted.".into();
    }
    let bar = NOISY * 100.0;
    if bad == 0 {
        return format!(
            "Spread: the middle half of each of {count} ratios spans at most {bar:.0} %."
        );
    }
    format!(
        "NOISY: in {bad} of {count} ratios (marked ~) the middle half spans more than {bar:.0} %: {}.",
        rows.join(", ")
    )
}

/// Median and quartiles, marked when noisy.
pub fn spread(five: Option<&Five>) -> String {
    five.map_or_else(
        || "-".into(),
        |f| {
            let mark = if f.noisy() { "~" } else { "" };
            format!(
                "{mark}{} [{}-{}]",
                short(f.median),
                short(f.q1),
                short(f.q3)
            )
        },
    )
}

/// Three digits are more than these figures hold.
pub fn short(x: f64) -> String {
    match x {
        x if x >= 99.5 => format!("{x:.0}"),
        x if x >= 9.95 => format!("{x:.1}"),
        x => format!("{x:.2}"),
    }
}

/// Heading of a ratio's column.
pub fn heading(key: &str) -> &str {
    match key {
        "hand" => "by hand",
        "mirror/hand" => "mirror/by hand",
        "net" => "with the net",
        k => k,
    }
}

/// Ratios that a table shows, in order.
pub fn ratio_keys(p: &Part) -> Vec<&str> {
    let mut keys: Vec<&str> = p
        .columns
        .iter()
        .map(String::as_str)
        .filter(|c| *c != "native")
        .collect();
    let after = keys
        .iter()
        .position(|k| *k == "mirror")
        .map_or(0, |i| i + 1);
    if keys.contains(&"hand") {
        keys.insert(after, "mirror/hand");
    }
    keys
}

fn part(t: &mut String, p: &Part) {
    let keys = ratio_keys(p);
    let _ = write!(
        t,
        "\n{} ({} rounds): ratios to native, median [quartiles]\n{:34} {:>10}",
        p.name, p.rounds, "", "native"
    );
    for k in &keys {
        let _ = write!(t, "  {:>20}", heading(k));
    }
    t.push('\n');
    for row in &p.rows {
        let native = row.samples.get("native");
        let native = native.and_then(|s| Five::of(s.iter().copied()));
        let seconds = native.map_or_else(|| "-".into(), |f| format!("{:.3} s", f.median));
        let _ = write!(
            t,
            "{:34} {seconds:>10}",
            format!("{} {}", row.key, row.title)
        );
        for k in &keys {
            let _ = write!(t, "  {:>20}", spread(row.ratios.get(*k)));
        }
        t.push('\n');
        for (column, e) in &row.errors {
            let _ = writeln!(t, "    FAILED in {column}: {e}");
        }
    }
}

fn scaling(t: &mut String, r: &Results) {
    let Some(first) = r.scaling.first() else {
        return;
    };
    let _ = writeln!(
        t,
        "\n{} processes against 1: how many times the throughput, median [quartiles] (bar for mirror/by hand: {BAR})\n{:52} {:>18} {:>18} {:>18} {:>18}",
        first.processes, "", "native", "by hand", "mirror", "mirror/by hand"
    );
    for s in &r.scaling {
        let get = |k: &str| spread(s.speed_up.get(k));
        let _ = writeln!(
            t,
            "{:52} {:>18} {:>18} {:>18} {:>18}",
            format!("{} {}", s.key, s.title),
            get("native"),
            get("hand"),
            get("mirror"),
            spread(s.against_hand.as_ref())
        );
        for (column, e) in &s.errors {
            let _ = writeln!(t, "    FAILED in {column}: {e}");
        }
    }
}

/// The columns of a profile.
pub const PROFILED: [&str; 3] = ["native", "hand", "mirror"];

/// Names of all calls of a profile, the mirror's dearest first.
pub fn call_names(p: &Profile) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for column in PROFILED.iter().rev() {
        for call in p.calls.get(*column).into_iter().flatten() {
            if !names.contains(&call.name.as_str()) {
                names.push(&call.name);
            }
        }
    }
    names
}

/// A call of a column.
pub fn call<'a>(p: &'a Profile, column: &str, name: &str) -> Option<&'a Call> {
    p.calls.get(column)?.iter().find(|c| c.name == name)
}

/// Nanoseconds that a column spends in system calls; `None` when they were not timed.
pub fn in_kernel(p: &Profile, column: &str) -> Option<f64> {
    let calls = p.calls.get(column)?;
    calls.iter().map(|c| Some(c.per_operation * c.ns?)).sum()
}

/// Profiles as tables.
pub fn profiles(r: &Results) -> String {
    let mut t = String::new();
    for p in &r.profiles {
        let _ = writeln!(
            t,
            "\n{} {}: calls x ns each = ns ({})\n{:20} {:>26} {:>26} {:>26}",
            p.key, p.title, p.method, "", "native", "by hand", "mirror"
        );
        let mut line = |name: &str, cell: &dyn Fn(&str) -> String| {
            let _ = write!(t, "{name:20}");
            for c in PROFILED {
                let _ = write!(t, " {:>26}", cell(c));
            }
            t.push('\n');
        };
        for name in call_names(p) {
            line(name, &|c| call(p, c, name).map_or_else(String::new, cost));
        }
        let ns = |x: Option<f64>| x.map_or_else(|| "-".into(), |x| format!("{x:.0}"));
        let total = |c: &str| p.total_ns.get(c).copied();
        line("in system calls", &|c| ns(in_kernel(p, c)));
        line("outside them", &|c| {
            ns(total(c).zip(in_kernel(p, c)).map(|(a, b)| a - b))
        });
        line("one operation", &|c| ns(total(c)));
    }
    t
}

/// "2 x 650 = 1300".
pub fn cost(c: &Call) -> String {
    let n = short(c.per_operation);
    let n = n.strip_suffix(".00").unwrap_or(&n);
    c.ns.map_or_else(
        || n.to_owned(),
        |ns| format!("{n} x {ns:.0} = {:.0}", ns * c.per_operation),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short_and_noise_is_marked() {
        assert_eq!(
            [short(1.234), short(12.34), short(123.4)],
            ["1.23", "12.3", "123"]
        );
        let five = |q1, q3| Five {
            min: 1.0,
            q1,
            median: 2.0,
            q3,
            max: 9.0,
        };
        assert_eq!(spread(Some(&five(1.9, 2.1))), "2.00 [1.90-2.10]");
        assert_eq!(spread(Some(&five(1.0, 2.1))), "~2.00 [1.00-2.10]");
        assert_eq!(spread(None), "-");
    }

    #[test]
    fn a_cost_is_calls_times_time() {
        let call = |n, ns| Call {
            name: "x".into(),
            per_operation: n,
            ns,
        };
        assert_eq!(cost(&call(2.0, Some(650.0))), "2 x 650 = 1300");
        assert_eq!(cost(&call(0.5, None)), "0.50");
    }
}
