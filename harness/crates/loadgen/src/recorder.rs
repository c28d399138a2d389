//! Histograms, intervals and counts of one thread; it allocates nothing while the clock runs.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use hdrhistogram::{Counter, Histogram};

use super::breakdown::Breakdown;
use super::{ErrorKind, Interval, Unfinished};

/// Nanoseconds since the common start of a drive's clocks.
pub(crate) type Nanos = u64;

/// The instants of a request that has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestTimes {
    /// When it was meant to be sent; in a closed loop, when it was sent.
    pub(crate) intended: Nanos,
    pub(crate) sent: Nanos,
    /// When the read returned that brought the first byte of the status line.
    pub(crate) first_byte: Nanos,
    /// When the read returned that completed it, or when it timed out.
    pub(crate) ended: Nanos,
}

#[derive(Debug)]
pub(crate) struct Recorder {
    /// The measured window.
    start: Nanos,
    end: Nanos,
    by: By,
    pub(crate) latency: Histogram<u64>,
    pub(crate) wire: Histogram<u64>,
    pub(crate) first_byte: Histogram<u64>,
    /// Requests whose latency, wire time and first byte are equal: sent on time, and answered in one read.
    /// [`Self::settle`] adds them to each histogram.
    alike: Histogram<u64>,
    pub(crate) connect: Histogram<u64>,
    pub(crate) send_lag: Histogram<u64>,
    cells: Vec<IntervalCell>,
    /// The counted slices so far; empty with a single window.
    slices: Vec<Range<Nanos>>,
    /// Valid responses in the window.
    pub(crate) requests: u64,
    errors: [u64; ErrorKind::ALL.len()],
    /// When the first error happened, and what it was.
    pub(crate) first_error: Option<(Nanos, String)>,
    /// Requests in flight when the drain ended.
    pub(crate) unfinished: Vec<Unfinished>,
    /// The same by class and by stage.
    pub(crate) breakdown: Breakdown,
}

/// Which requests count, and what an element of the time series is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Requests that end in the window, in intervals of this length.
    End(Nanos),
    /// Requests that are due in a slice, whenever they end. Slices start and end with nothing in flight, so
    /// each request belongs to one slice.
    Slice,
}

/// One interval, or one slice.
#[derive(Debug, Clone)]
struct IntervalCell {
    /// Two digits keep it at about 16 KiB.
    latency: Histogram<u32>,
    requests: u64,
    errors: u64,
    moments: Moments,
    /// In a slice: valid responses from its start to the end of its drain, lead-in included.
    answered: u64,
    /// In a slice: requests that were due while it counted, and valid responses that arrived then.
    asked: u64,
    on_time: u64,
}

/// Exact sums of nanoseconds, for mean and standard deviation.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Moments {
    n: u64,
    sum: u128,
    squares: u128,
}

/// A histogram with three significant digits up to `max`; higher values saturate.
pub(crate) fn histogram(max: Duration) -> Histogram<u64> {
    Histogram::new_with_max(nanos(max).max(2), 3).expect("1 to 2 or more, with 3 digits, is valid")
}

/// Adds a histogram of the same drive.
pub(crate) fn add<T: Counter>(mine: &mut Histogram<T>, theirs: &Histogram<T>) {
    mine.add(theirs)
        .expect("histograms of a drive have one range");
}

/// A duration in whole nanoseconds, up to 584 years.
pub(crate) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

impl IntervalCell {
    fn new(max: Duration) -> Self {
        Self {
            latency: Histogram::new_with_max(nanos(max).max(2), 2)
                .expect("1 to 2 or more, with 2 digits, is valid"),
            requests: 0,
            errors: 0,
            moments: Moments::default(),
            answered: 0,
            asked: 0,
            on_time: 0,
        }
    }
}

impl Recorder {
    /// For a window of this length, and values up to `max`.
    pub(crate) fn new(window: Duration, interval: Duration, max: Duration) -> Self {
        let cells = nanos(window).div_ceil(nanos(interval));
        Self::with(By::End(nanos(interval)), cells as usize, max)
    }

    pub(crate) fn sliced(slices: usize, max: Duration) -> Self {
        Self::with(By::Slice, slices, max)
    }

