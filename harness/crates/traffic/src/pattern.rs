//! Load that changes over time, and how a server bears it.
//!
//! Each server gets a fresh process for each pattern. Latency counts from when a request was due, so requests that
//! wait because the server is behind count with their waiting time.

use std::time::Duration;

use hdrhistogram::Histogram;

use super::served::{Served, ServedOptions};
use catalog::{Pattern, Phase, Workload};
use loadgen::{Arrivals, Config, Interval, Measurement, Pace, RateStage, StageFigures};
use record::{Failure, PatternClass, PatternInterval, PatternRun};
use runner::{Interrupt, Launch};

/// Load before a pattern, at its base rate; not measured.
const WARM_UP: Duration = Duration::from_secs(1);
/// The shortest interval.
const INTERVAL: Duration = Duration::from_millis(100);
/// Requests at the base rate that an interval has at least, so that its 99th percentile means something.
const PER_INTERVAL: f64 = 100.0;

/// How to apply patterns.
#[derive(Debug, Clone)]
pub struct PatternOptions {
    /// How the server is started and loaded.
    pub served: ServedOptions,
    /// The base rate, requests per second.
    pub base_per_s: f64,
}

/// The stages of a pattern at a base rate.
pub fn stages(pattern: &Pattern, base_per_s: f64) -> Vec<RateStage> {
    let stages = pattern.stages.iter().map(|stage| RateStage {
        length: stage.length,
        from: stage.from * base_per_s,
        to: stage.to * base_per_s,
    });
    stages.collect()
}

/// The length of an interval: 100 ms, or as many of these as give a hundred requests at the base rate; longer if a
/// pattern would have over a thousand.
pub fn interval(pattern: &Pattern, base_per_s: f64) -> Duration {
    let tenths = (PER_INTERVAL / base_per_s / INTERVAL.as_secs_f64())
        .max(pattern.length().as_secs_f64() / 1_000.0 / INTERVAL.as_secs_f64());
    INTERVAL.mul_f64(tenths.ceil().max(1.0))
}

/// Applies a pattern to a fresh process. `into` keeps what was measured before a failure. Calls `show` now and then
/// with the time since the pattern began.
///
/// # Errors
/// A [`Failure`] if the server can't be started, answers wrongly before the pattern, or ends.
pub fn pattern(
    launch: &Launch,
    (pattern, workload): (&Pattern, &Workload),
    options: &PatternOptions,
    interrupt: &Interrupt,
    into: &mut PatternRun,
    show: &mut dyn FnMut(Duration),
) -> Result<(), Failure> {
    let by_route = pattern.requests.is_some();
    let mut served = Served::start(launch, workload, by_route, &options.served, interrupt)?;
    let connections = options.served.connections;
    served.paced(options.base_per_s, (WARM_UP, connections), &mut |_, _| {})?;
    let before = served.resident()?.rss_bytes();

    let stages = stages(pattern, options.base_per_s);
    let interval = interval(pattern, options.base_per_s);
    let config = Config {
        // Rounding may make the sum of the stages differ from the pattern's own by a nanosecond.
        duration: stages.iter().map(|stage| stage.length).sum(),
        pace: Pace::Stages(stages),
        arrivals: match pattern.poisson {
            true => Arrivals::Poisson,
            false => Arrivals::Constant,
        },
        interval,
        ..served.config()
    };
    let mut memory: Vec<(Duration, u64)> = Vec::new();
    let measured = served.drive(&config, &mut |at, processes| {
        memory.extend(processes.sample_light().rss_bytes.map(|bytes| (at, bytes)));
        show(at);
    });
    let measured = served.judge(measured)?;
    fill(&measured, pattern, &memory, into);
    if let Some(how) = served.running.ended().map(str::to_owned) {
        let ended = Err(anyhow::anyhow!("it ended {how} during the pattern"));
        return served.judge(ended);
    }
    let after = served.resident()?.rss_bytes();
    let seen = memory.iter().map(|(_, bytes)| *bytes);
    let peak = seen.fold(before.max(after), u64::max);
    for (id, bytes) in [
        ("rss_before_bytes", before),
        ("rss_peak_bytes", peak),
        ("rss_after_bytes", after),
    ] {
        into.figures.insert(id.to_owned(), bytes as f64);
    }
    served.running.kill()
}

