//! Where a server's time goes, and where it allocates.

use record::{Allocated, ProfileRecord, ServerProfile, WorkloadProfile};

use super::grid::Grid;
use super::number::{ABSENT, significant};
use super::page::Block;
use super::terminal::{self, Colour};

/// Functions and places shown of each profile.
const SHOWN: usize = 15;

/// The tables for a terminal.
pub fn profile_lines(profiles: &ProfileRecord, colour: Colour) -> String {
    let mut blocks = Vec::new();
    for server in &profiles.servers {
        if let Some(failure) = &server.failure {
            let text = format!("{}: {}", server.display, failure.reason);
            blocks.push(Block::Notes(vec![text]));
        }
        for workload in &server.workloads {
            blocks.extend(of_workload(server, workload));
        }
    }
    terminal::blocks(blocks, colour)
}

fn of_workload(server: &ServerProfile, profile: &WorkloadProfile) -> Vec<Block> {
    let mut blocks = vec![
        Block::Heading(format!("Profile: {}, {}", server.display, profile.name)),
        Block::Table(classes(profile)),
        Block::Text(about(profile)),
        Block::Table(functions(profile)),
    ];
    match (&profile.allocations, &profile.no_allocations) {
        (Some(allocated), _) if allocated.sites.is_empty() => {
            blocks.push(Block::Text(total(allocated)));
        }
        (Some(allocated), _) => {
            blocks.push(Block::Table(sites(allocated)));
            blocks.push(Block::Text(total(allocated)));
        }
        (None, Some(why)) => blocks.push(Block::Notes(vec![format!("no allocations: {why}")])),
        (None, None) => {}
    }
    blocks
}

fn percent(share: f64) -> String {
    match share {
        0.0 => "0 %".to_owned(),
        share if share < 5e-4 => "<0.1 %".to_owned(),
        share => format!("{:.1} %", share * 100.0),
    }
}

fn classes(profile: &WorkloadProfile) -> Grid {
    let is_counted = profile.tool == "callgrind";
    let per_request = profile.total as f64 / profile.requests.max(1) as f64;
    let head = match is_counted {
        true => ["kind of work", "what it is", "share", "instr./req"],
        false => ["kind of work", "what it is", "share", "samples"],
    };
    let rows = profile.classes.iter().map(|class| {
        let cost = match is_counted {
            // Callgrind doesn't see the kernel, which is not the same as a kernel that does nothing.
            true if class.class == "kernel" => ABSENT.to_owned(),
            true => significant(class.share * per_request, 3),
            false => significant((class.share * profile.total as f64).round(), 3),
        };
        let share = match cost == ABSENT {
            true => ABSENT.to_owned(),
            false => percent(class.share),
        };
        vec![class.class.clone(), class.about.clone(), share, cost]
    });
    Grid::fitting(&head, &head, 2, rows.collect())
}

fn about(profile: &WorkloadProfile) -> String {
    let requests = words::grouped(profile.requests);
    match profile.rate {
        Some(rate) => format!(
            "{} samples by {} of {requests} requests at {} per second over 64 connections.",
            words::grouped(profile.total),
            profile.event,
            significant(rate, 3)
        ),
        None => format!(
            "{} instructions per request over {requests} requests, one after the other. Callgrind doesn't see the \
             kernel.",
            significant(profile.total as f64 / profile.requests.max(1) as f64, 3)
        ),
    }
}

fn functions(profile: &WorkloadProfile) -> Grid {
    let head = ["function", "kind of work", "own", "with callees"];
    let rows = profile.functions.iter().take(SHOWN).map(|function| {
        vec![
            function.function.clone(),
            function.class.clone(),
            percent(function.own),
            percent(function.total),
        ]
    });
    Grid::fitting(&head, &head, 2, rows.collect())
}