    fn with(by: By, cells: usize, max: Duration) -> Self {
        Self {
            start: Nanos::MAX,
            end: Nanos::MAX,
            by,
            latency: histogram(max),
            wire: histogram(max),
            first_byte: histogram(max),
            alike: histogram(max),
            connect: histogram(max),
            send_lag: histogram(max),
            cells: vec![IntervalCell::new(max); cells],
            slices: Vec::with_capacity(cells),
            requests: 0,
            errors: [0; ErrorKind::ALL.len()],
            first_error: None,
            unfinished: Vec::new(),
            breakdown: Breakdown::default(),
        }
    }

    /// Begins a window or a slice. An empty one counts nothing.
    pub(crate) fn begin(&mut self, window: Range<Nanos>) {
        (self.start, self.end) = (window.start, window.end);
        if self.by == By::Slice && window.start < window.end {
            self.slices.push(window);
        }
    }

    /// Ends the window or the slice early.
    pub(crate) fn end_early(&mut self, at: Nanos) {
        let counts = self.start < self.end;
        self.end = at.max(self.start);
        if counts && let Some(slice) = self.slices.last_mut() {
            slice.end = self.end;
        }
    }

    /// Whether the window, or the current slice, holds this time.
    pub(crate) fn in_window(&self, at: Nanos) -> bool {
        (self.start..self.end).contains(&at)
    }

    /// Whether a request with these times counts.
    fn counts(&self, due: Nanos, ended: Nanos) -> bool {
        self.in_window(match self.by {
            By::End(_) => ended,
            By::Slice => due,
        })
    }

    /// The interval at this time, or the current slice.
    fn cell(&mut self, at: Nanos) -> Option<&mut IntervalCell> {
        let index = match self.by {
            By::End(interval) => ((at - self.start) / interval) as usize,
            By::Slice if self.start == self.end => return None,
            By::Slice => self.slices.len() - 1,
        };
        self.cells.get_mut(index)
    }

    pub(crate) fn due(&mut self, at: Nanos) {
        self.breakdown.due(at);
        if self.by == By::Slice
            && let Some(cell) = self.cell(at)
        {
            cell.asked += 1;
        }
    }

    /// A valid response to a request of this class.
    pub(crate) fn answered(&mut self, request: &RequestTimes, class: u32) {
        if self.counts(request.intended, request.ended) {
            self.requests += 1;
            self.time(request, true);
            self.breakdown.time(class, request, true);
        }
        if self.by == By::Slice {
            let on_time = self.in_window(request.ended);
            if let Some(cell) = self.cell(request.ended) {
                cell.answered += 1;
                cell.on_time += u64::from(on_time);
            }
        }
    }

    /// A request that timed out; [`Self::error_of`] counts the error itself.
    pub(crate) fn timed_out(&mut self, request: &RequestTimes, class: u32) {
        if self.counts(request.intended, request.ended) {
            self.time(request, false);
            self.breakdown.time(class, request, false);
        }
    }

    fn time(&mut self, request: &RequestTimes, valid: bool) {
        let latency = request.ended.saturating_sub(request.intended);
        if request.sent == request.intended && request.first_byte == request.ended {
            self.alike.saturating_record(latency);
        } else {
            self.latency.saturating_record(latency);
            let wire = request.ended.saturating_sub(request.sent);
            self.wire.saturating_record(wire);
            let first_byte = request.first_byte.saturating_sub(request.intended);
            self.first_byte.saturating_record(first_byte);
        }
        if let Some(cell) = self.cell(request.ended) {
            cell.requests += u64::from(valid);
            cell.latency.saturating_record(latency);
            cell.moments.add(latency);
        }
    }

    /// Completes the histograms after everything is recorded.
    pub(crate) fn settle(&mut self) {
        for histogram in [&mut self.latency, &mut self.wire, &mut self.first_byte] {
            add(histogram, &self.alike);
        }
        self.alike.reset();
    }

    /// An error of a request of this class, inside the window or not.
    pub(crate) fn error_of(&mut self, kind: ErrorKind, request: &RequestTimes, class: u32) {
        self.error(kind, request.ended);
        self.breakdown.error(class, request.intended);
    }

    /// An error, of a request or not, inside the window or not.
    pub(crate) fn error(&mut self, kind: ErrorKind, at: Nanos) {
        self.errors[kind as usize] += 1;
        if (self.by == By::Slice || self.in_window(at))
            && let Some(cell) = self.cell(at)
        {
            cell.errors += 1;
        }
    }

    /// Keeps the message of the first error; calls `say` only for that one.
    pub(crate) fn first_error(&mut self, at: Nanos, say: impl FnOnce() -> String) {
        if self.first_error.is_none() {
            self.first_error = Some((at, say()));
        }
    }

