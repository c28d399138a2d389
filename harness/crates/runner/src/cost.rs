//! CPU time per request of interleaved entries: that of a typical slice, corrected for how slow the machine was
//! at that moment.

use super::figures::middle;
use super::rotation::Turns;
use loadgen::Measurement;
use machine::probe::LightSample;
use stats::median;

/// CPU time per response in each slice in nanoseconds, as far as it is exact. Absent if it could not be read or
/// nothing was answered.
pub(super) fn of_slices(measured: &Measurement, turns: &Turns) -> Vec<Option<f64>> {
    let slices = measured.intervals.iter().zip(&turns.slices);
    slices
        .map(|(slice, (before, after))| {
            let exact = |sample: &LightSample| sample.cpu_ns?.checked_sub(sample.in_ticks_ns?);
            let cpu_ns = exact(after)?.checked_sub(exact(before)?)? as f64;
            (slice.answered > 0 && cpu_ns > 0.0).then(|| cpu_ns / slice.answered as f64)
        })
        .collect()
}

/// Adds the CPU time that is known only in ticks, that of processes that ended. A tick is as long as a slice,
/// so no slice is typical: this adds the mean over all of them.
pub(super) fn with_ticks(
    typical: Option<f64>,
    slices: &[(LightSample, LightSample)],
    answered: u64,
) -> Option<f64> {
    let grown = |(before, after): &(LightSample, LightSample)| {
        let ns = |sample: &LightSample| sample.in_ticks_ns.unwrap_or(0) as f64;
        ns(after) - ns(before)
    };
    let in_ticks: f64 = slices.iter().map(grown).sum();
    let each = in_ticks.max(0.0) / answered.max(1) as f64;
    match typical {
        // All work may be done by processes that end.
        None => (each > 0.0).then_some(each),
        Some(typical) => Some(typical + each),
    }
}

/// How slow the machine was in each cycle: the median over the entries of their cost relative to their own
/// median. 1 for a single entry, which can't be told apart from the machine.
pub(super) fn slowness(entries: &[Vec<Option<f64>>]) -> Vec<f64> {
    let cycles = entries.iter().map(Vec::len).max().unwrap_or(0);
    if entries.len() < 2 {
        return vec![1.0; cycles];
    }
    let of_entry = |costs: &Vec<Option<f64>>| -> Vec<Option<f64>> {
        let known: Vec<f64> = costs.iter().flatten().copied().collect();
        let middle = median(&known);
        let share = |cost: &Option<f64>| Some((*cost)? / middle?);
        costs.iter().map(share).collect()
    };
    let shares: Vec<_> = entries.iter().map(of_entry).collect();
    let of_cycle = |cycle: usize| {
        let known: Vec<f64> = shares
            .iter()
            .filter_map(|entry| *entry.get(cycle)?)
            .collect();
        median(&known).unwrap_or(1.0)
    };
    (0..cycles).map(of_cycle).collect()
}

/// The cost of a typical slice: the mean of the middle half, with each slice divided by the slowness of its
/// cycle.
pub(super) fn typical(costs: &[Option<f64>], slowness: &[f64]) -> Option<f64> {
    let both = costs.iter().zip(slowness);
    middle(both.filter_map(|(cost, slowness)| Some((*cost)? / slowness)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An entry's costs in 40 slices on a machine that is slower in some of them.
    fn entry(cost: f64, bursts: impl Fn(usize) -> bool) -> Vec<Option<f64>> {
        let machine = |at: usize| 1.0 + 0.2 * (at % 7) as f64;
        let of = |at: usize| Some(cost * machine(at) * if bursts(at) { 5.0 } else { 1.0 });
        (0..40).map(of).collect()
    }

    #[test]
    fn neither_the_slowness_of_the_machine_nor_a_burst_moves_a_ratio() {
        let burst = |at: usize| at == 3 || at == 17;
        let entries = [
            entry(8_000.0, burst),
            entry(10_000.0, |_| false),
            entry(6_000.0, |at| at == 30),
        ];
        let slowness = slowness(&entries);
        let of = |index: usize| typical(&entries[index], &slowness).unwrap();
        assert!((of(1) / of(0) - 1.25).abs() < 1e-3, "{}", of(1) / of(0));
        assert!((of(2) / of(0) - 0.75).abs() < 1e-3, "{}", of(2) / of(0));
    }

    #[test]
    fn time_in_ticks_is_spread_over_all_slices() {
        let sample = |in_ticks_ns| LightSample {
            in_ticks_ns,
            ..LightSample::default()
        };
        // A tick in one slice of four, and one between two slices, which belongs to neither.
        let ns = [(0, 0), (0, 10), (20, 20), (20, 20)];
        let slices = ns.map(|(before, after)| (sample(Some(before)), sample(Some(after))));
        assert_eq!(with_ticks(Some(4.0), &slices, 5), Some(6.0));
        assert_eq!(with_ticks(None, &slices, 5), Some(2.0));
        // All of it is exact, or nothing is known.
        assert_eq!(with_ticks(Some(4.0), &slices[..1], 5), Some(4.0));
        assert_eq!(with_ticks(None, &slices[..1], 5), None);
        assert_eq!(with_ticks(None, &[(sample(None), sample(None))], 0), None);
    }

    #[test]
    fn one_entry_alone_keeps_its_own_cost_and_one_that_ended_does_not_matter() {
        let alone = [vec![Some(4.0), Some(6.0), None, Some(5.0)]];
        assert_eq!(slowness(&alone), [1.0; 4]);
        assert_eq!(typical(&alone[0], &slowness(&alone)), Some(5.0));
        let short = [vec![Some(4.0); 6], vec![Some(2.0); 6], vec![Some(1.0); 2]];
        assert_eq!(slowness(&short), [1.0; 6]);
        assert_eq!(typical(&[], &slowness(&short)), None);
        assert_eq!(typical(&[None, None], &[1.0, 1.0]), None);
    }
}
