//! The definition of every stored figure.
//!
//! [`FIGURES`] determines the columns of every table, the contents of `harness compare`, trackers and live
//! metrics, the view `trial_wide`, the definitions in `report.html`, and the table in `harness/docs/RECORD.md`.
//! To add a figure, read it in `runner::figures`, define it here, and add its line to that table (a test prints
//! the line).

use catalog::Stage;
use stats::Better;

/// The rate; used for ranking if the load generator limited no server.
pub const RATE: &str = "requests_per_s";
/// The cost of a request; used for ranking otherwise.
pub const COST: &str = "cpu_us_per_request";
/// Requests without a response when the server stopped, shown with how many were sent.
pub const LOST_AT_STOP: &str = "lost_at_stop";

/// Instructions of a request, by which servers are ranked where speed can't tell them apart.
pub const INSTRUCTIONS: &str = "instructions_per_request";
/// Allocations of a request.
pub const ALLOCATIONS: &str = "allocations_per_request";
/// Bytes that these allocations ask for.
pub const ALLOCATED: &str = "allocated_bytes_per_request";

/// What a figure measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// One stage of one workload.
    Stage,
    /// The process, regardless of load.
    Process,
    /// The server as it was built, whatever the trial.
    Build,
}

/// The unit of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Per second.
    PerSecond,
    /// Microseconds.
    Micros,
    /// Milliseconds.
    Millis,
    /// Bytes.
    Bytes,
    /// Microjoules.
    Microjoules,
    /// A count or a ratio.
    One,
}

impl Unit {
    /// The unit at the end of a figure's name, or before `_per_request`.
    pub fn of(id: &str) -> Self {
        let own = id.strip_suffix("_per_request").unwrap_or(id);
        match own.rsplit('_').next() {
            _ if own.ends_with("_per_s") => Self::PerSecond,
            Some("us") => Self::Micros,
            Some("ms") => Self::Millis,
            Some("bytes") => Self::Bytes,
            Some("uj") => Self::Microjoules,
            _ if own.starts_with("bytes_") => Self::Bytes,
            _ => Self::One,
        }
    }

    /// The name used in files, in ASCII.
    pub fn name(self) -> &'static str {
        match self {
            Self::PerSecond => "1/s",
            Self::Micros => "us",
            Self::Millis => "ms",
            Self::Bytes => "bytes",
            Self::Microjoules => "uj",
            Self::One => "1",
        }
    }
}

