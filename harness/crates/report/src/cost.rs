//! What a request costs: a table per workload, and what its figures can't tell.

use judge::{CostChange, USUAL_COSTS};
use record::figure::{self, Figure, INSTRUCTIONS, Unit};
use record::{Costs, Row, ServerCost, Summary, WorkloadCost, is_control};
use words::listed;

use super::figure::times;
use super::grid::Grid;
use super::number::{ABSENT, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// Below this ratio to the best, two servers do the same work.
const SAME: f64 = 1.01;

/// The tables for a terminal.
pub fn cost_lines(costs: &Costs, colour: Colour) -> String {
    terminal::blocks(blocks(costs, None), colour)
}

/// The same in Markdown.
pub fn cost_page(costs: &Costs) -> String {
    super::markdown::blocks(blocks(costs, None))
}

/// What changed between two builds: the usual figures, and every one that exceeds a limit.
pub fn cost_changes(changes: &[CostChange<'_>], colour: Colour) -> String {
    let shown = changes
        .iter()
        .filter(|change| change.exceeds || USUAL_COSTS.contains(&change.figure.id));
    let rows = shown.map(|change| {
        vec![
            change.server.display.clone(),
            change.workload.to_owned(),
            change.figure.label.to_owned(),
            cost_shown(change.figure, change.base),
            cost_shown(change.figure, change.new),
            growth(change.base, change.new),
            match change.exceeds {
                true => "FAIL".to_owned(),
                false => String::new(),
            },
        ]
    });
    let head = [
        "server",
        "workload",
        "per request",
        "base",
        "new",
        "change",
        "limit",
    ];
    let grid = Grid::fitting(&head, &head, 3, rows.collect());
    terminal::blocks(
        vec![Block::Heading("Change".into()), Block::Table(grid)],
        colour,
    )
}

/// As in `+0.52 %`; without a percentage where the base is 0.
fn growth(base: f64, new: f64) -> String {
    if base.abs() < 5e-4 {
        return if new.abs() < 5e-4 { "=" } else { "new" }.to_owned();
    }
    format!("{:+.2} %", (new / base - 1.0) * 100.0)
}

/// A table for each workload, beside the CPU time of a run if there is one; then notes.
pub(super) fn blocks(costs: &Costs, run: Option<&Summary>) -> Vec<Block> {
    let mut blocks = Vec::new();
    // A run's report has the workloads of that run.
    let measured = |workload: &&str| {
        run.is_none_or(|run| run.rows.iter().any(|row| row.workload == *workload))
    };
    for workload in costs.workloads().into_iter().filter(measured) {
        blocks.push(Block::Heading(format!("Cost per request: {workload}")));
        blocks.extend(table(costs, workload, run));
        let texts = [
            verdict(costs, workload),
            run.and_then(|run| beside_time(costs, workload, run)),
        ];
        blocks.extend(texts.into_iter().flatten().map(Block::Text));
        blocks.extend(
            run.and_then(|run| ties(costs, workload, run))
                .map(Block::Notes),
        );
        let calls: Vec<String> = rows(costs, workload)
            .into_iter()
            .filter_map(|(server, cost)| syscalls(server, cost))
            .collect();
        if !calls.is_empty() {
            blocks.push(Block::Notes(calls));
        }
    }
    blocks.push(Block::Text(about(costs)));
    let notes = absences(costs);
    if !notes.is_empty() {
        blocks.push(Block::Notes(notes));
    }
    blocks
}

/// The servers with figures of a workload, the one with the fewest instructions first.
fn rows<'c>(costs: &'c Costs, workload: &str) -> Vec<(&'c ServerCost, &'c WorkloadCost)> {
    let of = |server: &'c ServerCost| Some((server, server.workload(workload)?));
    let mut rows: Vec<_> = costs.servers.iter().filter_map(of).collect();
    let instructions = |cost: &WorkloadCost| cost.median(INSTRUCTIONS).unwrap_or(f64::INFINITY);
    rows.sort_by(|(_, one), (_, other)| instructions(one).total_cmp(&instructions(other)));
    rows
}

/// The lowest value of a figure.
fn least(rows: &[(&ServerCost, &WorkloadCost)], figure: &str) -> Option<f64> {
    let values = rows.iter().filter_map(|(_, cost)| cost.median(figure));
    values.min_by(f64::total_cmp)
}

fn table(costs: &Costs, workload: &str, run: Option<&Summary>) -> Option<Block> {
    let rows = rows(costs, workload);
    let figures: Vec<&Figure> = figure::COSTS
        .iter()
        .filter(|figure| least(&rows, figure.id).is_some())
        .collect();
    let best = least(&rows, INSTRUCTIONS);
    let time = figure::find(figure::COST)?;
    let head = |text: fn(&Figure) -> &'static str| -> Vec<&str> {
        let mut head = vec!["server"];
        for figure in &figures {
            head.push(text(figure));
            if figure.id == INSTRUCTIONS {
                head.push("ratio");
            }
        }
        head.extend(run.map(|_| time.label));
        head
    };
    let line = |(server, cost): &(&ServerCost, &WorkloadCost)| {
        let mut cells = vec![server.display.clone()];
        for figure in &figures {
            let value = cost.median(figure.id);
            cells.push(value.map_or_else(|| ABSENT.to_owned(), |value| cost_shown(figure, value)));
            if figure.id == INSTRUCTIONS {
                let ratio = value.zip(best).map(|(value, best)| times(value / best));
                cells.push(ratio.unwrap_or_else(|| ABSENT.to_owned()));
            }
        }
        cells.extend(run.map(|run| {
            let value = cpu_time(run, workload, &server.name);
            value.map_or_else(|| ABSENT.to_owned(), |value| cost_shown(time, value))
        }));
        cells
    };
    let lines: Vec<_> = rows.iter().map(line).collect();
    let (whole, short) = (head(|figure| figure.head), head(|figure| figure.short));
    (!figures.is_empty()).then(|| Block::Table(Grid::fitting(&whole, &short, 1, lines)))
}

