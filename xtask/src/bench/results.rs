//! What a benchmark found, as it is written to JSON (schema "mirror.bench/1", additive).
use super::stats::{Five, ratios};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The schema of the file.
pub const SCHEMA: &str = "mirror.bench/1";

/// Values by column: "native", "hand", "mirror", or a peer.
pub type ByColumn<T> = BTreeMap<String, T>;

/// A whole run.
#[derive(Serialize, Deserialize, Default)]
pub struct Results {
    /// [`SCHEMA`].
    pub schema: String,
    /// When it began: ISO 8601, UTC.
    pub when: String,
    /// A short run, for a first look.
    pub quick: bool,
    /// The machine.
    pub machine: Machine,
    /// Versions by program.
    pub versions: BTreeMap<String, String>,
    /// What each column means, in their order.
    pub columns: Vec<Meaning>,
    /// Peers that were wanted and could not be measured, and why.
    pub left_out: Vec<LeftOut>,
    /// Tables that were measured apart from each other.
    pub parts: Vec<Part>,
    /// Several processes against one.
    pub scaling: Vec<Scaling>,
    /// Microseconds of each start of /bin/true.
    pub start_us: ByColumn<Vec<Option<f64>>>,
    /// Private dirty KiB of a sleeping process.
    pub private_kib: ByColumn<u64>,
    /// Where the time goes, call by call.
    #[serde(default)]
    pub profiles: Vec<Profile>,
}

/// The machine and what ran on it beside the benchmark.
#[derive(Serialize, Deserialize, Default)]
pub struct Machine {
    /// Processor.
    pub cpu: String,
    /// Usable cores.
    pub cores: usize,
    /// Memory in bytes.
    pub memory: u64,
    /// Kernel release.
    pub kernel: String,
    /// Whether the processor says that a hypervisor is there.
    pub virtual_machine: bool,
    /// What the two trees lay on.
    pub file_system: String,
    /// Load averages of the last minute, before and after.
    pub load: [f64; 2],
}

/// What a column means.
#[derive(Serialize, Deserialize, Clone)]
pub struct Meaning {
    /// Its key in all tables.
    pub key: String,
    /// Its heading.
    pub label: String,
    /// What is measured there.
    pub meaning: String,
}

/// A peer that is not in the tables.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct LeftOut {
    /// Its name.
    pub key: String,
    /// Why.
    pub reason: String,
}

/// A table whose columns were measured interleaved.
#[derive(Serialize, Deserialize)]
pub struct Part {
    /// "main", "net" or "peers".
    pub name: String,
    /// How often everything was measured.
    pub rounds: usize,
    /// Keys of the columns.
    pub columns: Vec<String>,
    /// The workloads.
    pub rows: Vec<Row>,
}

/// A workload.
#[derive(Serialize, Deserialize)]
pub struct Row {
    /// Its key: "w2".
    pub key: String,
    /// What it does.
    pub title: String,
    /// How often it does it in one sample.
    pub count: u32,
    /// Seconds by column, one a round.
    pub samples: ByColumn<Vec<Option<f64>>>,
    /// What went wrong.
    pub errors: ByColumn<String>,
    /// Spread of the ratios to the native column round by round, and of "mirror/hand".
    pub ratios: ByColumn<Five>,
}

impl Row {
    /// Takes one sample.
    pub fn add(&mut self, column: &str, sample: Result<f64, String>) {
        let list = self.samples.entry(column.into()).or_default();
        match sample {
            Ok(seconds) => list.push(Some(seconds)),
            Err(e) => {
                list.push(None);
                self.errors.insert(column.into(), e);
            }
        }
    }

    /// Computes the ratios from the samples.
    pub fn finish(&mut self) {
        let get = |k: &str| self.samples.get(k).map_or(&[][..], Vec::as_slice);
        for (column, samples) in &self.samples {
            if let Some(r) = ratios(samples, get("native")) {
                self.ratios.insert(column.clone(), r);
            }
        }
        if let Some(r) = ratios(get("mirror"), get("hand")) {
            self.ratios.insert("mirror/hand".into(), r);
        }
    }
}

/// One workload by one process and by several at once.
#[derive(Serialize, Deserialize)]
pub struct Scaling {
    /// Its key: "s1".
    pub key: String,
    /// What it does.
    pub title: String,
    /// How many processes.
    pub processes: u32,
    /// Operations a second of one process, one a round.
    pub one: ByColumn<Vec<Option<f64>>>,
    /// Operations a second of all processes together.
    pub all: ByColumn<Vec<Option<f64>>>,
    /// What went wrong.
    pub errors: ByColumn<String>,
    /// all / one, round by round.
    pub speed_up: ByColumn<Five>,
    /// The mirror's speed-up over that of two writes by hand, round by round.
    pub against_hand: Option<Five>,
}

