//! The plot of the README: ratios to native on a logarithmic axis, a line for each workload. Written by
//! hand: what plotters draws has fixed colours, and this one must be readable on light and dark pages.
use super::results::{Part, Results, Row};
use super::stats::Five;
use super::text::heading;
use std::fmt::Write as _;

const WIDTH: f64 = 840.0;
const LEFT: f64 = 250.0;
const RIGHT: f64 = 24.0;
const TOP: f64 = 66.0;
const LINE: f64 = 24.0;
const BOTTOM: f64 = 40.0;

/// Colours for light pages, and for dark ones where these would be too dull. By hand is neutral, the
/// mirror stands out; marks differ in form too.
const STYLE: &str = "\
text{font:13px system-ui,-apple-system,'Segoe UI',sans-serif;fill:#1f2328}.s{font-size:11px;fill:#59636e}\
.g{stroke:#d1d9e0;stroke-width:1}.o{stroke:#59636e;stroke-width:1}.w{stroke-width:2;fill:none}\
.hand{stroke:#6e7781;fill:none;stroke-width:2}.mirror{fill:#0969da;stroke:#0969da;stroke-width:2}\
.p0{fill:#bc4c00;stroke:#bc4c00}.p1{fill:#1a7f37;stroke:#1a7f37}.p2{fill:#8250df;stroke:#8250df}.p3{fill:#9a6700;stroke:#9a6700}.p4{fill:#bf3989;stroke:#bf3989}\
@media(prefers-color-scheme:dark){text{fill:#f0f6fc}.s{fill:#9198a1}.g{stroke:#3d444d}.o{stroke:#9198a1}\
.hand{stroke:#9198a1}.mirror{fill:#4493f8;stroke:#4493f8}\
.p0{fill:#f0883e;stroke:#f0883e}.p1{fill:#3fb950;stroke:#3fb950}.p2{fill:#ab7df8;stroke:#ab7df8}.p3{fill:#d29922;stroke:#d29922}.p4{fill:#db61a2;stroke:#db61a2}}";

/// A series: its column, its class, its heading.
struct Series<'a> {
    key: &'a str,
    class: String,
}

/// The whole picture.
pub fn plot(r: &Results) -> String {
    let main = r.parts.iter().find(|p| p.name == "main");
    let peers = r.parts.iter().find(|p| p.name == "peers");
    let mut series: Vec<Series> = ["mirror", "hand"]
        .map(|key| Series {
            key,
            class: key.into(),
        })
        .into();
    for key in peers.iter().flat_map(|p| &p.columns) {
        if !["native", "hand", "mirror"].contains(&key.as_str()) {
            let class = format!("p{}", series.len() - 2);
            series.push(Series { key, class });
        }
    }
    let rows: Vec<&Row> = main.iter().flat_map(|p| &p.rows).collect();
    let lines: Vec<Vec<(&Series, Five)>> = rows
        .iter()
        .map(|row| {
            let found = series
                .iter()
                .filter_map(|s| Some((s, ratio(row, peers, s.key)?)));
            found.collect()
        })
        .collect();
    let most = lines
        .iter()
        .flatten()
        .map(|(_, f)| f.q3)
        .fold(2.0, f64::max);
    let least = lines
        .iter()
        .flatten()
        .map(|(_, f)| f.q1)
        .fold(1.0, f64::min);
    let axis = Axis::new(least, most);
    draw(&rows, &lines, &series, &axis)
}

/// A ratio: our own columns from the long part, peers from theirs.
fn ratio(row: &Row, peers: Option<&Part>, key: &str) -> Option<Five> {
    if let Some(own) = row.ratios.get(key) {
        return Some(*own);
    }
    let other = peers?.rows.iter().find(|r| r.key == row.key)?;
    if other.errors.contains_key(key) {
        return None;
    }
    other.ratios.get(key).copied()
}

/// A logarithmic axis.
struct Axis {
    low: f64,
    high: f64,
}

impl Axis {
    fn new(least: f64, most: f64) -> Axis {
        Axis {
            low: (least.clamp(0.01, 1.0) * 0.9).log10(),
            high: (most.max(2.0) * 1.1).log10(),
        }
    }

    fn x(&self, ratio: f64) -> f64 {
        let part = (ratio.max(1e-3).log10() - self.low) / (self.high - self.low);
        LEFT + part.clamp(0.0, 1.0) * (WIDTH - LEFT - RIGHT)
    }

    /// Round numbers within the axis.
    fn ticks(&self) -> Vec<f64> {
        let wide = self.high - self.low > 1.2;
        let steps: &[f64] = if wide {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 7.0]
        };
        let decades = [0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];
        let all = decades
            .iter()
            .flat_map(|d| steps.iter().map(move |s| d * s));
        all.filter(|t| (self.low..=self.high).contains(&t.log10()))
            .collect()
    }
}

