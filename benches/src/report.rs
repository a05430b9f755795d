//! Results as a table, or as one JSON object a line.

use std::io::Write as _;

use serde_json::json;

/// One result.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// The result.
    pub value: f64,
    /// What it is measured in; `×` is a multiple of the floor.
    pub unit: &'static str,
    /// What it should be: at most this, or with [`Report::at_least`] at least this.
    pub target: Option<f64>,
    /// Name of the floor, and how many nanoseconds one operation took there.
    pub floor: Option<(&'static str, f64)>,
    /// How many nanoseconds one operation of ours took.
    pub nanos: Option<f64>,
}

/// Prints results as they come.
#[derive(Debug)]
pub struct Report {
    name: &'static str,
    json: bool,
    missed: usize,
    with_target: usize,
}

impl Report {
    /// With a heading, unless it is for machines.
    #[must_use]
    pub fn new(name: &'static str, json: bool) -> Self {
        if !json {
            say(&format!("on {}", processor()));
            say(&format!("{:<66} {:>10}  {:<10} {:<8} details", "what", "result", "target", "verdict"));
        }
        Self { name, json, missed: 0, with_target: 0 }
    }

    /// A result that should be at most its target.
    pub fn add(&mut self, row: &Row) {
        let met = row.target.map(|target| row.value <= target);
        self.print(row, "≤", met);
    }

    /// A result that should be at least its target.
    pub fn at_least(&mut self, row: &Row) {
        let met = row.target.map(|target| row.value >= target);
        self.print(row, "≥", met);
    }

    fn print(&mut self, row: &Row, sign: &str, met: Option<bool>) {
        self.with_target += usize::from(met.is_some());
        self.missed += usize::from(met == Some(false));
        let verdict = met.map(|met| if met { "met" } else { "MISSED" });
        if self.json {
            let floor = row.floor.map(|(name, nanos)| json!({"name": name, "ns": nanos}));
            let line = json!({"event": self.name, "what": row.what, "value": row.value, "unit": row.unit,
                "target": row.target, "verdict": verdict, "ns": row.nanos, "floor": floor});
            say(&line.to_string());
            return;
        }
        let unit = if row.unit.is_empty() { String::new() } else { format!(" {}", row.unit) };
        let decimals = if row.unit == "×" { 2 } else { usize::from(row.value < 100.0 && row.value.fract() != 0.0) };
        let value = format!("{:.decimals$}{unit}", row.value);
        let target = row.target.map(|target| format!("{sign} {target}")).unwrap_or_default();
        let details = match (row.nanos, row.floor) {
            (Some(ns), Some((name, floor))) => format!("{ns:.0} ns, {name} {floor:.0} ns"),
            (None, Some((name, floor))) => format!("{name} {floor:.0}"),
            _ => String::new(),
        };
        let line = format!("{:<66} {value:>10}  {target:<10} {:<8} {details}", row.what, verdict.unwrap_or_default());
        say(line.trim_end());
    }

    /// How many targets were met.
    pub fn finish(self) {
        if !self.json {
            say(&format!("{} of {} targets met", self.with_target - self.missed, self.with_target));
        }
    }
}

/// What it is measured on, where the system says so.
fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.into(), |(_, name)| name.trim().into())
}

/// A line on stdout. Whoever reads it may stop doing so.
fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}
