//! The goals of our load generator other than its cost, as measured.

use crate::judge::{Goal, KnownServer, Point, calls_per_request, known, lags};
use record::Crosscheck;

use super::{shown, verdict};
use report::{ABSENT, Grid, WIDTH, significant, wrapped};

pub(super) fn show(lines: &mut Vec<String>, record: &Crosscheck) {
    calls(lines, record);
    late(lines, record);
    for known in known(record) {
        quantiles(lines, &known);
    }
}

fn heading(lines: &mut Vec<String>, heading: &str, about: &str) {
    lines.extend([String::new(), format!("## {heading}"), String::new()]);
    lines.extend(wrapped(about, WIDTH, 0));
    lines.push(String::new());
}

fn calls(lines: &mut Vec<String>, record: &Crosscheck) {
    let Some(first) = record.syscalls.first() else {
        return;
    };
    let about = format!(
        "Of the client, on {}, from two runs of different length under strace: (calls₂ − calls₁) / \
         (requests₂ − requests₁).",
        first.server
    );
    heading(lines, "System calls per request", &about);
    let rows = calls_per_request(record).into_iter().map(|calls| {
        let names = calls.by_name.iter().take(4);
        let names: Vec<String> = names.map(|(name, n)| format!("{name} {n:.2}")).collect();
        let detail = calls.failure.clone().unwrap_or_else(|| names.join(", "));
        vec![
            calls.tool.clone(),
            detail,
            calls.connections.to_string(),
            calls
                .per_request
                .map_or(ABSENT.into(), |n| format!("{n:.2}")),
            goal(calls.goal.as_ref(), |most| format!("{most}")),
        ]
    });
    let head = ["tool", "of which", "connections", "calls", "goal"];
    lines.extend(Grid::fitting(&head, &head, 2, rows.collect()).lines());
}

fn late(lines: &mut Vec<String>, record: &Crosscheck) {
    let Some(first) = record.send_lags.first() else {
        return;
    };
    let about = format!(
        "p99 of how late our load generator sent, on {}, one thread, {} connections: median over \
         rounds, minimum and maximum.",
        first.server, first.connections
    );
    heading(lines, "Send lag", &about);
    let us = |ns: f64| significant(ns / 1e3, 3);
    let rows = lags(record).into_iter().map(|lag| {
        let p99 = lag.p99_ns.map_or(ABSENT.into(), |(middle, low, high)| {
            format!("{} ({} to {})", us(middle), us(low), us(high))
        });
        vec![
            lag.tool.clone(),
            significant(lag.rate_per_s, 6),
            shown(lag.achieved_per_s, 6),
            lag.failure.clone().unwrap_or(p99),
            goal(lag.goal.as_ref(), |most| format!("{} µs", us(most))),
        ]
    });
    let head = ["I/O backend", "target/s", "achieved/s", "p99 µs", "goal"];
    lines.extend(Grid::fitting(&head, &head, 1, rows.collect()).lines());
}

fn goal(goal: Option<&Goal>, most: impl Fn(f64) -> String) -> String {
    goal.map_or(ABSENT.into(), |goal| {
        format!("≤ {} {}", most(goal.most), verdict(goal))
    })
}

fn quantiles(lines: &mut Vec<String>, known: &KnownServer) {
    let allowed = match known.delay.starts_with("stall") {
        true => "goal: within 5 % of the expected value",
        false => "goal: within 2 % of the expected value or 20 µs, whichever is larger",
    };
    let about = format!(
        "Latency in ms over {} connections, at 1,000 requests/s if the tool can be paced; \
         {allowed}. \"applied\" is the delay that the server applied, by its own clock; if that \
         misses the goal itself, something disturbed the server, and the tool is not judged.",
        known.connections
    );
    heading(lines, &format!("Accuracy: {}", known.delay), &about);
    let ms = |ns: f64| significant(ns / 1e6, 4);
    let row = |name: String, of: &dyn Fn(&Point) -> String, points: &[Point], rest: [String; 2]| {
        let mut cells = vec![name];
        cells.extend(points.iter().map(of));
        cells.extend(rest);
        cells
    };
    let mut rows = Vec::new();
    if let Some(first) = known.tools.first() {
        let expected = |point: &Point| point.paper_ns.map_or(ABSENT.into(), ms);
        let none = [ABSENT.to_owned(), String::new()];
        rows.push(row("expected".to_owned(), &expected, &first.points, none));
    }
    for tool in &known.tools {
        let given = |point: &Point| point.given_ns.map_or(ABSENT.into(), ms);
        let measured = |point: &Point| match (point.measured_ns, &point.goal) {
            (Some(ns), Some(goal)) if !goal.met && !tool.disturbed => format!("{} ✗", ms(ns)),
            (Some(ns), _) => ms(ns),
            (None, _) => ABSENT.to_owned(),
        };
        let goals: Vec<&Goal> = tool.points.iter().filter_map(|p| p.goal.as_ref()).collect();
        let missed = goals.iter().filter(|goal| !goal.met).count();
        let verdict = match (&tool.failure, missed) {
            (Some(why), _) => why.clone(),
            (None, _) if tool.disturbed => "not judged: disturbed".to_owned(),
            (None, 0) => "met".to_owned(),
            (None, missed) => format!("{missed} of {} missed", goals.len()),
        };
        let rest = [shown(tool.requests_per_s, 4), verdict];
        rows.push(row(tool.tool.clone(), &measured, &tool.points, rest));
        if tool.points.iter().any(|point| point.given_ns.is_some()) {
            let name = "  applied".to_owned();
            rows.push(row(
                name,
                &given,
                &tool.points,
                [ABSENT.to_owned(), String::new()],
            ));
        }
    }
    let head = ["", "p50", "p90", "p99", "p99.9", "max", "req/s", "goals"];
    lines.extend(Grid::fitting(&head, &head, 1, rows).lines());
}