/// A figure: its meaning, its names, and where it is shown. CSV and JSON contain all figures.
#[derive(Debug, Clone, Copy)]
pub struct Figure {
    /// Its name in the record, which ends in its unit.
    pub id: &'static str,
    /// Its definition, as a noun phrase.
    pub definition: &'static str,
    /// What it measures.
    pub scope: Scope,
    /// Its name in a sentence.
    pub name: &'static str,
    /// The heading of its column.
    pub head: &'static str,
    /// A shorter heading, without its unit if the table's caption gives it.
    pub short: &'static str,
    /// Its name outside the tables of a run, for example in a comparison.
    pub label: &'static str,
    /// Significant digits shown.
    pub digits: i32,
    /// Which of two values is better; absent if neither is.
    pub better: Option<Better>,
    /// Drawn on a logarithmic scale.
    pub log: bool,
    /// It includes stalls of the machine, which may cause it instead of the server (`~`).
    pub tail: bool,
    /// The stages that its column in a workload's table may show, preferred one first; empty if it has no
    /// column.
    pub table: &'static [Stage],
    /// The column is only in `report --wide` and `report.html`.
    pub wide: bool,
    /// The stages in which `harness compare` and trackers include it. A figure of the process without
    /// [`Stage::Peak`] is compared only if both runs had the same load.
    pub compared: &'static [Stage],
    /// When comparing two runs, it is divided by the control's, because the machine changes both by about the
    /// same factor.
    pub by_control: bool,
    /// The stage in which it is tracked over several runs, and the title of its chart.
    pub history: Option<(Stage, &'static str)>,
    /// `bench --metrics` serves it for the last trial.
    pub metric: bool,
    /// It is a column of the view `trial_wide`.
    pub view: bool,
}

const HIGHER: Option<Better> = Some(Better::Higher);
const LOWER: Option<Better> = Some(Better::Lower);
const PEAK: &[Stage] = &[Stage::Peak];
const PACED: &[Stage] = &[Stage::Paced];

/// A figure that is only in the record, CSV and JSON.
const fn stored(id: &'static str, definition: &'static str) -> Figure {
    Figure {
        id,
        definition,
        scope: Scope::Stage,
        name: id,
        head: id,
        short: id,
        label: id,
        digits: 3,
        better: None,
        log: false,
        tail: false,
        table: &[],
        wide: false,
        compared: &[],
        by_control: false,
        history: None,
        metric: false,
        view: false,
    }
}

/// A figure with a name, [`Figure::head`], [`Figure::short`] and [`Figure::label`].
const fn named(
    id: &'static str,
    name: &'static str,
    [head, short, label]: [&'static str; 3],
    definition: &'static str,
) -> Figure {
    Figure {
        name,
        head,
        short,
        label,
        better: LOWER,
        ..stored(id, definition)
    }
}

/// A figure for which lower is better.
const fn lower(id: &'static str, definition: &'static str) -> Figure {
    Figure {
        better: LOWER,
        ..stored(id, definition)
    }
}

/// All figures, in display order.
#[rustfmt::skip]
pub static FIGURES: &[Figure] = &[
    Figure {
        better: HIGHER, digits: 4, table: PEAK, compared: PEAK, by_control: true,
        history: Some((Stage::Peak, "req/s at peak")), metric: true, view: true,
        ..named(RATE, "requests per second", ["peak req/s", "req/s", "req/s"], "valid responses per second")
    },
    Figure { view: true, ..stored("asked_per_s", "rate at which the requests of a paced trial were due") },
    Figure {
        table: &[Stage::Paced, Stage::Peak], compared: PACED, by_control: true,
        history: Some((Stage::Paced, "CPU µs per request")), metric: true, view: true,
        ..named(COST, "CPU time per request", ["CPU µs/req", "CPU µs", "CPU µs/req"],
            "CPU time of all processes of the server per request; if interleaved, in a typical slice")
    },
    Figure {
        log: true, table: PACED, compared: &Stage::ALL, metric: true, view: true,
        ..named("latency_p50_us", "median latency", ["p50 µs", "p50", "p50 µs"],
            "latency that half of the requests do not exceed")
    },
    Figure {
        log: true, tail: true, table: PACED, compared: &Stage::ALL,
        history: Some((Stage::Paced, "p99 latency")), metric: true, view: true,
        ..named("latency_p99_us", "99th percentile of latency", ["p99 µs", "p99", "p99 µs"],
            "latency that 99 % of the requests do not exceed")
    },
    Figure {
        log: true, tail: true, table: PACED, compared: PACED, metric: true, view: true,
        ..named("latency_p999_us", "99.9th percentile of latency", ["p99.9 µs", "p99.9", "p99.9 µs"],
            "latency that 99.9 % of the requests do not exceed")
    },
    Figure {
        log: true, tail: true, table: PACED, compared: PACED, view: true,
        ..named("first_byte_p99_us", "99th percentile of TTFB", ["TTFB p99 µs", "TTFB", "TTFB99 µs"],
            "time from when a request was due until the first byte of its response (TTFB) that 99 % of the requests do not exceed")
    },
    Figure {
        log: true, tail: true, table: PACED, metric: true, view: true,
        ..named("jitter_us", "jitter", ["jitter µs", "jitter", "jitter µs"],
            "standard deviation of latency within a trial")
    },
    Figure {
        table: &[Stage::Paced, Stage::Peak], wide: true,
        ..named("context_switches_per_request", "context switches per request",
            ["switches/req", "switches", "switches/req"],
            "voluntary and involuntary context switches of the server per request")
    },
    Figure {
        table: &[Stage::Paced, Stage::Peak], wide: true,
        ..named("bytes_per_response", "bytes per response", ["bytes/resp.", "bytes", "bytes/resp."],
            "mean bytes of a complete response, its head and framing included")
    },
    Figure {
        scope: Scope::Process,
        ..named("rss_idle_bytes", "memory at idle", ["RSS idle MiB", "idle", "idle MiB"],
            "resident memory of the server before its first load")
    },
    Figure {
        scope: Scope::Process, compared: PACED, metric: true, view: true,
        ..named("rss_peak_bytes", "memory under load", ["RSS load MiB", "load", "load MiB"],
            "highest resident memory of the server under load")
    },
    Figure {
        scope: Scope::Process, compared: &Stage::ALL,
        ..named("start_ms", "spawn to first valid response", ["start ms", "start", "start ms"],
            "time from spawn to the first valid response")
    },
    Figure {
        scope: Scope::Process,
        ..named("first_request_us", "latency of the first request", ["1st req µs", "1st", "1st request µs"],
            "latency of the first request to a process, including the connection")
    },
    Figure {
        scope: Scope::Build,
        ..named("stripped_bytes", "size of the binary", ["binary MiB", "bin", "binary MiB"],
            "size of the binary without symbols")
    },
    Figure {
        scope: Scope::Build,
        ..named(LOST_AT_STOP, "requests lost at the stop", ["lost at stop", "lost", "lost at stop"],
            "of the requests that had arrived at SIGTERM, those that got no byte of a response; the mean over 5 stops, by the check")
    },
    Figure { view: true, ..stored("server_busy_ratio", "CPU time of the server as a share of its CPUs' time") },
    Figure { view: true, ..stored("driver_busy_ratio", "share of the time that the busiest worker of the load generator was busy") },
    Figure { view: true, ..lower("send_lag_p99_us", "send lag that 99 % of the requests do not exceed") },
    stored("driver_wait_ratio", "share of the time that the busiest worker was ready to run but waited for a CPU"),
    lower("driver_cpu_us_per_request", "CPU time of the load generator per request, without spinning"),
    lower("cpu_user_us_per_request", "part of `cpu_us_per_request` spent in user mode"),
    lower("cpu_system_us_per_request", "part of `cpu_us_per_request` spent in the kernel"),
    lower("cpu_mean_us_per_request", "interleaved only: CPU time in all slices divided by their responses"),
    stored("requests", "valid responses in the measured time"),
    stored("achieved_ratio", "valid responses as a share of the requests that were due"),
    stored("requests_sent", "requests sent over the whole load, including warm-up"),
    stored("unanswered", "requests without a response when the trial ended"),
    stored("silent", "connections without a response at the end, for over a second and twice the longest latency"),
    stored("unsent", "requests that were due and never sent"),
    stored("connections_established", "connections open before the load began"),
    stored("reconnects", "connections opened after the load began"),
    stored("bytes_received", "bytes read from the sockets, including warm-up"),
    stored("bytes_expected", "bytes of all complete responses, including warm-up"),
    stored("ids_repeated", "order ids that the server issued twice"),
    stored("orders_accepted", "orders that the client saw accepted, including warm-up"),
    stored("orders_growth", "growth of the server's total of orders"),
    stored("orders_unanswered", "orders sent without a valid response, including warm-up"),
    stored("delayed_ack_ratio", "share of the requests that waited for the client's delayed ACK"),
    lower("latency_mean_us", "mean latency"),
    lower("latency_p90_us", "latency that 90 % of the requests do not exceed"),
    lower("latency_max_us", "highest latency"),
    lower("first_byte_p50_us", "median of the time to the first byte (TTFB)"),
    lower("first_byte_p999_us", "TTFB that 99.9 % of the requests do not exceed"),
    lower("wire_p50_us", "median of the time from when a request was sent until its response was complete"),
    lower("wire_p99_us", "99th percentile of the time from when a request was sent until its response was complete"),
    lower("connect_p50_us", "median of the time to open a connection"),
    Figure { scope: Scope::Process, ..stored("threads", "highest number of threads of the server") },
    Figure { scope: Scope::Process, ..stored("descriptors_peak", "open file descriptors of the server under load") },
    stored("rss_growth_bytes", "growth of resident memory in the second half of the load; absent if it did not grow"),
    stored("rss_growth_bytes_per_request", "that growth per request in that half"),
    stored("rss_load_growth_bytes", "growth of resident memory from before the load to its end; absent if it did not grow"),
    stored("rss_load_growth_bytes_per_request", "that growth per request, including warm-up"),
    stored("steal_ratio", "share of the CPU time that the hypervisor took"),
    stored("other_cpu_ratio", "share of the CPU time that other programs took"),
    stored("throttled_periods", "periods in which the container was throttled by its CPU quota (`nr_throttled` of `cpu.stat`, over its control group and the groups above)"),
    stored("cpu_by_control_group", "1 if a control group counted the server's CPU time, 0 if it is the sum over its processes"),
    stored("slices", "interleaved only: slices that count"),
    stored("in_flight_mean", "interleaved only: mean requests in flight, by Little's law: the sum of latencies divided by the length of a slice; the mean over the middle half of the slices"),
    stored("counted_ratio", "interleaved only: share of the entry's time under load that counts; the rest is lead-in and drain"),
    stored("between_slices_ratio", "interleaved only: share of the stage's time in which no entry had the load; the same for all its trials"),
    stored("waiting_cpu_ratio", "interleaved only: CPU time taken while others had the load, as a share of one CPU"),
    stored("paused", "interleaved only: 1 if the server was stopped between its slices, else 0"),
];

/// What a request costs, whatever the machine and the hour: the figures of `harness cost`, in display order.
#[rustfmt::skip]
pub static COSTS: &[Figure] = &[
    Figure {
        digits: 4,
        ..named(INSTRUCTIONS, "user instructions per request", ["instructions", "instr.", "instructions"],
            "instructions executed in user mode per request")
    },
    named("kernel_instructions_per_request", "kernel instructions per request",
        ["kernel instr.", "kernel", "kernel instructions"], "instructions executed in the kernel per request"),
    named("cycles_per_request", "cycles per request", ["cycles", "cycles", "cycles"],
        "CPU cycles per request, in user mode and in the kernel"),
    named("cache_misses_per_request", "cache misses per request", ["cache misses", "misses", "cache misses"],
        "misses of the last-level cache per request"),
    named("branch_misses_per_request", "branch misses per request", ["branch misses", "branch", "branch misses"],
        "mispredicted branches per request"),
    Figure {
        digits: 4,
        ..named(ALLOCATIONS, "allocations per request", ["allocations", "allocs", "allocations"],
            "calls of the allocator's `alloc`, `alloc_zeroed` and `realloc` per request")
    },
    Figure {
        digits: 4,
        ..named(ALLOCATED, "bytes allocated per request", ["allocated B", "alloc. B", "allocated bytes"],
            "bytes that these calls ask for per request; of `realloc`, the growth")
    },
    named("syscalls_per_request", "system calls per request", ["system calls", "syscalls", "system calls"],
        "system calls per request"),
    named("context_switches_per_request", "context switches per request", ["switches", "switches", "context switches"],
        "voluntary and involuntary context switches of the server per request"),
    named("page_faults_per_request", "page faults per request", ["page faults", "faults", "page faults"],
        "page faults of the server per request, with and without reading from a disk"),
    Figure {
        digits: 4,
        ..named("bytes_sent_per_response", "bytes sent per response", ["bytes sent", "bytes", "bytes sent"],
            "bytes of a complete response: status line, headers, framing and body")
    },
    named("energy_uj_per_request", "energy per request", ["energy µJ", "µJ", "energy µJ"],
        "energy that the processor packages took during the load, less what they take when idle, per request"),
];

/// Memory, threads, start and size of a server: the figures of `harness footprint`, in display order. Those of
/// [`Scope::Build`] need no process.
#[rustfmt::skip]
pub static FOOTPRINT: &[Figure] = &[
    named("start_p50_ms", "median time to start", ["start p50, ms", "start p50", "start p50 ms"],
        "time from spawn to the first valid response that half of the starts do not exceed"),
    named("start_p95_ms", "95th percentile of the time to start", ["start p95, ms", "start p95", "start p95 ms"],
        "time from spawn to the first valid response that 95 % of the starts do not exceed"),
    named("first_request_p50_us", "median latency of the first request",
        ["first request p50, µs", "1st p50", "first request p50 µs"],
        "latency of the first request to a process, including the connection, that half of the starts do not exceed"),
    named("first_request_p95_us", "95th percentile of the latency of the first request",
        ["first request p95, µs", "1st p95", "first request p95 µs"],
        "the same for 95 % of the starts"),
    named("rss_idle_bytes", "memory at idle", ["memory idle, MiB", "idle", "idle MiB"],
        "resident memory after the first request"),
    named("rss_peak_bytes", "memory under load", ["memory at peak, MiB", "peak", "peak MiB"],
        "highest resident memory in the loads, read every 100 ms"),
    named("rss_after_bytes", "memory after the load", ["memory after load, MiB", "after", "after MiB"],
        "resident memory right after the last load, its connections closed"),
    named("rss_later_bytes", "memory after a rest", ["memory after a rest, MiB", "later", "later MiB"],
        "resident memory after a rest (10 s) without requests"),
    named("rss_growth_per_100k_requests_bytes", "growth of memory",
        ["growth/100k requests, KiB", "growth", "growth/100k KiB"],
        "growth of resident memory from the end of one load to the end of the next, per 100,000 requests; negative if it fell"),
    Figure {
        scope: Scope::Build,
        ..named("stripped_bytes", "size of the binary", ["binary, MiB", "binary", "binary MiB"],
            "size of the binary without symbols")
    },
    Figure {
        scope: Scope::Build,
        ..named("clean_build_s", "time of a clean build", ["clean build, s", "build", "build s"],
            "time to build the server and everything it depends on, in an empty folder; only with `--build-time`")
    },
    Figure {
        scope: Scope::Build,
        ..named("dependencies", "dependencies", ["dependencies", "deps", "dependencies"],
            "crates that the binary is built from, direct and indirect, other than its own")
    },
    Figure {
        scope: Scope::Build,
        ..named("glue_lines", "lines of glue code", ["lines of glue code", "lines", "glue lines"],
            "lines of the server's own code that are neither blank nor comments nor tests")
    },
];

/// The figures of `harness footprint` with some idle connections open, in display order. `connection_…` is what each
/// connection adds: (with all of them − before the first) / their number.
#[rustfmt::skip]
pub static FOOTPRINT_OPEN: &[Figure] = &[
    named("rss_bytes", "memory", ["memory, MiB", "memory", "memory MiB"], "resident memory, the sum of the next three"),
    named("heap_bytes", "heap", ["heap, MiB", "heap", "heap MiB"],
        "private memory other than stacks; with them if `stack_bytes` is absent"),
    named("stack_bytes", "stacks", ["stacks, MiB", "stacks", "stacks MiB"], "stacks of threads"),
    named("file_bytes", "page cache", ["page cache, MiB", "files", "page cache MiB"],
        "mapped files, such as the binary and its libraries, and shared memory"),
    named("socket_buffer_bytes", "socket buffers", ["socket buffers, MiB", "buffers", "socket buffers MiB"],
        "growth of the kernel's memory for TCP buffers since before the first connection; of the whole machine, both ends"),
    named("connection_bytes", "memory per connection", ["B per connection", "B each", "B per connection"],
        "resident memory that a connection adds"),
    named("connection_heap_bytes", "heap per connection", ["of it heap, B", "heap B", "heap B per connection"],
        "heap that a connection adds"),
    named("connection_stack_bytes", "stacks per connection", ["of it stacks, B", "stack B", "stack B per connection"],
        "stacks that a connection adds"),
    named("connection_file_bytes", "page cache per connection",
        ["of it page cache, B", "file B", "page cache B per connection"], "page cache that a connection adds"),
    named("connection_buffer_bytes", "socket buffers per connection",
        ["socket buffers, B each", "buffer B", "buffer B per connection"],
        "TCP buffers in the kernel that a connection adds, both ends; not part of resident memory"),
    named("threads", "threads", ["threads", "threads", "threads"], "threads of the server"),
    named("descriptors", "descriptors", ["descriptors", "fds", "descriptors"], "open file descriptors of the server"),
];

/// The figures of `harness capacity` at a share of the capacity, in display order.
#[rustfmt::skip]
pub static CAPACITY: &[Figure] = &[
    named("requests_per_s", "goodput", ["answered/s", "answered/s", "answered/s"], "valid responses per second"),
    named("latency_p50_us", "median latency", ["p50 µs", "p50", "p50 µs"],
        "latency from when a request was due that half of the requests do not exceed; those unanswered count with the time they had waited"),
    named("latency_p99_us", "99th percentile of latency", ["p99 µs", "p99", "p99 µs"], "the same for 99 %"),
    named("cpu_us_per_request", "CPU time per request", ["CPU µs/request", "CPU µs", "CPU µs"],
        "CPU time of the server per valid response, of the whole trial with its warm-up"),
    named("rss_peak_bytes", "memory", ["memory, MiB", "MiB", "memory MiB"],
        "highest resident memory in the trial, read every 100 ms"),
    named("error_ratio", "errors", ["errors, %", "errors, %", "errors, %"], "share of the requests that ended with an error"),
    named("driver_busy_ratio", "load generator busy", ["generator busy, %", "gen. %", "generator busy, %"],
        "share of the time that the busiest thread of the load generator worked"),
];

/// The figure of `harness capacity` of that name.
pub fn capacity(id: &str) -> Option<&'static Figure> {
    CAPACITY.iter().find(|figure| figure.id == id)
}

/// The further figures of `harness ladder`.
#[rustfmt::skip]
pub static LADDER: &[Figure] = &[
    named("achieved_ratio", "goodput", ["goodput, %", "goodput, %", "goodput, %"],
        "at a rate: valid responses as a share of the requests that were due"),
    named("cpu_ratio", "CPU time per second", ["CPU, %", "CPU, %", "CPU, %"],
        "CPU time of the server per second of the measured time; 1 is one CPU"),
    named("rss_after_bytes", "memory after", ["MiB after", "after", "MiB after"],
        "resident memory right after the trial, its connections closed"),
];

/// The figure of `harness ladder` of that name.
pub fn ladder(id: &str) -> Option<&'static Figure> {
    let mut all = CAPACITY.iter().chain(LADDER);
    all.find(|figure| figure.id == id)
}

