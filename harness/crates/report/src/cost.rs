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
    for workload in costs.workloads() {
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

/// Of servers that tie in speed, which one does less work, and where.
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
                    .then(|| format!("{} {} against {}", figure.label, shown(less), shown(more)))
            };
            let mut text = format!(
                "{} and {} tie in speed; {} does less work: {} executes {} as many instructions",
                one.display,
                other.display,
                one.display,
                other.display,
                times(ratio)
            );
            for difference in USUAL_COSTS[1..].iter().filter_map(|id| differs(id)) {
                text += &format!(", {difference}");
            }
            lines.push(text);
        }
    }
    (!lines.is_empty()).then_some(lines)
}

/// A value of a cost; bytes are few, so they aren't shown as MiB.
fn cost_shown(figure: &Figure, value: f64) -> String {
    match figure.unit() {
        Unit::Bytes if value >= 1.0 => significant(value.round(), figure.digits),
        _ if value.abs() < 5e-4 => "0".to_owned(),
        _ => significant(value, figure.digits),
    }
}

/// Who does the least work, and how much more the others do.
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
        "Least work: {} with {} instructions",
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
        Some(format!("{label} to {:.2} %", widest * 100.0))
    };
    let spreads: Vec<String> = [INSTRUCTIONS, figure::ALLOCATIONS]
        .into_iter()
        .filter_map(spread)
        .collect();
    let spreads: Vec<&str> = spreads.iter().map(String::as_str).collect();
    let repeats = match spreads.is_empty() {
        true => String::new(),
        false => format!(" Repeats agree: {}.", listed(&spreads)),
    };
    let by = costs
        .counted_by
        .get(INSTRUCTIONS)
        .map(|tool| format!(" by {tool}"));
    format!(
        "Counted{} for one request after the other over one connection, {}: ({} − {} requests) of the \
         same process.{repeats} Instructions are not time: they leave out the kernel, cache misses and \
         waiting. With many connections a server makes fewer system calls per request.",
        by.unwrap_or_default(),
        words::counted(costs.workers as u64, "worker"),
        words::grouped(costs.requests[1]),
        words::grouped(costs.requests[0]),
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