fn draw(rows: &[&Row], lines: &[Vec<(&Series, Five)>], series: &[Series], axis: &Axis) -> String {
    #[allow(clippy::cast_precision_loss)]
    let y_of = |i: usize| TOP + LINE * (i as f64 + 0.5);
    let bottom = y_of(rows.len()) - LINE / 2.0;
    let height = bottom + BOTTOM;
    let mut t = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>Time of the same work, as a multiple of one plain directory</title>\n<style>{STYLE}</style>\n\
         <text x=\"12\" y=\"22\">Time of the same work, as a multiple of one plain directory (less is better)</text>\n"
    );
    let mut x = LEFT;
    for s in series {
        let label = heading(s.key);
        mark(&mut t, s, x, 42.0);
        let _ = writeln!(
            t,
            "<text x=\"{:.1}\" y=\"46.5\">{}</text>",
            x + 11.0,
            escaped(label)
        );
        #[allow(clippy::cast_precision_loss)]
        let wide = label.len() as f64;
        x += 32.0 + 7.2 * wide;
    }
    for tick in axis.ticks() {
        let x = axis.x(tick);
        let class = if (tick - 1.0).abs() < 1e-9 { "o" } else { "g" };
        let _ = writeln!(
            t,
            "<line class=\"{class}\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/>\
             <text class=\"s\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{tick}</text>",
            bottom + 16.0
        );
    }
    for (i, (row, marks)) in rows.iter().zip(lines).enumerate() {
        let y = y_of(i);
        let _ = writeln!(
            t,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 12.0,
            y + 4.5,
            escaped(&row.title)
        );
        // Ours last, on top of the others.
        for (s, f) in marks.iter().rev() {
            let _ = writeln!(
                t,
                "<line class=\"w {}\" x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>",
                s.class,
                axis.x(f.q1),
                axis.x(f.q3)
            );
            mark(&mut t, s, axis.x(f.median), y);
        }
    }
    let _ = writeln!(
        t,
        "<text class=\"s\" x=\"{LEFT}\" y=\"{:.1}\">median; the bar is the middle half of the rounds; logarithmic</text>\n</svg>",
        bottom + 33.0
    );
    t
}

/// By hand a ring, the mirror a disc, peers small diamonds.
fn mark(t: &mut String, s: &Series, x: f64, y: f64) {
    let class = &s.class;
    let _ = match s.key {
        "hand" => writeln!(
            t,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5.5\"/>"
        ),
        "mirror" => writeln!(
            t,
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>"
        ),
        _ => writeln!(
            t,
            "<path class=\"{class}\" d=\"M{x:.1} {:.1}l4 4-4 4-4-4z\"/>",
            y - 4.0
        ),
    };
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::results::ByColumn;

    fn results() -> Results {
        let mut row = Row {
            key: "w2".into(),
            title: "a < b & c".into(),
            count: 1,
            samples: ByColumn::new(),
            errors: ByColumn::new(),
            ratios: ByColumn::new(),
        };
        for (column, seconds) in [("native", 1.0), ("hand", 2.0), ("mirror", 4.0)] {
            row.add(column, Ok(seconds));
        }
        row.finish();
        Results {
            parts: vec![Part {
                name: "main".into(),
                rounds: 1,
                columns: ["native", "hand", "mirror"].map(str::to_owned).into(),
                rows: vec![row],
            }],
            ..Results::default()
        }
    }

    #[test]
    fn the_axis_is_logarithmic() {
        let axis = Axis::new(1.0, 100.0);
        let step = axis.x(10.0) - axis.x(1.0);
        assert!((axis.x(100.0) - axis.x(10.0) - step).abs() < 1e-6);
        assert!(axis.x(1e9) <= WIDTH - RIGHT && axis.x(0.0) >= LEFT);
        assert!(axis.ticks().contains(&1.0) && axis.ticks().contains(&100.0));
    }

    #[test]
    fn marks_stand_at_their_ratios_and_texts_are_escaped() {
        let svg = plot(&results());
        assert!(svg.contains("a &lt; b &amp; c") && !svg.contains("a < b"));
        let axis = Axis::new(1.0, 4.0);
        let disc = format!("<circle class=\"mirror\" cx=\"{:.1}\"", axis.x(4.0));
        assert!(svg.contains(&disc), "{disc} in {svg}");
        // Self-contained, with colours for both kinds of pages.
        assert!(!svg.contains("href") && !svg.contains("url("));
        assert!(svg.contains("prefers-color-scheme:dark") && svg.ends_with("</svg>\n"));
        // Every element is closed by itself or by its end.
        let opened = svg.matches("<text").count();
        assert_eq!(opened, svg.matches("</text>").count());
    }

    #[test]
    fn a_run_of_peers_alone_is_no_crash() {
        assert!(plot(&Results::default()).contains("</svg>"));
    }
}