/// The further figures of `harness upstream`.
#[rustfmt::skip]
pub static UPSTREAM: &[Figure] = &[
    named("direct_p50_us", "median latency of the dependency", ["alone p50 µs", "alone p50", "alone p50 µs"],
        "latency of the dependency alone, by the same load generator at the same rate, right before or after the server"),
    named("direct_p99_us", "99th percentile of the dependency's latency", ["alone p99 µs", "alone p99", "alone p99 µs"],
        "the same for 99 %"),
    named("added_p50_us", "added median latency", ["added p50 µs", "added p50", "added p50 µs"],
        "the median through the server less that of the dependency alone, within a round"),
    named("added_p99_us", "added 99th percentile of latency", ["added p99 µs", "added p99", "added p99 µs"],
        "the same for the 99th percentile"),
    named("upstream_connections", "connections to the dependency", ["connections", "connections", "connections"],
        "connections that the server opened to the dependency, of the whole trial with its warm-up"),
    named("upstream_most_at_once", "most requests at once", ["at once", "at once", "at once"],
        "the most requests that waited in the dependency at the same time: as many connections are needed"),
    named("upstream_requests", "requests to the dependency", ["requests", "requests", "requests"],
        "requests that the dependency got from the server, of the whole trial with its warm-up"),
];

