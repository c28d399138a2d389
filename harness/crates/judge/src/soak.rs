//! Does what a server holds grow from cycle to cycle?
//!
//! For each figure, the readings after the warm-up go through the test for growth of [`stats::trend`]. A figure grows if
//! three things hold:
//!
//! 1. The p-value is below [`FALSE_ALARMS`] / 5: with five figures, a server without growth is reported in at most one
//!    of a hundred soaks, also if its readings wander.
//! 2. The growth is worth reporting: the lower end of the slope's interval, over the time of the readings, is at least
//!    [`least_growth`].
//! 3. It isn't levelling off: the slope of the later half of the readings is at least 0.7 of the whole slope. Caches,
//!    arenas and pools that fill up grow too, but more slowly each time.

use record::{SoakFigure, SoakReading, SoakServer};
use stats::{Trend, median, trend};

/// The probability that a server without growth is reported.
pub const FALSE_ALARMS: f64 = 0.01;
/// Fewer readings after the warm-up give no verdict.
pub const LEAST_READINGS: usize = 15;
/// The share of each process's readings that is its warm-up; at least [`LEAST_WARM_UP`] of them.
const WARM_UP: f64 = 0.25;
const LEAST_WARM_UP: usize = 2;
/// The most readings that are compared with each other: of more, every second, third and so on is taken.
const MOST_READINGS: usize = 500;
/// How much of the whole slope the later half of the readings must have.
const STEADY: f64 = 0.7;

/// What became of a figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Growing {
    /// It grows.
    Yes,
    /// It doesn't, as far as these readings tell.
    No,
    /// It grew, but is levelling off: more cycles will tell.
    LevellingOff,
    /// There are too few readings.
    Unknown,
}

/// The growth of one figure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SoakTrend {
    /// The figure.
    pub figure: SoakFigure,
    /// The verdict.
    pub growing: Growing,
    /// Its median after the warm-up; absent without readings.
    pub level: Option<f64>,
    /// Its growth per hour; absent with too few readings.
    pub per_hour: Option<Trend>,
    /// Its growth per request.
    pub per_request: Option<Trend>,
    /// Hours between the first and the last reading after the warm-up, of all processes.
    pub hours: f64,
}

/// The smallest growth over all readings that counts: 1 MiB of memory, and at least 1 % of it; one thread or descriptor;
/// half of a latency, as a shared machine's speed drifts by a fifth within hours.
pub fn least_growth(figure: SoakFigure, level: f64) -> f64 {
    match figure {
        SoakFigure::Memory => f64::from(1 << 20).max(0.01 * level),
        SoakFigure::Threads | SoakFigure::Descriptors => 1.0,
        SoakFigure::P50 | SoakFigure::P99 => 0.5 * level,
    }
}

/// How many cycles without an interruption give a verdict.
pub fn least_cycles() -> u32 {
    let enough = |cycles: &usize| cycles - warm_up(*cycles) >= LEAST_READINGS;
    (LEAST_READINGS..100).find(enough).unwrap_or(100) as u32
}

/// The growth of every figure.
pub fn soak_trends(server: &SoakServer) -> Vec<SoakTrend> {
    let figures = SoakFigure::ALL.into_iter();
    figures.map(|figure| of(server, figure)).collect()
}

/// Readings of a process that are its warm-up.
fn warm_up(readings: usize) -> usize {
    ((readings as f64 * WARM_UP).ceil() as usize).max(LEAST_WARM_UP)
}

/// The readings of each process without its warm-up.
fn kept(server: &SoakServer) -> Vec<&[SoakReading]> {
    let processes = server.readings.chunk_by(|a, b| a.process == b.process);
    let kept = processes.map(|readings| readings.get(warm_up(readings.len())..).unwrap_or(&[]));
    kept.filter(|readings| !readings.is_empty()).collect()
}