    /// A request that was due at `due` was sent `lag` later than possible.
    pub(crate) fn sent(&mut self, lag: Nanos, due: Nanos, at: Nanos) {
        if self.counts(due, at) {
            self.send_lag.saturating_record(lag);
            self.breakdown.sent(lag, due);
        }
    }

    pub(crate) fn connected(&mut self, took: Nanos) {
        self.connect.saturating_record(took);
    }

    pub(crate) fn errors_total(&self) -> u64 {
        self.errors.iter().sum()
    }

    pub(crate) fn timeouts(&self) -> u64 {
        self.errors[ErrorKind::Timeout as usize]
    }

    /// The error kinds that occurred, with their counts.
    pub(crate) fn errors(&self) -> BTreeMap<&'static str, u64> {
        let counts = ErrorKind::ALL
            .iter()
            .map(|k| (k.name(), self.errors[*k as usize]));
        counts.filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in [
            (&mut self.latency, &other.latency),
            (&mut self.wire, &other.wire),
            (&mut self.first_byte, &other.first_byte),
            (&mut self.connect, &other.connect),
            (&mut self.send_lag, &other.send_lag),
        ] {
            add(mine, theirs);
        }
        for (mine, theirs) in self.cells.iter_mut().zip(&other.cells) {
            mine.merge(theirs);
        }
        self.requests += other.requests;
        for (mine, theirs) in self.errors.iter_mut().zip(other.errors) {
            *mine += theirs;
        }
        self.unfinished.extend(&other.unfinished);
        self.breakdown.merge(&other.breakdown);
        // After a stop the threads end a few milliseconds apart.
        self.end = self.end.max(other.end);
        for (mine, theirs) in self.slices.iter_mut().zip(&other.slices) {
            mine.end = mine.end.max(theirs.end);
        }
        let earlier = |error: &(Nanos, String)| {
            let mine = self.first_error.as_ref();
            mine.is_none_or(|mine| error.0 < mine.0)
        };
        if other.first_error.as_ref().is_some_and(earlier) {
            self.first_error.clone_from(&other.first_error);
        }
    }

    /// The measured time: the window's length, or that of all slices.
    pub(crate) fn measured(&self) -> Nanos {
        match self.by {
            By::End(_) => self.end.saturating_sub(self.start),
            By::Slice => self
                .slices
                .iter()
                .map(|slice| slice.end - slice.start)
                .sum(),
        }
    }

    /// The first and last time that counted, of the window or the slices.
    pub(crate) fn span(&self) -> Range<Nanos> {
        match (self.slices.first(), self.slices.last()) {
            (Some(first), Some(last)) => first.start..last.end,
            _ => self.start..self.end,
        }
    }

    /// The time series up to the end of the window: intervals or slices.
    pub(crate) fn intervals(&self) -> Vec<Interval> {
        let interval = match self.by {
            By::End(interval) => interval,
            By::Slice => {
                let first = self.span().start;
                let slices = self.cells.iter().zip(&self.slices);
                return slices
                    .map(|(cell, slice)| cell.finish(slice.start - first, slice.end - slice.start))
                    .collect();
            }
        };
        let window = self.measured();
        let cells = (0_u64..).zip(&self.cells);
        let cells = cells.map(|(i, cell)| (i * interval, cell));
        cells
            .take_while(|(start, _)| *start < window)
            .map(|(start, cell)| cell.finish(start, interval.min(window - start)))
            .collect()
    }

    /// Mean and standard deviation of the window's latency.
    pub(crate) fn mean_and_jitter_ns(&self) -> Option<(f64, f64)> {
        let mut all = Moments::default();
        for cell in &self.cells {
            all.merge(&cell.moments);
        }
        Some((all.mean()?, all.deviation()?))
    }
}

impl IntervalCell {
    fn merge(&mut self, other: &Self) {
        add(&mut self.latency, &other.latency);
        self.requests += other.requests;
        self.errors += other.errors;
        self.answered += other.answered;
        self.asked += other.asked;
        self.on_time += other.on_time;
        self.moments.merge(&other.moments);
    }