/// A server's row in the stage that its workload is ranked by.
fn ranked<'s>(run: &'s Summary, workload: &str, server: &str) -> Option<&'s Row> {
    let ranking = run
        .rankings
        .iter()
        .find(|ranking| ranking.workload == workload)?;
    let mut rows = run.rows.iter();
    rows.find(|row| row.server == server && row.workload == workload && row.stage == ranking.stage)
}

/// The CPU time per request of a server in a run: at the paced rate if it was measured there.
fn cpu_time(run: &Summary, workload: &str, server: &str) -> Option<f64> {
    let rows = run
        .rows
        .iter()
        .filter(|row| row.server == server && row.workload == workload);
    let known = rows.filter_map(|row| Some((row.stage, row.figures.get(figure::COST)?.median)));
    let known: Vec<_> = known.collect();
    let paced = known
        .iter()
        .find(|(stage, _)| *stage == catalog::Stage::Paced);
    paced.or(known.first()).map(|(_, value)| *value)
}

/// How far the order by instructions is that by CPU time.
fn beside_time(costs: &Costs, workload: &str, run: &Summary) -> Option<String> {
    let pair = |(server, cost): &(&ServerCost, &WorkloadCost)| {
        Some((
            cost.median(INSTRUCTIONS)?,
            cpu_time(run, workload, &server.name)?,
        ))
    };
    let (instructions, times): (Vec<f64>, Vec<f64>) =
        rows(costs, workload).iter().filter_map(pair).unzip();
    let rho = stats::spearman(&instructions, &times)?;
    (instructions.len() >= 3).then(|| {
        format!(
            "Rank correlation of instructions with CPU time over {} servers: {rho:.2} (1: the same order).",
            instructions.len()
        )
    })
}

/// For servers that tie in speed, where their work differs. The one with fewer instructions comes first.
fn ties(costs: &Costs, workload: &str, run: &Summary) -> Option<Vec<String>> {
    let rows = rows(costs, workload);
    let mut lines = Vec::new();
    for (index, (one, fewer)) in rows.iter().enumerate() {
        for (other, more) in &rows[index + 1..] {
            let ranks = ranked(run, workload, &one.name)?
                .rank
                .zip(ranked(run, workload, &other.name)?.rank);
            let tie = ranks.is_some_and(|(a, b)| a.low <= b.high && b.low <= a.high);
            let ratio = more.median(INSTRUCTIONS)? / fewer.median(INSTRUCTIONS)?;
            if !tie || ratio < SAME {
                continue;
            }
            let differs = |id: &str| {
                let figure = figure::cost(id)?;
                let (less, more) = (fewer.median(id)?, more.median(id)?);
                let shown = |value| cost_shown(figure, value);
                (shown(less) != shown(more))
                    .then(|| format!("{}: {}, {}", figure.label, shown(less), shown(more)))
            };
            let (one, other) = (&one.display, &other.display);
            let mut text = format!(
                "{one} and {other} tie in speed; {other} executes {} as many instructions",
                times(ratio)
            );
            for difference in USUAL_COSTS[1..].iter().filter_map(|id| differs(id)) {
                text += &format!("; {difference}");
            }
            lines.push(text);
        }
    }
    (!lines.is_empty()).then_some(lines)
}

