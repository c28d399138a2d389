//! Remarks that explain figures and differences: one function per rule.

use super::{Pair, ToolFigure, ToolRow};
use record::BARE;

/// CPU time / elapsed time above which a single-threaded tool is the limit.
const BUSY: f64 = 0.9;
/// As in gate 5: how far rate × mean latency may be from the number of connections.
const LITTLE: f64 = 0.05;
/// As in gate 6.
const ACHIEVED: f64 = 0.995;

/// The input of the rules.
struct View<'a> {
    rate_per_s: Option<f64>,
    connections: u32,
    rows: &'a [ToolRow],
    pairs: &'a [Pair],
}

/// All remarks, failures first.
pub(super) fn remarks(
    rate_per_s: Option<f64>,
    connections: u32,
    rows: &[ToolRow],
    pairs: &[Pair],
) -> Vec<String> {
    let view = &View {
        rate_per_s,
        connections,
        rows,
        pairs,
    };
    let each = |rule: fn(&View<'_>, &ToolRow) -> Option<String>| -> Vec<String> {
        rows.iter().filter_map(|row| rule(view, row)).collect()
    };
    [
        each(failures),
        each(errors),
        limits(view),
        rates(view),
        each(short_clocks),
        each(long_clocks),
        each(steps),
        each(reconnects),
        paces(view),
        floor(view),
    ]
    .concat()
}

/// Rounds without a result.
fn failures(_: &View<'_>, row: &ToolRow) -> Option<String> {
    let (rounds, why) = row.failures.as_ref()?;
    Some(format!("{}: {rounds} rounds failed: {why}", row.tool))
}

/// Wrong or missing responses, as counted by the tool.
fn errors(_: &View<'_>, row: &ToolRow) -> Option<String> {
    (row.errors > 0).then(|| format!("{} counted {} errors", row.tool, row.errors))
}

/// Clients that were the limit in a closed loop, by their CPU time.
fn limits(view: &View<'_>) -> Vec<String> {
    let limits: Vec<String> = view
        .rows
        .iter()
        .filter(|row| is_limit(view, row))
        .map(|row| {
            format!(
                "{} ({:.0} %)",
                row.tool,
                row.busy_ratio.unwrap_or(0.0) * 100.0
            )
        })
        .collect();
    if limits.is_empty() {
        return Vec::new();
    }
    vec![format!(
        "the client was the limit, by its CPU use: {}. Such a rate is the client's maximum, not \
         the server's, and its latency includes the client's own queue",
        limits.join(", ")
    )]
}

fn is_limit(view: &View<'_>, row: &ToolRow) -> bool {
    view.rate_per_s.is_none() && row.busy_ratio.is_some_and(|busy| busy > BUSY)
}

/// Rates that differ beyond the noise, and why.
fn rates(view: &View<'_>) -> Vec<String> {
    if view.rate_per_s.is_some() {
        return Vec::new();
    }
    let pairs = view.pairs.iter().filter_map(|pair| {
        let rate = pair.ratios.get(&ToolFigure::RequestsPerS)?;
        if rate.differs == 0 {
            return None;
        }
        let limit = |name: &String| {
            let row = view.rows.iter().find(|row| row.tool == *name);
            row.is_some_and(|row| is_limit(view, row))
        };
        let cpu = pair.ratios.get(&ToolFigure::CpuPerRequest);
        let (ours, theirs) = (&pair.ours, &pair.theirs);
        let why = match (limit(ours), limit(theirs), cpu) {
            (true, true, Some(cpu)) => format!(
                "both are the limit, and {ours} takes {:.2} times the CPU time per request",
                cpu.median
            ),
            (false, true, _) => format!("{theirs} is the limit and {ours} is not"),
            (true, false, _) => format!("{ours} is the limit and {theirs} is not"),
            _ => "neither is the limit, and no figure here explains it".to_owned(),
        };
        Some(format!(
            "{ours} reaches {:.2} times the rate of {theirs}: {why}",
            rate.median
        ))
    });
    pairs.collect()
}

/// Little's law: the latencies don't cover all the time the connections were in use.
fn short_clocks(view: &View<'_>, row: &ToolRow) -> Option<String> {
    let little = little_ratio(view, row).filter(|little| *little < 1.0 - LITTLE)?;
    Some(format!(
        "{}: by its own latencies only {:.0} % of {} connections were in use at a time (rate × mean \
         latency): between a response and the start of the next request's clock they waited for the \
         client",
        row.tool,
        little * 100.0,
        view.connections
    ))
}