fn of(server: &SoakServer, figure: SoakFigure) -> SoakTrend {
    let kept = kept(server);
    let all: usize = kept.iter().map(|readings| readings.len()).sum();
    let stride = all.div_ceil(MOST_READINGS).max(1);
    let against = |x: fn(&SoakReading) -> f64, of: &[&[SoakReading]]| {
        let group = |readings: &&[SoakReading]| -> Vec<(f64, f64)> {
            let all = readings.iter().step_by(stride);
            all.filter_map(|reading| Some((x(reading), figure.of(reading)?)))
                .collect()
        };
        trend(&of.iter().map(group).collect::<Vec<_>>())
    };
    let hours = |reading: &SoakReading| reading.at_s / 3_600.0;
    let values = kept.iter().flat_map(|readings| readings.iter());
    let values: Vec<f64> = values.filter_map(|reading| figure.of(reading)).collect();
    let level = median(&values);
    let per_hour = against(hours, &kept);
    let later: Vec<&[SoakReading]> = kept
        .iter()
        .map(|readings| &readings[readings.len() / 2..])
        .collect();
    let later = against(hours, &later);
    let span = kept.iter().map(|readings| match readings {
        [first, .., last] => hours(last) - hours(first),
        _ => 0.0,
    });
    let span: f64 = span.sum();
    let growing = match (per_hour, later, level) {
        (Some(whole), Some(later), Some(level)) if whole.readings >= LEAST_READINGS => {
            let tests = SoakFigure::ALL.len() as f64;
            let grew =
                whole.p < FALSE_ALARMS / tests && whole.low * span >= least_growth(figure, level);
            match grew {
                false => Growing::No,
                true if later.slope >= STEADY * whole.slope => Growing::Yes,
                true => Growing::LevellingOff,
            }
        }
        _ => Growing::Unknown,
    };
    SoakTrend {
        figure,
        growing,
        level,
        per_hour,
        per_request: against(|reading| reading.requests as f64, &kept),
        hours: span,
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_pcg::Pcg64;

    use super::*;

    const MIB: f64 = 1_048_576.0;

    /// Readings of cycles of 10 s with 10,000 requests each; `leak` bytes a request.
    struct Simulation {
        random: Pcg64,
        leak: f64,
    }

    impl Simulation {
        fn noise(&mut self) -> f64 {
            (0..12).map(|_| self.random.random::<f64>()).sum::<f64>() - 6.0
        }

        /// A process: memory that fills up in a warm-up, is kept in pages of 4 KiB, wanders a little, and now and then
        /// makes a step that stays; latency with noise that depends on the cycle before.
        fn readings(&mut self, process: u32, cycles: u32) -> Vec<SoakReading> {
            let (mut steps, mut wander, mut drift) = (0.0, 0.0, 0.0);
            (1..=cycles)
                .map(|cycle| {
                    let requests = f64::from(cycle) * 10_000.0;
                    if self.random.random::<f64>() < 0.1 {
                        steps += 64.0 * 1_024.0;
                    }
                    wander = 0.5 * wander + 30_000.0 * self.noise();
                    drift = 0.5 * drift + 0.05 * self.noise();
                    let warm = 8.0 * MIB * (1.0 - (-f64::from(cycle) / 2.0).exp());
                    let bytes = 20.0 * MIB + warm + steps + wander + self.leak * requests;
                    SoakReading {
                        cycle,
                        process,
                        at_s: f64::from(cycle) * 10.0,
                        requests: requests as u64,
                        rss_bytes: (bytes / 4_096.0) as u64 * 4_096,
                        threads: Some(4),
                        descriptors: Some(12),
                        p50_us: Some(80.0 * f64::exp(drift)),
                        p99_us: Some(300.0 * (2.0 * drift + 0.2 * self.noise()).exp()),
                        ..SoakReading::default()
                    }
                })
                .collect()
        }
    }

    fn server(seed: u64, leak: f64, processes: &[u32]) -> SoakServer {
        let mut simulation = Simulation {
            random: Pcg64::seed_from_u64(seed),
            leak,
        };
        let readings = (0..)
            .zip(processes)
            .flat_map(|(process, cycles)| simulation.readings(process, *cycles));
        SoakServer {
            readings: readings.collect(),
            ..SoakServer::default()
        }
    }

    fn growing(server: &SoakServer) -> Vec<SoakFigure> {
        let trends = soak_trends(server).into_iter();
        let growing = trends.filter(|trend| trend.growing == Growing::Yes);
        growing.map(|trend| trend.figure).collect()
    }

    #[test]
    fn without_a_leak_none_is_reported_in_hundreds_of_runs() {
        for cycles in [30, 60] {
            let alarms = (0..300)
                .filter(|seed| !growing(&server(*seed, 0.0, &[cycles])).is_empty())
                .count();
            // At 1 % each, 300 runs have more than 8 alarms with a probability under 0.004.
            assert!(alarms <= 8, "{alarms} of 300 runs of {cycles} cycles");
        }
        for seed in 0..20 {
            assert_eq!(growing(&server(seed, 0.0, &[60])), [], "seed {seed}");
        }
    }

    #[test]
    fn a_leak_of_64_bytes_is_found_in_10_minutes_at_its_rate() {
        for seed in 0..100 {
            let leaking = server(seed, 64.0, &[60]);
            assert_eq!(growing(&leaking), [SoakFigure::Memory], "seed {seed}");
            let memory = soak_trends(&leaking)[0];
            let each = memory.per_request.unwrap();
            assert!((each.slope / 64.0 - 1.0).abs() < 0.1, "{each:?}");
            assert!(
                each.low <= each.slope && each.slope <= each.high,
                "{each:?}"
            );
        }
    }

    #[test]
    fn a_leak_is_found_over_processes_too() {
        let leaking = server(1, 64.0, &[16, 16, 16]);
        assert_eq!(growing(&leaking), [SoakFigure::Memory]);
        assert_eq!(soak_trends(&leaking)[0].per_hour.unwrap().readings, 36);
        assert_eq!(growing(&server(1, 0.0, &[16, 16, 16])), []);
    }

    #[test]
    fn what_fills_up_is_levelling_off() {
        let mut filling = server(1, 0.0, &[30]);
        for reading in &mut filling.readings {
            let full = 1.0 - (-f64::from(reading.cycle) / 8.0).exp();
            reading.rss_bytes = (20.0 * MIB + 200.0 * MIB * full) as u64;
        }
        assert_eq!(soak_trends(&filling)[0].growing, Growing::LevellingOff);
    }

    #[test]
    fn threads_and_descriptors_that_leak_are_found() {
        let mut leaking = server(1, 0.0, &[60]);
        for reading in &mut leaking.readings {
            reading.threads = Some(4 + reading.cycle / 3);
            reading.descriptors = Some(12 + reading.cycle);
        }
        let found = growing(&leaking);
        assert_eq!(found, [SoakFigure::Threads, SoakFigure::Descriptors]);
    }

    #[test]
    fn too_few_cycles_give_no_verdict() {
        let least = least_cycles();
        assert_eq!(least, 20);
        let few = soak_trends(&server(1, 64.0, &[least - 1]));
        assert!(
            few.iter().all(|trend| trend.growing == Growing::Unknown),
            "{few:?}"
        );
        let enough = soak_trends(&server(1, 64.0, &[least]));
        assert!(
            enough.iter().all(|trend| trend.growing != Growing::Unknown),
            "{enough:?}"
        );
        assert!(soak_trends(&SoakServer::default())[0].level.is_none());
        // A month is thinned out, not compared reading by reading.
        let month = soak_trends(&server(1, 64.0, &[20_000]))[0];
        assert!(
            month.per_hour.unwrap().readings <= MOST_READINGS,
            "{month:?}"
        );
        assert_eq!(month.growing, Growing::Yes);
    }
}
