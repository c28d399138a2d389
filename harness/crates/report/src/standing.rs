//! Renders a ranking across workloads: for a terminal, as Markdown and as JSON.

use serde_json::{Value, json};

use judge::{Beside, Distance, Standing, Stood};
use machine::MachineDifference;
use record::Record;

use super::figure::ratio;
use super::grid::{Align, Grid};
use super::number::ABSENT;
use super::page::Block;
use super::{Colour, markdown, say, terminal};

/// The version of the JSON; incremented by every change that an older reader would misread.
pub const STANDING_SCHEMA_VERSION: u32 = 1;

/// Workloads per table, so that it fits a terminal.
const COLUMNS: usize = 5;

/// A standing and its runs.
#[derive(Debug, Clone, Copy)]
pub struct Ranked<'a> {
    /// The runs.
    pub runs: &'a [&'a Record],
    /// Differences between their machines and the first's.
    pub another_machine: &'a [MachineDifference],
    /// The result.
    pub standing: &'a Standing,
}

impl Ranked<'_> {
    /// For a terminal.
    pub fn terminal(&self, colour: Colour) -> String {
        terminal::blocks(self.blocks(), colour)
    }

    /// For a README or an issue.
    pub fn markdown(&self) -> String {
        markdown::blocks(self.blocks())
    }

    /// For programs; `harness/docs/RECORD.md` describes it.
    pub fn json(&self) -> String {
        let mut text =
            serde_json::to_string_pretty(&self.document()).expect("all keys are strings");
        text.push('\n');
        text
    }

    fn blocks(&self) -> Vec<Block> {
        let found = self.standing;
        let mut blocks = vec![
            Block::Heading(format!("Standing across {}", found.workloads.join(", "))),
            Block::Text(self.caption()),
        ];
        if !found.places.is_empty() {
            blocks.extend(self.tables());
        }
        let unranked = found.unranked.iter();
        let mut notes: Vec<String> = unranked
            .map(|one| format!("not ranked: {}: {}", one.display, say::unfit(&one.cause)))
            .collect();
        notes.extend(self.another_machine.iter().map(|difference| {
            format!(
                "different machine: {} is {} in one run, {} in another",
                difference.member, difference.base, difference.new
            )
        }));
        notes.extend(found.notes.iter().map(say::pool_note));
        if !notes.is_empty() {
            blocks.push(Block::Notes(notes));
        }
        blocks
    }

    fn caption(&self) -> String {
        let found = self.standing;
        let ids: Vec<&str> = self.runs.iter().map(|run| run.run.id.as_str()).collect();
        let ranked = match say::withheld(&found.withheld) {
            Some(why) => format!("Ranks are withheld: {why}"),
            None => {
                let floor = found.floor.delta.exp_m1() * 100.0;
                let source = match found.floor.pairs {
                    0 => "assumed: nothing was entered twice",
                    _ => "measured with programs entered twice",
                };
                format!("Differences below the noise floor of {floor:.1} % are ties ({source})")
            }
        };
        format!(
            "Ranked by {} ({}): {}. Each figure is how many times worse than the best of its \
             workload (1.00); `all` is their geometric mean. The line below is the 95 % interval \
             over rounds. {ranked}. Runs: {}{}.",
            found.by.figure(),
            found.by.stage(),
            say::grounds(&found.why).trim_end_matches('.'),
            ids.join(", "),
            self.runs
                .first()
                .map_or_else(String::new, |run| run.run.engine.remark())
        )
    }

    fn tables(&self) -> Vec<Block> {
        let names: Vec<&str> = self.standing.workloads.iter().map(String::as_str).collect();
        let parts = names.chunks(COLUMNS).enumerate();
        parts
            .map(|(part, names)| Block::Table(self.table(names, part == 0)))
            .collect()
    }

    fn table(&self, workloads: &[&str], first: bool) -> Grid {
        let mut head = vec![
            ("#".to_owned(), Align::Left),
            ("server".to_owned(), Align::Left),
        ];
        if first {
            head.push(("all".to_owned(), Align::Right));
        }
        head.extend(
            workloads
                .iter()
                .map(|name| ((*name).to_owned(), Align::Right)),
        );
        let lines = |place: &Stood| {
            let of = |name: &&str| {
                place
                    .workloads
                    .iter()
                    .find(|beside| beside.workload == **name)
            };
            let all = first.then_some(place.score);
            let distances = workloads
                .iter()
                .map(|name| of(name).map(|beside| beside.distance));
            let cells: Vec<Option<Distance>> = all.map(Some).into_iter().chain(distances).collect();
            let values = cells
                .iter()
                .map(|cell| cell.map_or(ABSENT.into(), |d| ratio(d.median)));
            let intervals = cells
                .iter()
                .map(|cell| cell.as_ref().map_or(String::new(), interval));
            let above = [rank(place), place.display.clone()]
                .into_iter()
                .chain(values);
            let below = [String::new(), String::new()].into_iter().chain(intervals);
            [above.collect::<Vec<_>>(), below.collect()]
        };
        Grid {
            head,
            rows: self.standing.places.iter().flat_map(lines).collect(),
        }
    }

    fn document(&self) -> Value {
        let found = self.standing;
        let runs: Vec<Value> = self
            .runs
            .iter()
            .map(|record| json!({ "run": record.run.id, "revision": record.run.revision }))
            .collect();
        let machine: Vec<Value> = self
            .another_machine
            .iter()
            .map(|d| json!({ "member": d.member, "base": d.base, "new": d.new }))
            .collect();
        let unranked: Vec<Value> = found
            .unranked
            .iter()
            .map(|one| {
                json!({
                    "server": one.server,
                    "display": one.display,
                    "cause": say::unfit(&one.cause),
                    "reason": one.cause,
                })
            })
            .collect();
        json!({
            "schema_version": STANDING_SCHEMA_VERSION,
            "kind": "standing",
            "runs": runs,
            "another_machine": machine,
            "ranked_by": found.by.figure(),
            "stage": found.by.stage().name(),
            "reason": say::grounds(&found.why),
            "grounds": found.why,
            "withheld": say::withheld(&found.withheld),
            "withheld_reasons": found.withheld,
            "noise_floor_ratio": found.floor.delta.exp_m1(),
            "noise_floor_pairs": found.floor.pairs,
            "workloads": found.workloads,
            "places": found.places.iter().map(stood).collect::<Vec<_>>(),
            "unranked": unranked,
            "notes": found.notes.iter().map(say::pool_note).collect::<Vec<_>>(),
            "note_reasons": found.notes,
        })
    }
}

/// As in `2` or `2–3`.
fn rank(place: &Stood) -> String {
    match place.rank {
        None => ABSENT.to_owned(),
        Some(rank) if rank.low == rank.high => rank.low.to_string(),
        Some(rank) => format!("{}–{}", rank.low, rank.high),
    }
}

fn interval(distance: &Distance) -> String {
    match distance.interval {
        // The best compared with itself.
        Some(interval) if interval.low == 1.0 && interval.high == 1.0 => String::new(),
        Some(interval) => format!("{}–{}", ratio(interval.low), ratio(interval.high)),
        None => String::new(),
    }
}

fn stood(place: &Stood) -> Value {
    let beside = |one: &Beside| json!({ "workload": one.workload, "best": one.best, "distance": distance(&one.distance) });
    json!({
        "server": place.server,
        "display": place.display,
        "rank": place.rank,
        "distance": distance(&place.score),
        "rounds": place.rounds,
        "workloads": place.workloads.iter().map(beside).collect::<Vec<_>>(),
    })
}

fn distance(found: &Distance) -> Value {
    json!({
        "median": found.median,
        "low": found.interval.map(|interval| interval.low),
        "high": found.interval.map(|interval| interval.high),
    })
}