impl Scaling {
    /// Computes the speed-ups from the samples.
    pub fn finish(&mut self) {
        for (column, all) in &self.all {
            if let Some(s) = self.one.get(column).and_then(|one| ratios(all, one)) {
                self.speed_up.insert(column.clone(), s);
            }
        }
        let each = |k: &str| -> Vec<Option<f64>> {
            let (Some(all), Some(one)) = (self.all.get(k), self.one.get(k)) else {
                return Vec::new();
            };
            all.iter()
                .zip(one)
                .map(|(a, b)| Some((*a)? / (*b)?))
                .collect()
        };
        self.against_hand = ratios(&each("mirror"), &each("hand"));
    }
}

/// Where a loop's time goes.
#[derive(Serialize, Deserialize)]
pub struct Profile {
    /// The workload's key.
    pub key: String,
    /// What one operation is.
    pub title: String,
    /// How the calls were counted and timed.
    pub method: String,
    /// Nanoseconds of one operation on a core, not traced.
    pub total_ns: ByColumn<f64>,
    /// System calls of one operation.
    pub calls: ByColumn<Vec<Call>>,
}

/// A system call of a profile.
#[derive(Serialize, Deserialize, Clone, PartialEq, Debug)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// How often one operation makes it.
    pub per_operation: f64,
    /// What it costs each time, in nanoseconds, entry and exit included.
    pub ns: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        let mut row = Row {
            key: "w2".into(),
            title: "say \"hello\"\\\n".into(),
            count: 1,
            samples: ByColumn::new(),
            errors: ByColumn::new(),
            ratios: ByColumn::new(),
        };
        for (column, a, b) in [
            ("native", 1.0, 2.0),
            ("hand", 2.0, 4.0),
            ("mirror", 3.0, 6.0),
        ] {
            row.add(column, Ok(a));
            row.add(column, Ok(b));
        }
        row.add("bindfs", Ok(10.0));
        row.add("bindfs", Err("hung".into()));
        row.finish();
        row
    }

    #[test]
    fn the_file_reads_back() {
        let results = Results {
            schema: SCHEMA.into(),
            parts: vec![Part {
                name: "main".into(),
                rounds: 2,
                columns: vec!["native".into()],
                rows: vec![row()],
            }],
            ..Results::default()
        };
        let text = serde_json::to_string_pretty(&results).unwrap();
        assert!(text.contains("\"schema\": \"mirror.bench/1\""));
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let row = &value["parts"][0]["rows"][0];
        assert_eq!(row["title"], "say \"hello\"\\\n");
        // A sample that failed stays in its place.
        assert_eq!(row["samples"]["bindfs"], serde_json::json!([10.0, null]));
        assert_eq!(row["errors"]["bindfs"], "hung");
        let back: Results = serde_json::from_str(&text).unwrap();
        assert_eq!(back.parts[0].rows[0].ratios["mirror/hand"].median, 1.5);
    }

    #[test]
    fn ratios_go_to_native_and_to_the_floor() {
        let row = row();
        assert_eq!(row.ratios["hand"].median, 2.0);
        assert_eq!(row.ratios["mirror"].max, 3.0);
        assert_eq!(row.ratios["bindfs"].median, 10.0);
    }

    #[test]
    fn speed_ups_are_compared_round_by_round() {
        let by = |mirror: &[f64], hand: &[f64]| -> ByColumn<Vec<Option<f64>>> {
            let list = |v: &[f64]| v.iter().copied().map(Some).collect();
            [("mirror".into(), list(mirror)), ("hand".into(), list(hand))].into()
        };
        let mut s = Scaling {
            key: "s1".into(),
            title: String::new(),
            processes: 4,
            one: by(&[10.0, 20.0], &[10.0, 20.0]),
            all: by(&[10.0, 30.0], &[20.0, 30.0]),
            errors: ByColumn::new(),
            speed_up: ByColumn::new(),
            against_hand: None,
        };
        s.finish();
        assert_eq!(s.speed_up["mirror"].median, 1.25);
        assert_eq!(s.speed_up["hand"].median, 1.75);
        let against = s.against_hand.unwrap();
        assert_eq!((against.min, against.max), (0.5, 1.0));
    }
}