/// Little's law: more than is possible.
fn long_clocks(view: &View<'_>, row: &ToolRow) -> Option<String> {
    let little = little_ratio(view, row).filter(|little| *little > 1.0 + LITTLE)?;
    let why = match row.tool.as_str() {
        // stats_correct() in its stats.c; no other tool here does so.
        "wrk" => {
            "for each latency over twice the mean, wrk adds lower latencies that it did not measure"
        }
        _ => "its mean and its rate cover different requests or different times",
    };
    Some(format!(
        "{}: rate × mean latency is {:.0} % of {} connections, which is impossible: {why}",
        row.tool,
        little * 100.0,
        view.connections
    ))
}

/// In a closed loop only: a paced one leaves connections idle.
fn little_ratio(view: &View<'_>, row: &ToolRow) -> Option<f64> {
    row.little_ratio.filter(|_| view.rate_per_s.is_none())
}

/// A median that is only a few steps of the tool's printed resolution.
fn steps(_: &View<'_>, row: &ToolRow) -> Option<String> {
    let p50 = row.figures.get(&ToolFigure::P50)?;
    let half = row.resolution_ns / 2.0;
    (half >= 0.02 * p50).then(|| {
        format!(
            "{} prints latency in steps of {:.0} µs, so its median is only known to ±{:.0} µs",
            row.tool,
            row.resolution_ns / 1e3,
            half / 1e3
        )
    })
}

/// Reopened connections, by the kernel's count for the whole machine.
fn reconnects(_: &View<'_>, row: &ToolRow) -> Option<String> {
    // Ours, wrk and hey open one to test the server before they measure.
    let further = row.further_connections.filter(|further| *further > 1)?;
    Some(format!(
        "{}: the kernel accepted {further} connections more than requested, opened by the tool or by \
         other programs",
        row.tool
    ))
}

/// Paced: target rates that were missed, and what a rate means to each tool.
fn paces(view: &View<'_>) -> Vec<String> {
    let Some(rate) = view.rate_per_s else {
        return Vec::new();
    };
    let reached = |row: &ToolRow| {
        row.figures
            .get(&ToolFigure::RequestsPerS)
            .map(|got| got / rate)
    };
    let rows = view.rows.iter();
    let mut remarks: Vec<String> = rows
        .filter_map(|row| {
            let reached = reached(row).filter(|reached| *reached < ACHIEVED)?;
            Some(format!(
                "{} reached only {:.1} % of the target rate",
                row.tool,
                reached * 100.0
            ))
        })
        .collect();
    if view.rows.iter().any(|row| row.ours) {
        remarks.push("our CPU time includes spinning, which keeps send times exact".to_owned());
    }
    if view.rows.iter().any(|row| row.tool == "hey") {
        remarks.push(
            "hey paces each connection separately and measures from the actual send time: if the \
             server stalls, it sends less, and the latency doesn't show it"
                .to_owned(),
        );
    }
    remarks
}

