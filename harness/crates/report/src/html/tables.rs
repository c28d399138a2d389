//! The table of a workload, with each interval drawn in its cell, and that of all workloads.

use minijinja::{Value, context};

use crate::chart::{Entrant, Field, rank_text};
use crate::figure::{ratio, ratio_interval, shown, times};
use crate::notes::Notes;
use crate::number::{ABSENT, uncertainty};
use crate::say::unfit;
use crate::workload_table::{FigureColumn, caption, columns};
use catalog::Stage;
use judge::{Named, Standing, StandingChoice, standing};
use record::figure;
use record::{Estimate, RankInterval, RatioToBest, Record, Summary, Verdict};

use super::{anchor, list};

/// The table of one workload.
pub(super) fn of_workload(record: &Record, field: &Field<'_>, notes: &mut Notes) -> Value {
    let rows = field.entries.iter().flat_map(|entry| entry.rows());
    let columns = columns(field.has(Stage::Paced), rows);
    let last = field.last_rank();
    let scales: Vec<Option<(f64, f64)>> = columns.iter().map(|c| reach(field, c)).collect();
    let caption = field.ranking.map_or_else(String::new, |ranking| {
        let engine = record.run.engine.remark();
        let note = &mut |text: &str| notes.mark(text, field.workload);
        let paced = field.has(Stage::Paced);
        caption(ranking, &engine, last.is_some(), paced, note)
    });
    let mut after_control = true;
    let row = |entry: &Entrant<'_>| {
        let texts = entry.told(record);
        let failed = entry.verdict() == Verdict::Failed;
        let control = entry.is_control();
        let class = [
            (failed, "failed"),
            (control, "control"),
            (control && !after_control, "first-control"),
        ];
        after_control = control;
        let class = class.iter().filter(|(is, _)| *is).map(|(_, class)| *class);
        let cells = columns.iter().zip(&scales);
        context! {
            display => entry.display,
            icon => entry.key.icon(),
            class => class.collect::<Vec<_>>().join(" "),
            rank => rank_text(entry.rank()),
            // The sort key.
            rank_value => entry.rank().map(|rank| 100 * rank.low + rank.high),
            places => places(entry.rank(), last),
            word => if texts.is_empty() { "" } else { entry.verdict_word() },
            bad => failed,
            marks => list(texts.iter().map(|text| notes.number(text, field.workload))),
            cells => list(cells.map(|(column, scale)| cell(entry, column, *scale))),
        }
    };
    let rows: Value = field.entries.iter().map(row).collect();
    // The definition is for readers who don't know the short name.
    let head = columns
        .iter()
        .map(|column| context! { text => column.figure.head, long => column.figure.definition });
    context! {
        title => field.workload,
        about => record.run.workloads.get(field.workload),
        caption,
        head => list(head),
        rows,
    }
}

/// For each possible rank, whether it is within the server's interval.
fn places(rank: Option<RankInterval>, last: Option<u32>) -> Value {
    let places = |(rank, last): (RankInterval, u32)| {
        let is_in = move |place| (rank.low..=rank.high).contains(&place);
        (1..=last).map(is_in)
    };
    list(rank.zip(last).into_iter().flat_map(places))
}

/// The range of the bars in a column; the control has no bars.
fn reach(field: &Field<'_>, column: &FigureColumn) -> Option<(f64, f64)> {
    let estimates = field
        .servers()
        .filter_map(|entry| entry.figure(column.stage, column.figure.id));
    let (low, high) = estimates.fold((f64::INFINITY, 0.0_f64), |(low, high), e| {
        (low.min(e.low), high.max(e.high))
    });
    let low = if column.figure.log { low } else { 0.0 };
    (high > low && (!column.figure.log || low > 0.0)).then_some((low, high))
}

fn cell(entry: &Entrant<'_>, column: &FigureColumn, scale: Option<(f64, f64)>) -> Value {
    let (stage, figure) = (column.stage, column.figure);
    let Some(estimate) = entry.figure(stage, figure.id) else {
        return context! { text => ABSENT, value => () };
    };
    let shown = |value| shown(figure, value);
    let ratio = entry.ratio(stage, figure.id);
    let by_machine = ratio.is_some_and(|ratio| ratio.by_machine);
    let scale = scale.filter(|_| !entry.is_control() && !by_machine && estimate.n > 1);
    context! {
        text => format!("{}{}", entry.sign(column), shown(estimate.median)),
        uncertainty => (!by_machine).then(|| uncertainty(estimate)),
        // The ratio to the best, with its interval; none if the machine caused the figure.
        ratio => ratio.map(|ratio| ratio_text(entry.server, ratio)),
        range => format!("{} to {}", shown(estimate.low), shown(estimate.high)),
        value => estimate.median,
        bar => scale.map(|scale| bar(estimate, scale, figure.log)),
    }
}

