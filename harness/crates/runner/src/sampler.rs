//! Reads the server's counters at the edges of the measured window and of each interval.

use std::thread;
use std::time::{Duration, Instant};

use loadgen::{Control, Window};
use machine::probe::{LightSample, Processes, Sample};

/// How long the load generator may take to connect before its window is known.
const WINDOW_WAIT: Duration = Duration::from_secs(30);

/// Readings of the server while it was driven.
#[derive(Debug, Default)]
pub(super) struct Samples {
    /// At the start of the window.
    pub(super) start: Option<Sample>,
    /// At the last edge inside the window, with the connections still open.
    pub(super) inside: Option<Sample>,
    /// At the end of the window.
    pub(super) end: Option<Sample>,
    /// At each edge between intervals, from the start of the window to its end; empty if one was missed.
    pub(super) edges: Vec<LightSample>,
}

/// Samples in step with the window until it ends.
pub(super) fn sample(processes: &mut Processes, control: &Control, interval: Duration) -> Samples {
    let Some(window) = control.wait_window(WINDOW_WAIT) else {
        return Samples::default();
    };
    let edges = edges(&window, interval);
    let last_inside = edges.len() - 2;
    let mut samples = Samples::default();
    for (index, edge) in edges.iter().enumerate() {
        thread::sleep(edge.saturating_duration_since(Instant::now()));
        // Read the last edge even if the drive is over by now: without it there is no CPU time of the window.
        if control.is_stopped() || (control.is_over() && index < edges.len() - 1) {
            return Samples::default();
        }
        // The cheap sample first: it has to be on time.
        samples.edges.push(processes.sample_light());
        if index == 0 {
            samples.start = Some(processes.sample());
        }
        if index == last_inside {
            samples.inside = Some(processes.sample());
        }
    }
    samples.end = Some(processes.sample());
    samples
}

/// The start of every interval and the end of the last, which may be shorter.
fn edges(window: &Window, interval: Duration) -> Vec<Instant> {
    let mut edges = Vec::new();
    let mut edge = window.start;
    while edge < window.end {
        edges.push(edge);
        edge += interval;
    }
    edges.push(window.end);
    edges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_one_more_than_intervals() {
        let start = Instant::now();
        let window = Window {
            start,
            end: start + Duration::from_millis(250),
            start_unix_ns: 0,
            end_unix_ns: 250_000_000,
        };
        let offsets: Vec<u128> = edges(&window, Duration::from_millis(100))
            .iter()
            .map(|edge| edge.duration_since(start).as_millis())
            .collect();
        assert_eq!(offsets, [0, 100, 200, 250]);
    }
}