/// The cost of the system calls alone, and goals below that cost.
fn floor(view: &View<'_>) -> Vec<String> {
    let cpu = |tool: &str| {
        let mut rows = view.rows.iter();
        let row = rows.find(|row| row.tool == tool)?;
        row.figures.get(&ToolFigure::CpuPerRequest).copied()
    };
    let Some(bare) = cpu(BARE) else {
        return Vec::new();
    };
    let mut remarks = vec![format!(
        "{BARE} only writes requests and reads responses: its {:.2} µs are the cost of the system \
         calls here; the rest of a tool's CPU time is its own",
        bare / 1e3
    )];
    for pair in view.pairs {
        let goal = pair.goal.filter(|goal| !goal.met);
        let Some((goal, theirs)) = goal.zip(cpu(&pair.theirs)) else {
            continue;
        };
        let floor = bare / theirs;
        if floor > goal.most {
            remarks.push(format!(
                "{BARE} alone takes {floor:.2} times the CPU time of {}: the goal of {} for {} is \
                 below the cost of the system calls here",
                pair.theirs, goal.most, pair.ours
            ));
        }
    }
    remarks
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::super::{Goal, Ratio};
    use super::*;

    fn row(tool: &str) -> ToolRow {
        ToolRow {
            tool: tool.to_owned(),
            ours: tool == "epoll",
            rounds: 5,
            figures: BTreeMap::from([
                (ToolFigure::P50, 300_000.0),
                (ToolFigure::RequestsPerS, 1e5),
            ]),
            busy_ratio: Some(0.5),
            little_ratio: Some(1.0),
            further_connections: Some(0),
            errors: 0,
            failures: None,
            resolution_ns: 1.0,
        }
    }

    fn pair(rate: f64, differs: i8) -> Pair {
        let ratio = |median, differs| Ratio {
            median,
            low: median,
            high: median,
            sure: true,
            n: 5,
            differs,
        };
        Pair {
            ours: "epoll".to_owned(),
            theirs: "wrk".to_owned(),
            ratios: BTreeMap::from([
                (ToolFigure::RequestsPerS, ratio(rate, differs)),
                (ToolFigure::CpuPerRequest, ratio(0.8, -1)),
            ]),
            goal: None,
        }
    }

    fn said(rate: Option<f64>, rows: &[ToolRow], pairs: &[Pair]) -> String {
        remarks(rate, 64, rows, pairs).join("\n")
    }

    #[test]
    fn sound_figures_need_no_word() {
        assert_eq!(said(None, &[row("epoll"), row("wrk")], &[pair(1.0, 0)]), "");
    }

    #[test]
    fn a_difference_is_explained_by_who_was_the_limit() {
        let busy = |tool| ToolRow {
            busy_ratio: Some(0.98),
            ..row(tool)
        };
        let both = said(None, &[busy("epoll"), busy("wrk")], &[pair(1.2, 1)]);
        assert!(both.contains("epoll (98 %), wrk (98 %)"), "{both}");
        assert!(
            both.contains("both are the limit") && both.contains("0.80 times the CPU"),
            "{both}"
        );
        let theirs = said(None, &[row("epoll"), busy("wrk")], &[pair(1.2, 1)]);
        assert!(
            theirs.contains("wrk is the limit and epoll is not"),
            "{theirs}"
        );
        let neither = said(None, &[row("epoll"), row("wrk")], &[pair(1.2, 1)]);
        assert!(neither.contains("no figure here explains it"), "{neither}");
        // A difference within the noise needs no explanation.
        assert!(!said(None, &[row("epoll"), row("wrk")], &[pair(1.2, 0)]).contains("rate of"));
    }

    #[test]
    fn a_goal_below_what_the_calls_cost_is_said() {
        let costs = |tool: &str, ns: f64| ToolRow {
            figures: BTreeMap::from([(ToolFigure::CpuPerRequest, ns)]),
            ..row(tool)
        };
        let pair = |most: f64, met| Pair {
            goal: Some(Goal {
                most,
                met,
                over: 0.1,
            }),
            ..pair(1.0, 0)
        };
        let rows = [
            costs("epoll", 7_000.0),
            costs("bare", 6_000.0),
            costs("wrk", 7_500.0),
        ];
        let below = said(None, &rows, &[pair(0.75, false)]);
        assert!(below.contains("its 6.00 µs"), "{below}");
        assert!(
            below.contains("0.80 times the CPU time of wrk: the goal of 0.75 for epoll"),
            "{below}"
        );
        for pair in [pair(0.85, false), pair(0.75, true)] {
            assert!(!said(None, &rows, &[pair]).contains("the goal of"));
        }
    }

    #[test]
    fn each_other_rule_goes_by_its_figure() {
        let wrk = row("wrk");
        for (row, words) in [
            (
                ToolRow {
                    errors: 3,
                    ..wrk.clone()
                },
                "3 errors",
            ),
            (
                ToolRow {
                    failures: Some((2, "it hung".to_owned())),
                    ..wrk.clone()
                },
                "2 rounds failed: it hung",
            ),
            (
                ToolRow {
                    little_ratio: Some(0.57),
                    ..wrk.clone()
                },
                "only 57 % of 64",
            ),
            (
                ToolRow {
                    little_ratio: Some(1.2),
                    ..wrk.clone()
                },
                "did not measure",
            ),
            (
                ToolRow {
                    resolution_ns: 1e5,
                    ..row("hey")
                },
                "steps of 100 µs",
            ),
            (
                ToolRow {
                    further_connections: Some(9),
                    ..wrk
                },
                "9 connections more",
            ),
        ] {
            let text = said(None, &[row], &[]);
            assert!(text.contains(words), "{words}: {text}");
        }
        let paced = said(Some(2e5), &[row("hey")], &[]);
        assert!(
            paced.contains("50.0 % of the target rate") && paced.contains("separately"),
            "{paced}"
        );
    }
}