    fn finish(&self, start: Nanos, length: Nanos) -> Interval {
        let quantile = |q| (!self.latency.is_empty()).then(|| self.latency.value_at_quantile(q));
        Interval {
            start: Duration::from_nanos(start),
            length: Duration::from_nanos(length),
            requests: self.requests,
            answered: self.answered,
            asked: self.asked,
            on_time: self.on_time,
            in_flight: self.moments.sum as f64 / length as f64,
            errors: self.errors,
            p50_ns: quantile(0.5),
            p99_ns: quantile(0.99),
            jitter_ns: self.moments.deviation(),
            latency: self.latency.clone(),
        }
    }
}

impl Moments {
    pub(crate) fn add(&mut self, value: u64) {
        self.n += 1;
        self.sum += u128::from(value);
        self.squares += u128::from(value) * u128::from(value);
    }

    pub(crate) fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.sum += other.sum;
        self.squares += other.squares;
    }

    pub(crate) fn mean(&self) -> Option<f64> {
        (self.n > 0).then(|| self.sum as f64 / self.n as f64)
    }

    /// The population's: √(Σx²/n − (Σx/n)²), from n·Σx² − (Σx)², which is exact in integers.
    fn deviation(&self) -> Option<f64> {
        let n = u128::from(self.n);
        let scaled = n
            .checked_mul(self.squares)?
            .checked_sub(self.sum.checked_mul(self.sum)?)?;
        (n > 0).then(|| (scaled as f64).sqrt() / n as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn recorder() -> Recorder {
        let ms = Duration::from_millis;
        let mut recorder = Recorder::new(ms(250), ms(100), Duration::from_secs(10));
        recorder.begin(1_000_000_000..1_250_000_000);
        recorder
    }

    fn ended(intended: Nanos, took: Nanos) -> RequestTimes {
        RequestTimes {
            intended,
            sent: intended + took / 4,
            first_byte: intended + took / 2,
            ended: intended + took,
        }
    }

    #[test]
    fn only_what_ends_in_the_window_counts() {
        let mut recorder = recorder();
        for at in [
            999_000_000,
            999_999_999,
            1_000_000_000,
            1_249_999_999,
            1_250_000_000,
        ] {
            recorder.answered(&ended(at - 1000, 1000), 0);
            recorder.error(ErrorKind::Body, at);
        }
        assert_eq!((recorder.requests, recorder.latency.len()), (2, 2));
        assert_eq!(recorder.errors()["body"], 5);
        let intervals = recorder.intervals();
        assert_eq!(
            intervals.iter().map(|i| i.requests).collect::<Vec<_>>(),
            [1, 0, 1]
        );
        assert_eq!(
            intervals.iter().map(|i| i.errors).collect::<Vec<_>>(),
            [1, 0, 1]
        );
        assert_eq!(intervals[2].length, Duration::from_millis(50));
        assert_eq!(intervals[1].p50_ns, None);
    }

    #[test]
    fn intervals_know_their_quantiles_and_deviation() {
        let mut recorder = recorder();
        for i in 1..=1000 {
            recorder.answered(&ended(1_010_000_000, i * 1000), 0);
        }
        let first = &recorder.intervals()[0];
        let close =
            |value: Option<u64>, want: f64| (value.unwrap() as f64 / want - 1.0).abs() < 0.01;
        assert!(close(first.p50_ns, 500_000.0), "{first:?}");
        assert!(close(first.p99_ns, 990_000.0), "{first:?}");
        // Of 1 to n: √((n² − 1) / 12).
        let want = (999_999.0_f64 / 12.0).sqrt() * 1000.0;
        assert!((first.jitter_ns.unwrap() - want).abs() < 1e-6 * want);
        let (mean, jitter) = recorder.mean_and_jitter_ns().unwrap();
        assert!((mean - 500_500.0).abs() < 1e-9 && (jitter - want).abs() < 1e-6 * want);
    }

    #[test]
    fn two_threads_add_up_to_one() {
        let (mut a, mut b, mut both) = (recorder(), recorder(), recorder());
        for i in 0..100 {
            let one = ended(1_000_000_000 + i * 2_000_000, 1000 + i * 7);
            if i % 3 == 0 { &mut a } else { &mut b }.answered(&one, 0);
            both.answered(&one, 0);
        }
        b.first_error(5, || "early".into());
        a.first_error(9, || "late".into());
        a.merge(&b);
        assert_eq!(a.latency, both.latency);
        assert_eq!(a.first_byte, both.first_byte);
        assert_eq!(a.intervals(), both.intervals());
        assert_eq!(a.first_error, Some((5, "early".into())));
    }
}