/// As in `1.08× 1.05–1.11`, or `best`.
fn ratio_text(server: &str, ratio: &RatioToBest) -> String {
    match ratio.interval() {
        _ if ratio.by_machine => String::new(),
        _ if ratio.best == server => "best".to_owned(),
        Some(interval) => format!("{} {}", times(ratio.ratio), ratio_interval(interval)),
        None => times(ratio.ratio),
    }
}

/// Ends and middle of an interval, in percent of the cell's width.
fn bar(estimate: &Estimate, (low, high): (f64, f64), log: bool) -> Value {
    let at = |value: f64| {
        let share = match log {
            true => (value / low).ln() / (high / low).ln(),
            false => (value - low) / (high - low),
        };
        (1000.0 * share.clamp(0.0, 1.0)).round() / 10.0
    };
    context! { low => at(estimate.low), middle => at(estimate.median), high => at(estimate.high) }
}

/// All workloads in one table; `None` if there is only one.
pub(super) fn overview(record: &Record, summary: &Summary, fields: &[Field<'_>]) -> Option<Value> {
    if fields.len() < 2 {
        return None;
    }
    let named = Named {
        name: "this run",
        record,
    };
    let all = standing(&[named], &StandingChoice::default());
    let stood = |server: &str| all.places.iter().find(|place| place.server == server);
    let ranks = all.places.iter().filter_map(|place| place.rank);
    let last = ranks.map(|rank| rank.high).max();
    let ranked = all.places.iter().map(|place| place.server.as_str());
    let others = summary.servers.iter().map(|row| row.server.as_str());
    let others = others.filter(|server| stood(server).is_none() && !record::is_control(server));
    let row = |server: &str| {
        let of = |field: &'_ Field<'_>| field.entries.iter().position(|e| e.server == server);
        let first = fields
            .iter()
            .find_map(|field| Some(&field.entries[of(field)?]))?;
        let over_all = stood(server).map(|place| {
            let interval = place.score.interval;
            context! {
                rank => rank_text(place.rank),
                places => places(place.rank, last),
                distance => ratio(place.score.median),
                interval => interval.map(|interval| ratio_interval((interval.low, interval.high))),
            }
        });
        let cells = fields.iter().map(|field| match of(field) {
            Some(at) => overview_cell(field, &field.entries[at]),
            None => context! { rank => ABSENT },
        });
        Some(context! {
            display => first.display,
            icon => first.key.icon(),
            all => over_all,
            cells => list(cells),
        })
    };
    let link =
        |field: &Field<'_>| context! { name => field.workload, id => anchor(field.workload) };
    Some(context! {
        caption => overview_caption(&all),
        workloads => list(fields.iter().map(link)),
        rows => list(ranked.chain(others).filter_map(row)),
        notes => list(unranked(&all)),
    })
}

/// The servers that are not ranked over all workloads, grouped by cause.
fn unranked(all: &Standing) -> Vec<String> {
    let mut causes: Vec<(String, Vec<&str>)> = Vec::new();
    for one in &all.unranked {
        let cause = unfit(&one.cause);
        match causes.iter_mut().find(|(known, _)| *known == cause) {
            Some((_, servers)) => servers.push(&one.display),
            None => causes.push((cause, vec![&one.display])),
        }
    }
    let told = |(cause, servers): (String, Vec<&str>)| format!("{}: {cause}", servers.join(", "));
    causes.into_iter().map(told).collect()
}

fn overview_caption(all: &Standing) -> String {
    let figure = figure::name(all.by.figure());
    let load = match all.by {
        judge::By::Peak => "at peak",
        judge::By::Cost => "at the same rate",
    };
    let ranked = match all.withheld.is_empty() {
        false => "without ranks, for the reasons above",
        true => "with its rank and 95 % interval",
    };
    format!(
        "Each workload: rank, peak requests per second, and CPU time per request at equal load, \
         with 95 % intervals. All: how many times worse than the best, as the geometric mean over \
         workloads by {figure} {load}, {ranked}."
    )
}

fn overview_cell(field: &Field<'_>, entry: &Entrant<'_>) -> Value {
    let told = |stage, id, unit: &str| {
        let (estimate, figure) = (entry.figure(stage, id)?, figure::find(id)?);
        let value = shown(figure, estimate.median);
        Some(format!("{value} {unit} {}", uncertainty(estimate)))
    };
    let bound = entry.is_bound(Stage::Peak, figure::RATE);
    let rate = told(Stage::Peak, figure::RATE, "req/s");
    let rate = rate.map(|rate| format!("{}{rate}", if bound { "≥" } else { "" }));
    let cost = told(Stage::Paced, figure::COST, "µs CPU");
    context! {
        rank => rank_text(entry.rank()),
        places => places(entry.rank(), field.last_rank()),
        rate => rate.unwrap_or_default(),
        cost => cost.unwrap_or_default(),
        failed => entry.verdict() == Verdict::Failed,
    }
}