/// A value of a cost. Bytes are few, so they aren't shown as MiB; a count has at most two decimals.
fn cost_shown(figure: &Figure, value: f64) -> String {
    match figure.unit() {
        Unit::One if value.abs() < 0.005 => "0".to_owned(),
        Unit::One if value.abs() < 100.0 => format!("{value:.2}"),
        Unit::Bytes if value < 1_000.0 => format!("{value:.0}"),
        _ => significant(value, figure.digits),
    }
}

/// Who executes the fewest instructions, and how many more the others do.
fn verdict(costs: &Costs, workload: &str) -> Option<String> {
    let mut rows = rows(costs, workload);
    rows.retain(|(server, _)| !is_control(&server.name));
    let known = rows
        .iter()
        .filter_map(|(server, cost)| Some((server.display.as_str(), cost.median(INSTRUCTIONS)?)));
    let known: Vec<_> = known.collect();
    let (_, best) = *known.first()?;
    let (first, others): (Vec<_>, Vec<_>) = known.iter().partition(|(_, each)| each / best < SAME);
    let names = |servers: &[&(&str, f64)]| {
        let names: Vec<&str> = servers.iter().map(|(name, _)| *name).collect();
        listed(&names)
    };
    let mut text = format!(
        "Fewest instructions: {} with {}",
        names(&first),
        significant(best, 3)
    );
    for (name, each) in others {
        text += &format!(", {name} {}", times(each / best));
    }
    Some(text + ".")
}

fn syscalls(server: &ServerCost, cost: &WorkloadCost) -> Option<String> {
    let mut calls: Vec<(&String, &f64)> = cost.syscalls.iter().collect();
    calls.sort_by(|one, other| other.1.total_cmp(one.1));
    let calls: Vec<String> = calls
        .into_iter()
        .map(|(name, each)| format!("{name} {}", significant(*each, 2)))
        .collect();
    (!calls.is_empty()).then(|| format!("{}: {}", server.display, calls.join(", ")))
}

/// How it was counted, how well it repeats, and what the figures can't tell.
fn about(costs: &Costs) -> String {
    let spread = |id: &str| {
        let all = costs.servers.iter().flat_map(|server| &server.workloads);
        // Of a count near 0, such as that of a server that allocates nothing per request, a spread says nothing.
        let widest = all
            .filter(|cost| cost.median(id).is_some_and(|each| each >= 1.0))
            .filter_map(|cost| cost.spread(id))
            .max_by(f64::total_cmp)?;
        let label = figure::cost(id)?.label;
        Some(format!("{:.2} % in {label}", widest * 100.0))
    };
    let spreads: Vec<String> = [INSTRUCTIONS, figure::ALLOCATIONS]
        .into_iter()
        .filter_map(spread)
        .collect();
    let spreads: Vec<&str> = spreads.iter().map(String::as_str).collect();
    let repeats = match spreads.is_empty() {
        true => String::new(),
        false => format!(" Repeats differ by at most {}.", listed(&spreads)),
    };
    let by = costs
        .counted_by
        .get(INSTRUCTIONS)
        .map(|tool| format!(" Instructions are counted by {tool}."));
    format!(
        "One connection sends one request after the other to {}. Each figure is the difference between \
         {} and {} requests.{}{repeats} Instructions are not time: they leave out the kernel, cache misses \
         and waiting. With many connections a server makes fewer system calls per request.",
        words::counted(costs.workers as u64, "worker"),
        words::grouped(costs.requests[1]),
        words::grouped(costs.requests[0]),
        by.unwrap_or_default(),
    )
}