/// Takes the figures of the load.
fn fill(
    measured: &Measurement,
    pattern: &Pattern,
    memory: &[(Duration, u64)],
    into: &mut PatternRun,
) {
    let mut add = |id: &str, value: Option<f64>| {
        into.figures
            .extend(value.map(|value| (id.to_owned(), value)));
    };
    let seconds = measured.window.as_secs_f64();
    add("due", Some(measured.asked as f64));
    add("valid", Some(measured.requests as f64));
    add("late", Some((measured.unsent + measured.unanswered) as f64));
    add("offered_per_s", Some(measured.asked as f64 / seconds));
    add("goodput_per_s", Some(measured.requests_per_s()));
    add("p50_us", at(&measured.latency, 0.5));
    add("p99_us", at(&measured.latency, 0.99));
    for phase in Phase::ALL {
        let stages = pattern.stages.iter().zip(&measured.stages);
        let of_phase = stages.filter(|(stage, _)| stage.phase == Some(phase));
        let of_phase: Vec<&StageFigures> = of_phase.map(|(_, figures)| figures).collect();
        let Some((first, rest)) = of_phase.split_first() else {
            continue;
        };
        let mut latency = first.latency.clone();
        for stage in rest {
            // Histograms of one drive have one range.
            let _ = latency.add(&stage.latency);
        }
        add(&format!("p99_{}_us", phase.name()), at(&latency, 0.99));
    }
    into.errors = (measured.errors.iter())
        .map(|(kind, count)| ((*kind).to_owned(), *count))
        .collect();
    into.first_error.clone_from(&measured.first_error);
    if pattern.requests.is_some() {
        let class = |class: &loadgen::Class| PatternClass {
            name: class.name.clone(),
            requests: class.requests,
            errors: class.errors,
            p50_us: at(&class.latency, 0.5),
            p99_us: at(&class.latency, 0.99),
        };
        into.classes = measured.classes.iter().map(class).collect();
    }
    let intervals = measured.intervals.iter().map(|interval| {
        let end = interval.start + interval.length;
        let mut earlier = memory.iter().rev();
        PatternInterval {
            rss_bytes: earlier.find(|(at, _)| *at <= end).map(|(_, bytes)| *bytes),
            ..shown(interval, Duration::ZERO)
        }
    });
    into.intervals = intervals.collect();
}

/// An interval of a load that began so long after the time series did.
pub(crate) fn shown(interval: &Interval, begun: Duration) -> PatternInterval {
    let ms = |time: Duration| time.as_millis() as u64;
    PatternInterval {
        at_ms: ms(begun + interval.start),
        length_ms: ms(interval.length),
        requests: interval.requests,
        errors: interval.errors,
        p99_us: interval.p99_ns.map(|ns| ns as f64 / 1e3),
        rss_bytes: None,
    }
}

/// A quantile in microseconds; `None` if nothing was recorded.
fn at(histogram: &Histogram<u64>, quantile: f64) -> Option<f64> {
    (!histogram.is_empty()).then(|| histogram.value_at_quantile(quantile) as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn parse(text: &str) -> Pattern {
        Pattern::parse(Path::new("mine.toml"), text).unwrap()
    }

    #[test]
    fn rates_are_multiples_of_the_base_rate() {
        let pattern = parse(
            "about = \"x\"\nstage = [{ seconds = 1, rate = 1 }, { seconds = 0.25, from = 1, to = 3 }]",
        );
        let stages = stages(&pattern, 200.0);
        let read: Vec<_> = stages
            .iter()
            .map(|stage| (stage.length.as_millis(), stage.from, stage.to))
            .collect();
        assert_eq!(read, [(1000, 200.0, 200.0), (250, 200.0, 600.0)]);
    }

    #[test]
    fn an_interval_has_a_hundred_requests() {
        let short = parse("about = \"x\"\nstage = [{ seconds = 10, rate = 1 }]");
        let long = parse("about = \"x\"\nstage = [{ seconds = 3600, rate = 1 }]");
        let ms = Duration::from_millis;
        assert_eq!(interval(&short, 50_000.0), ms(100));
        assert_eq!(interval(&short, 1_000.0), ms(100));
        assert_eq!(interval(&short, 900.0), ms(200));
        assert_eq!(interval(&short, 10.0), ms(10_000));
        assert_eq!(interval(&long, 50_000.0), ms(3_600));
    }
}