/// The figure of `harness upstream` of that name.
pub fn upstream(id: &str) -> Option<&'static Figure> {
    let mut all = CAPACITY.iter().chain(UPSTREAM);
    all.find(|figure| figure.id == id)
}

/// The figure of `harness footprint` of that name.
pub fn footprint(id: &str) -> Option<&'static Figure> {
    let mut all = FOOTPRINT.iter().chain(FOOTPRINT_OPEN);
    all.find(|figure| figure.id == id)
}

/// The cost figure of that name.
pub fn cost(id: &str) -> Option<&'static Figure> {
    COSTS.iter().find(|figure| figure.id == id)
}

/// The figure of that name; `None` for a name from an older or newer harness.
pub fn find(id: &str) -> Option<&'static Figure> {
    FIGURES.iter().find(|figure| figure.id == id)
}

/// Which of two values of a figure is better.
pub fn better(id: &str) -> Better {
    find(id).map_or(Better::Lower, Figure::better)
}

/// The name of a figure in a sentence.
pub fn name(id: &str) -> &str {
    find(id).map_or(id, |figure| figure.name)
}

/// Figures with a column in a workload's table.
pub fn of_table() -> impl Iterator<Item = &'static Figure> {
    FIGURES.iter().filter(|figure| !figure.table.is_empty())
}

