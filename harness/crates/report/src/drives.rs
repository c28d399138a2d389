//! Renders a comparison of two single drives.

use serde_json::{Value, json};

use super::grid::Grid;
use super::number::{ABSENT, significant};
use super::page::Block;
use super::{Colour, markdown, terminal};

/// The version of the JSON; incremented by every change that an older reader would misread.
const SCHEMA_VERSION: u32 = 1;

/// Two drives, and the figures of both.
#[derive(Debug, Clone, PartialEq)]
pub struct Drives {
    /// Describes the base drive.
    pub base: String,
    /// Describes the new drive.
    pub new: String,
    /// Differences between their loads.
    pub different: Vec<DriveDifference>,
    /// The figures, in display order.
    pub figures: Vec<DriveFigure>,
    /// Notes, one or two sentences each.
    pub notes: Vec<String>,
}

/// A setting that differs between the drives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DriveDifference {
    /// What it is.
    pub member: &'static str,
    /// Its value in base.
    pub base: String,
    /// Its value in new.
    pub new: String,
}

/// A figure of both.
#[derive(Debug, Clone, PartialEq)]
pub struct DriveFigure {
    /// Its name.
    pub name: String,
    /// Its unit, as in `ns`; `1` for counts and shares.
    pub unit: &'static str,
    /// In base.
    pub base: DriveValue,
    /// The same for new.
    pub new: DriveValue,
}

/// A figure's value, whether it is a lower bound, and its text; `None` if it was not measured.
pub type DriveValue = Option<(f64, bool, String)>;

fn is_open(value: &DriveValue) -> bool {
    value.as_ref().is_some_and(|(_, open, _)| *open)
}

impl DriveFigure {
    /// new / base, after the sign of a bound; `None` if undefined.
    fn ratio(&self) -> Option<(f64, &'static str)> {
        let ((base, base_open, _), (new, new_open, _)) =
            self.base.as_ref().zip(self.new.as_ref())?;
        let sign = match (base_open, new_open) {
            (false, false) => "",
            (false, true) => "≥ ",
            (true, false) => "≤ ",
            (true, true) => return None,
        };
        (*base > 0.0).then(|| (new / base, sign))
    }

    fn row(&self) -> Vec<String> {
        let absent = || ABSENT.to_owned();
        let side = |side: &DriveValue| {
            side.as_ref()
                .map_or_else(absent, |(_, _, shown)| shown.clone())
        };
        let ratio = self.ratio();
        vec![
            self.name.clone(),
            side(&self.base),
            side(&self.new),
            ratio.map_or_else(absent, |(ratio, sign)| {
                format!("{sign}{}×", significant(ratio, 3))
            }),
        ]
    }

    fn json(&self) -> Value {
        let value = |side: &DriveValue| side.as_ref().map(|side| side.0);
        json!({
            "figure": self.name,
            "unit": self.unit,
            "base": value(&self.base),
            "base_at_least": is_open(&self.base),
            "new": value(&self.new),
            "new_at_least": is_open(&self.new),
            "ratio": self.ratio().map(|(ratio, _)| ratio),
        })
    }
}

impl Drives {
    /// For a terminal.
    pub fn terminal(&self, colour: Colour) -> String {
        terminal::blocks(self.blocks(), colour)
    }

    /// For a comment or an issue.
    pub fn markdown(&self) -> String {
        markdown::blocks(self.blocks())
    }

    /// For programs; `harness/docs/RECORD.md` describes it.
    pub fn json(&self) -> String {
        let different = self
            .different
            .iter()
            .map(|d| json!({"member": d.member, "base": d.base, "new": d.new}));
        let document = json!({
            "schema_version": SCHEMA_VERSION,
            "kind": "drives",
            "base": self.base,
            "new": self.new,
            "different": different.collect::<Vec<_>>(),
            "figures": self.figures.iter().map(DriveFigure::json).collect::<Vec<_>>(),
            "notes": self.notes,
        });
        format!("{document:#}\n")
    }

