//! The CPU time of each thread.

use std::collections::BTreeMap;
use std::fs;

/// CPU time of each current thread of these processes by its id, nanoseconds: the first field of
/// `/proc/PID/task/TID/schedstat` (the kernel's `Documentation/scheduler/sched-stats.rst`).
pub fn thread_times(pids: &[u32]) -> BTreeMap<u32, u64> {
    let tasks = pids.iter().flat_map(|pid| {
        let listed = fs::read_dir(format!("/proc/{pid}/task"));
        listed.into_iter().flatten().flatten()
    });
    let times = tasks.filter_map(|task| {
        let thread = task.file_name().to_str()?.parse().ok()?;
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        Some((thread, text.split_whitespace().next()?.parse().ok()?))
    });
    times.collect()
}

/// A thread is busy if it used at least this share of the busiest one's CPU time.
const BUSY_SHARE: f64 = 0.1;

/// Number of threads that were busy between two looks.
pub fn busy_threads(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>) -> usize {
    let used = after
        .iter()
        .map(|(id, time)| time.saturating_sub(before.get(id).copied().unwrap_or(0)));
    let used: Vec<u64> = used.collect();
    let least = BUSY_SHARE * used.iter().copied().max().unwrap_or(0) as f64;
    let busy = used
        .iter()
        .filter(|time| **time > 0 && **time as f64 >= least);
    busy.count()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_thread_that_works_is_told_from_one_that_waits() {
        let own = [std::process::id()];
        let (tell, told) = std::sync::mpsc::channel::<()>();
        let waits = std::thread::spawn(move || told.recv());
        let before = thread_times(&own);
        let end = Instant::now() + Duration::from_millis(50);
        while Instant::now() < end {}
        // It counts at the latest when the thread sleeps.
        std::thread::sleep(Duration::from_millis(5));
        let after = thread_times(&own);
        let used = |thread: &u32| after[thread].saturating_sub(before[thread]);
        let known: Vec<_> = before.keys().filter(|id| after.contains_key(id)).collect();
        assert!(known.len() >= 2, "{after:?}");
        assert!(known.iter().any(|id| used(id) > 1_000_000), "{after:?}");
        assert!(known.iter().any(|id| used(id) < 1_000_000), "{after:?}");
        assert_eq!(busy_threads(&before, &before), 0);
        drop(tell);
        let _ = waits.join();
    }

    #[test]
    fn a_thread_is_busy_compared_with_the_busiest() {
        let before = BTreeMap::from([(1, 100), (2, 100)]);
        let after = BTreeMap::from([(1, 1_100), (2, 199), (3, 100), (4, 0)]);
        assert_eq!(busy_threads(&before, &after), 2);
    }
}