fn sites(allocated: &Allocated) -> Grid {
    let head = ["allocated in", "at", "kind of work", "per request"];
    let rows = allocated.sites.iter().take(SHOWN).map(|site| {
        vec![
            site.function.clone(),
            site.source.clone(),
            site.class.clone(),
            significant(site.per_request, 3),
        ]
    });
    Grid::fitting(&head, &head, 3, rows.collect())
}

fn total(allocated: &Allocated) -> String {
    let counted = match (allocated.counted_per_request, allocated.bytes_per_request) {
        (Some(calls), Some(bytes)) => format!(
            ". The server's own allocator counted {calls:.2} and {} bytes",
            significant(bytes.round(), 4)
        ),
        _ => String::new(),
    };
    format!(
        "{:.2} allocations per request over {} requests{counted}.",
        allocated.per_request,
        words::grouped(allocated.requests)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use record::{AllocationSite, ClassShare, HotFunction};

    fn profile(tool: &str, rate: Option<f64>) -> WorkloadProfile {
        let class = |class: &str, share| ClassShare {
            class: class.to_owned(),
            about: "work".to_owned(),
            share,
        };
        WorkloadProfile {
            name: "ping".to_owned(),
            tool: tool.to_owned(),
            event: "cpu-clock".to_owned(),
            total: 4_000,
            requests: 2,
            rate,
            classes: vec![
                class("kernel", 0.0),
                class("runtime", 0.25),
                class("contract", 0.75),
            ],
            functions: vec![HotFunction {
                function: "a::b".to_owned(),
                class: "runtime".to_owned(),
                own: 0.25,
                total: 0.5,
            }],
            allocations: Some(Allocated {
                per_request: 2.0,
                counted_per_request: Some(2.0),
                bytes_per_request: Some(1_234.0),
                requests: 1_000,
                sites: vec![AllocationSite {
                    function: "a::b".to_owned(),
                    source: "a-1.0/src/lib.rs:7".to_owned(),
                    class: "runtime".to_owned(),
                    per_request: 2.0,
                }],
            }),
            no_allocations: None,
            flame_graph: "x.svg".to_owned(),
            folded: "x.folded".to_owned(),
        }
    }

    fn text(profile: WorkloadProfile) -> String {
        let server = ServerProfile {
            name: "x".to_owned(),
            display: "X".to_owned(),
            version: None,
            sha256: None,
            failure: None,
            workloads: Vec::new(),
        };
        terminal::blocks(of_workload(&server, &profile), Colour::Never)
    }

    #[test]
    fn what_callgrind_cannot_see_is_absent() {
        let shown = text(profile("callgrind", None));
        let kernel = shown.lines().find(|line| line.contains("kernel")).unwrap();
        assert_eq!(kernel.matches(ABSENT).count(), 2, "{shown}");
        for expected in [
            "1,500", // instructions per request of the contract
            "a-1.0/src/lib.rs:7",
            "2.00 allocations per request over 1,000 requests. The server's own allocator counted 2.00 and 1,234 bytes.",
        ] {
            // Lines are wrapped.
            let one_line = shown.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(one_line.contains(expected), "{expected}:\n{shown}");
        }
    }

    #[test]
    fn perf_shows_samples_and_its_rate() {
        let shown = text(profile("perf", Some(12_345.0)));
        assert!(
            shown.contains("4,000 samples by cpu-clock of 2 requests at 12,300 per second"),
            "{shown}"
        );
        let kernel = shown.lines().find(|line| line.contains("kernel")).unwrap();
        assert!(
            kernel.contains("0 %") && !kernel.contains(ABSENT),
            "{shown}"
        );
        let lines = shown.lines().find(|line| line.contains("contract"));
        assert!(lines.unwrap().contains("75.0 %"), "{shown}");
    }

    #[test]
    fn why_there_are_no_allocations_is_shown() {
        let mut profile = profile("perf", Some(1.0));
        profile.allocations = None;
        profile.no_allocations = Some("valgrind is not installed".to_owned());
        assert!(text(profile).contains("no allocations: valgrind is not installed"));
    }
}
