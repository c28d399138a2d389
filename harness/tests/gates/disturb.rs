//! What disturbs a run, and whether anything else does.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use machine::probe::affinity;
use machine::{OthersMeter, Root};
use rustix::thread::{CpuSet, sched_getaffinity};

/// Threads that take a CPU from a load generator: it is left with a tenth.
pub(crate) const MANY: usize = 9;
/// No test runs as long.
const LONGEST: Duration = Duration::from_secs(300);
/// The share of the CPUs' time from which on a machine is not quiet; half of what gate 9 allows.
const QUIET: f64 = 0.05;

/// One run at a time: each is on the same CPUs.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ONE: Mutex<()> = Mutex::new(());
    ONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The CPU of the server and that of the load generator; none on a machine with one CPU.
pub(crate) fn two_cpus() -> Option<(u32, u32)> {
    let allowed = sched_getaffinity(None).unwrap();
    let mut cpus = (0..CpuSet::MAX_CPU).filter(|&cpu| allowed.is_set(cpu));
    let pair = cpus.next().zip(cpus.next());
    if pair.is_none() {
        eprintln!("skipped: there is one CPU, and this takes one for each side");
    }
    pair.map(|(server, driver)| (server as u32, driver as u32))
}

/// Whether other programs leave the machine alone, watched for up to ten seconds.
pub(crate) fn quiet() -> bool {
    let mut share = None;
    for _ in 0..10 {
        let meter = OthersMeter::start(&Root::host(), &[]);
        std::thread::sleep(Duration::from_millis(1_100));
        share = meter.stop(Some(Duration::ZERO));
        if share.is_none_or(|share| share < QUIET) {
            return true;
        }
    }
    let percent = share.unwrap_or_default() * 100.0;
    eprintln!("skipped: other programs take {percent:.0} % of the CPUs, so no run here is sound");
    false
}

/// Busy threads pinned to one CPU, until dropped.
pub(crate) struct Spinners {
    over: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Spinners {
    pub(crate) fn on(cpu: u32, count: usize) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let spin = |_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                affinity::pin_current_thread(&[cpu]).unwrap();
                let begin = Instant::now();
                while !over.load(Ordering::Relaxed) && begin.elapsed() < LONGEST {
                    std::hint::spin_loop();
                }
            })
        };
        let threads = (0..count).map(spin).collect();
        Self { over, threads }
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
