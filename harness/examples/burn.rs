//! A load beside a comparison: it takes a share of one CPU that grows with time.
//!
//! `taskset -c CPU burn --rise 60 --most 0.4 --limit 120` takes none of that CPU at first and
//! 40 % of it after a minute, stays there, and ends by itself after two. It counts its own CPU
//! time, so a server beside it does not make it take less than it is asked to, as long as the
//! scheduler grants it that share. What it took is printed at the end.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use rustix::time::{ClockId, clock_gettime};

/// One step of working and sleeping: short beside the 100 ms in which trials are looked at.
const STEP: Duration = Duration::from_millis(10);

/// Takes a growing share of one CPU.
#[derive(Parser)]
struct Flags {
    /// Seconds until the share has grown to the most
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    rise: u32,
    /// The share at the end, 0 to 0.9
    #[arg(long, value_name = "SHARE", default_value_t = 0.4, value_parser = share)]
    most: f64,
    /// End after so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u32).range(1..=86_400))]
    limit: u32,
}

fn share(text: &str) -> Result<f64, String> {
    let share = text
        .parse()
        .ok()
        .filter(|share| (0.0..=0.9).contains(share));
    share.ok_or_else(|| "a share from 0 to 0.9 is wanted".to_owned())
}

fn main() {
    let flags = Flags::parse();
    let begin = Instant::now();
    let limit = Duration::from_secs(flags.limit.into());
    let mut step = begin;
    while step < begin + limit {
        let grown = (step - begin).as_secs_f64() / f64::from(flags.rise);
        work(STEP.mul_f64(flags.most * grown.min(1.0)), step + STEP);
        step += STEP;
        thread::sleep(step.saturating_duration_since(Instant::now()));
    }
    eprintln!(
        "burn: {:.1} s of CPU time in {:.1} s",
        cpu_time().as_secs_f64(),
        begin.elapsed().as_secs_f64()
    );
}

/// Works for `busy` of CPU time, at most until `end`.
fn work(busy: Duration, end: Instant) {
    let until = cpu_time() + busy;
    let mut sum = 0_u64;
    while cpu_time() < until && Instant::now() < end {
        for turn in 0..5_000 {
            sum = black_box(sum.wrapping_add(turn));
        }
    }
}

/// The CPU time this process has used.
fn cpu_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(
        time.tv_sec.unsigned_abs(),
        time.tv_nsec.unsigned_abs() as u32,
    )
}