    fn blocks(&self) -> Vec<Block> {
        let head = ["figure", "base", "new", "new/base"];
        let rows = self.figures.iter().map(DriveFigure::row).collect();
        let mut blocks = vec![
            Block::Heading("Comparison of two single drives".to_owned()),
            Block::Text(format!("base: {}; new: {}.", self.base, self.new)),
        ];
        if !self.different.is_empty() {
            let told = self.different.iter();
            let told: Vec<String> = told
                .map(|d| format!("{} ({} and {})", d.member, d.base, d.new))
                .collect();
            blocks.push(Block::Text(format!(
                "Warning: the loads differ, which may explain a ratio. They differ in: {}.",
                told.join(", ")
            )));
        }
        blocks.push(Block::Table(Grid::fitting(&head, &head, 1, rows)));
        let mut notes = self.notes.clone();
        let mut sides = self.figures.iter().flat_map(|one| [&one.base, &one.new]);
        if sides.any(is_open) {
            notes.push(
                "≥ marks a lower bound: some requests had no response at the end, and could raise it."
                    .to_owned(),
            );
        }
        blocks.push(Block::Notes(notes));
        blocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drives() -> Drives {
        let side = |value: f64, open, shown: &str| Some((value, open, shown.to_owned()));
        let figure = |name: &str, base, new| DriveFigure {
            name: name.to_owned(),
            unit: "ns",
            base,
            new,
        };
        Drives {
            base: "old.json: http://h/a over epoll".to_owned(),
            new: "new.json: http://h/a over epoll".to_owned(),
            different: vec![DriveDifference {
                member: "connections",
                base: "64".to_owned(),
                new: "1".to_owned(),
            }],
            figures: vec![
                figure(
                    "p50",
                    side(200.0, false, "200 ns"),
                    side(250.0, false, "250 ns"),
                ),
                figure(
                    "p99",
                    side(200.0, false, "200 ns"),
                    side(500.0, true, "≥ 500 ns"),
                ),
                figure(
                    "max",
                    side(500.0, true, "≥ 500 ns"),
                    side(200.0, false, "200 ns"),
                ),
                figure(
                    "mean",
                    side(500.0, true, "≥ 500 ns"),
                    side(200.0, true, "≥ 200 ns"),
                ),
                figure("errors", side(0.0, false, "0"), side(2.0, false, "2")),
                figure("send_lag.p99", None, side(2.0, false, "2 ns")),
            ],
            notes: vec!["One drive on each side.".to_owned()],
        }
    }

    #[test]
    fn the_terminal_has_each_figure_with_its_ratio() {
        let text = drives().terminal(Colour::Never);
        for line in [
            "Comparison of two single drives",
            "base: old.json: http://h/a over epoll; new: new.json: http://h/a over epoll.",
            "They differ in: connections (64",
            "| figure       |     base |      new | new/base |",
            "| p50          |   200 ns |   250 ns |    1.25× |",
            "| p99          |   200 ns | ≥ 500 ns |  ≥ 2.50× |",
            "| max          | ≥ 500 ns |   200 ns | ≤ 0.400× |",
            "| mean         | ≥ 500 ns | ≥ 200 ns |        – |",
            "| errors       |        0 |        2 |        – |",
            "| send_lag.p99 |        – |     2 ns |        – |",
            "One drive on each side.",
            "≥ marks a lower bound",
        ] {
            assert!(text.contains(line), "{line:?} is not in {text}");
        }
    }

    #[test]
    fn json_holds_the_same() {
        let json: Value = serde_json::from_str(&drives().json()).unwrap();
        assert_eq!(
            (&json["kind"], &json["schema_version"]),
            (&"drives".into(), &1.into())
        );
        let figures = json["figures"].as_array().unwrap().iter();
        let ratios: Vec<_> = figures.map(|figure| figure["ratio"].as_f64()).collect();
        assert_eq!(ratios, [Some(1.25), Some(2.5), Some(0.4), None, None, None]);
        assert_eq!(json["figures"][1]["new_at_least"], true);
        assert_eq!(json["different"][0]["member"], "connections");
    }

    #[test]
    fn markdown_is_a_table() {
        let text = drives().markdown();
        assert!(text.contains("| p50") && text.contains("1.25×"), "{text}");
    }
}
