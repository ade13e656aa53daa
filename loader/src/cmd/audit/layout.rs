//! Lines of the live view: the header, and the columns of the table.
use super::terminal::{fit, fit_end, pad, width};
use crate::audit::watch::Counts;
use crate::text;
use std::time::Duration;

/// A pair, as the header shows it.
#[derive(Clone, Default)]
pub struct Head {
    /// V.
    pub virt: String,
    /// IN SYNC…
    pub state: String,
    /// What it is watched with.
    pub tier: String,
    /// What that does not see.
    pub blind: String,
    /// What was counted.
    pub counts: Counts,
    /// Changes that were mirrored, in a second.
    pub rate: u64,
    /// How long after a change it was judged, the last time.
    pub lag: Option<Duration>,
    /// Names that are held for a decision.
    pub held: u64,
}

/// A text on the left and one on the right.
pub fn ends(left: &str, right: &str, columns: usize) -> String {
    let right = fit(right, columns);
    let room = columns.saturating_sub(width(&right) + 2);
    format!("{}  {right}", pad(&fit(left, room), room))
}

/// A pair, what it is watched with, how long, and what was lost.
pub fn title(h: &Head, columns: usize, up: Duration, heal: bool) -> String {
    let s = up.as_secs();
    let healing = if heal { "   healing" } else { "" };
    let left = format!(
        "mirror audit  {}  {}   {}{healing}   up {:02}:{:02}:{:02}",
        h.virt,
        h.state,
        h.tier,
        s / 3600,
        s / 60 % 60,
        s % 60
    );
    ends(
        &left,
        &format!("lost {}", text::count(h.counts.lost)),
        columns,
    )
}

/// What was counted.
pub fn counts(h: &Head, columns: usize, heal: bool) -> String {
    let c = &h.counts;
    let mut left = format!(
        "mirrored {} ({}/s)   unmirrored {}",
        text::count(c.mirrored),
        text::count(h.rate),
        text::count(c.unmirrored),
    );
    if heal || c.healed > 0 {
        left += &format!("   healed {}", text::count(c.healed));
    }
    if heal || h.held > 0 {
        left += &format!("   held {}", text::count(h.held));
    }
    if c.open > 0 {
        left += &format!("   not judged {}", text::count(c.open));
    }
    let lag = match h.lag {
        None => "lag -".into(),
        Some(d) if d < Duration::from_secs(10) => {
            format!("lag {} ms", text::count(d.as_millis() as u64))
        }
        Some(d) => format!("lag {} s", text::count(d.as_secs())),
    };
    ends(&left, &lag, columns)
}

/// The columns of the table: the path has what the others leave.
pub fn widths(columns: usize, heal: bool) -> [usize; 7] {
    let narrow = columns < 110;
    let done = match (heal, narrow) {
        (false, _) => 4,
        (true, true) => 12,
        (true, false) => 24,
    };
    let mut w = match narrow {
        true => [8, 3, 11, 0, 14, 13, done],
        false => [8, 3, 17, 0, 23, 13, done],
    };
    let gaps = 2 * (w.len() - 1);
    let others: usize = w.iter().sum::<usize>() + gaps;
    w[3] = columns.saturating_sub(others).max(10);
    w
}

/// A row of the table.
pub fn join(cells: &[String; 7], widths: &[usize; 7]) -> String {
    let mut line = String::new();
    for (i, (cell, w)) in cells.iter().zip(widths).enumerate() {
        let cell = match i {
            3 => fit_end(cell, *w),
            _ => fit(cell, *w),
        };
        line += &pad(&cell, *w);
        line += "  ";
    }
    line.trim_end().to_owned()
}