/// Why figures are absent, each reason once.
fn absences(costs: &Costs) -> Vec<String> {
    let label = |id: &String| {
        figure::cost(id)
            .map_or(id.as_str(), |figure| figure.label)
            .to_owned()
    };
    let mut reasons: Vec<(String, Vec<String>)> = Vec::new();
    let mut add = |why: String, id: &String| {
        let label = label(id);
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, ids)) if ids.contains(&label) => {}
            Some((_, ids)) => ids.push(label),
            None => reasons.push((why, vec![label])),
        }
    };
    for (id, why) in &costs.absent {
        add(why.clone(), id);
    }
    for server in &costs.servers {
        for (id, why) in server.workloads.iter().flat_map(|cost| &cost.absent) {
            add(format!("{}: {why}", server.display), id);
        }
    }
    let failed = costs.servers.iter().filter_map(|server| {
        let failure = server.failure.as_ref()?;
        Some(format!("{}: {}", server.display, failure.reason))
    });
    let absent = reasons.iter().map(|(why, ids)| {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        format!("no {}: {why}", listed(&ids))
    });
    failed.chain(absent).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use catalog::Stage;
    use record::{RankInterval, Ranking, Verdict};

    use super::*;

    const WORKLOAD: &str = "ping";

    fn server(name: &str, instructions: &[f64], allocations: f64) -> ServerCost {
        let figures = BTreeMap::from([
            (INSTRUCTIONS.to_owned(), instructions.to_vec()),
            (figure::ALLOCATIONS.to_owned(), vec![allocations]),
        ]);
        ServerCost {
            name: name.to_owned(),
            display: name.to_uppercase(),
            class: String::new(),
            version: None,
            sha256: None,
            failure: None,
            workloads: vec![WorkloadCost {
                name: WORKLOAD.to_owned(),
                figures,
                ..WorkloadCost::default()
            }],
        }
    }

    fn costs() -> Costs {
        Costs {
            head: record::Head::default(),
            workers: 1,
            requests: [200, 1_200],
            seed: 1,
            counted_by: BTreeMap::new(),
            absent: BTreeMap::from([("cycles_per_request".to_owned(), "no counters".to_owned())]),
            servers: vec![
                server("birch", &[2_000.0, 2_002.0], 14.0),
                server("alder", &[1_000.0, 1_000.0], 0.03),
            ],
        }
    }

    /// A run in which the servers have these ranks and CPU times.
    fn run(ranks: [(&str, u32, u32, f64); 2]) -> Summary {
        let row = |(name, low, high, time): (&str, u32, u32, f64)| Row {
            server: name.to_owned(),
            display: name.to_uppercase(),
            workload: WORKLOAD.to_owned(),
            stage: Stage::Paced,
            verdict: Verdict::Ok,
            reasons: Vec::new(),
            rank: Some(RankInterval { low, high }),
            lower_bound: false,
            ratio_to_best: BTreeMap::new(),
            figures: BTreeMap::from([(
                figure::COST.to_owned(),
                record::Estimate {
                    median: time,
                    low: time,
                    high: time,
                    n: 3,
                },
            )]),
        };
        Summary {
            rows: ranks.map(row).into(),
            rankings: vec![Ranking {
                workload: WORKLOAD.to_owned(),
                stage: Stage::Paced,
                ranked_by: figure::COST.to_owned(),
                reason: String::new(),
                rate_per_s: None,
                connections: 64,
                noise_floor: None,
                notes: Vec::new(),
            }],
            ..Summary::default()
        }
    }

    fn text(run: Option<&Summary>) -> String {
        let text = terminal::blocks(blocks(&costs(), run), Colour::Never);
        // Lines are wrapped.
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_fewest_instructions_come_first_with_ratios_and_the_spread_of_real_counts() {
        let text = text(None);
        assert!(
            text.contains("| ALDER | 1,000 | 1.00× | 0.03 | | BIRCH | 2,001 | 2.00× | 14.00 |"),
            "{text}"
        );
        assert!(
            text.contains("Fewest instructions: ALDER with 1,000, BIRCH 2.00×."),
            "{text}"
        );
        assert!(
            text.contains("Repeats differ by at most 0.10 % in instructions."),
            "{text}"
        );
        assert!(text.contains("no cycles: no counters"), "{text}");
    }

    #[test]
    fn servers_that_tie_in_speed_are_told_apart_by_their_work() {
        let tied = run([("alder", 1, 2, 5.0), ("birch", 1, 2, 5.1)]);
        let said = "ALDER and BIRCH tie in speed; BIRCH executes 2.00× as many instructions; allocations: \
                    0.03, 14.00";
        assert!(text(Some(&tied)).contains(said), "{}", text(Some(&tied)));
        let apart = run([("alder", 1, 1, 5.0), ("birch", 2, 2, 9.0)]);
        assert!(!text(Some(&apart)).contains("tie in speed"));
        assert!(
            text(Some(&apart)).contains("| 5.00 |"),
            "CPU time stands beside"
        );
    }

    #[test]
    fn a_workload_that_the_run_did_not_measure_is_left_out() {
        let mut other = run([("alder", 1, 1, 5.0), ("birch", 2, 2, 9.0)]);
        for row in &mut other.rows {
            row.workload = "orders".to_owned();
        }
        assert!(!text(Some(&other)).contains("Cost per request"));
    }
}