/// Figures with a column in the table of servers.
pub fn of_servers() -> impl Iterator<Item = &'static Figure> {
    let named = |figure: &&Figure| figure.scope != Scope::Stage && figure.head != figure.id;
    FIGURES.iter().filter(named)
}

/// Figures that are compared in a stage, or of the process.
pub fn compared(stage: Option<Stage>) -> impl Iterator<Item = &'static Figure> {
    FIGURES.iter().filter(move |figure| match stage {
        Some(stage) => figure.scope == Scope::Stage && figure.compared.contains(&stage),
        None => figure.scope == Scope::Process && !figure.compared.is_empty(),
    })
}

impl Figure {
    /// Its unit.
    pub fn unit(&self) -> Unit {
        Unit::of(self.id)
    }

    /// Which of two values is better, for figures that are compared.
    pub fn better(&self) -> Better {
        self.better.unwrap_or(Better::Lower)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn units_come_from_names() {
        for (figure, expected) in [
            ("latency_p99_us", "us"),
            ("cpu_us_per_request", "us"),
            ("requests_per_s", "1/s"),
            ("rss_idle_bytes", "bytes"),
            ("rss_growth_bytes_per_request", "bytes"),
            ("bytes_received", "bytes"),
            ("bytes_per_response", "bytes"),
            ("start_ms", "ms"),
            ("achieved_ratio", "1"),
            ("context_switches_per_request", "1"),
        ] {
            assert_eq!(Unit::of(figure).name(), expected, "{figure}");
        }
    }

    #[test]
    fn what_is_shown_has_names_and_what_is_compared_a_direction() {
        let ids: BTreeSet<&str> = FIGURES.iter().map(|figure| figure.id).collect();
        assert_eq!(ids.len(), FIGURES.len(), "an id is used twice");
        for figure in FIGURES {
            let names = [figure.name, figure.head, figure.short, figure.label];
            let judged = !figure.table.is_empty() || !figure.compared.is_empty();
            if judged || figure.history.is_some() {
                assert!(!names.contains(&figure.id), "{figure:?}");
            }
            assert!(!judged || figure.better.is_some(), "{figure:?}");
            assert!(!figure.tail || figure.table == PACED, "{figure:?}");
        }
    }

    /// Where it is shown, in the wording of [`what_record_md_says_is_defined_here`].
    fn shown(figure: &Figure) -> String {
        let compared: Vec<&str> = figure.compared.iter().map(|s| s.name()).collect();
        let table = figure.table.first();
        let places = [
            table.map(|stage| format!("{} ({stage})", ["table", "wide"][usize::from(figure.wide)])),
            of_servers()
                .any(|f| f.id == figure.id)
                .then(|| "servers".to_owned()),
            (!compared.is_empty()).then(|| format!("compare ({})", compared.join(", "))),
            figure.history.map(|_| "history".to_owned()),
            figure.metric.then(|| "metrics".to_owned()),
            figure.view.then(|| "view".to_owned()),
        ];
        places.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn what_record_md_says_of_costs_is_defined_here() {
        let line = |figure: &Figure| {
            format!(
                "| `{}` | {} | {} |\n",
                figure.id,
                figure.unit().name(),
                figure.definition
            )
        };
        let table: String = COSTS.iter().map(line).collect();
        assert!(
            include_str!("../../../docs/RECORD.md").contains(&table),
            "put this below the header of the table of costs in RECORD.md:\n{table}"
        );
    }

    /// The table of figures, one line each.
    #[test]
    fn what_record_md_says_is_defined_here() {
        let line = |figure: &Figure| {
            let scope = format!("{:?}", figure.scope).to_lowercase();
            let better = figure.better.map(|better| format!("{better:?}"));
            format!(
                "| `{}` | {} | {scope} | {} | {} | {} |\n",
                figure.id,
                figure.unit().name(),
                better.unwrap_or_default().to_lowercase(),
                shown(figure),
                figure.definition
            )
        };
        let table: String = FIGURES.iter().map(line).collect();
        assert!(
            include_str!("../../../docs/RECORD.md").contains(&table),
            "put this below the header of the table in RECORD.md:\n{table}"
        );
    }
}
