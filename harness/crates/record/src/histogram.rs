//! Reads a stored histogram.

use hdrhistogram::Histogram as Counts;
use hdrhistogram::serialization::Deserializer;

use super::Histogram;

impl Histogram {
    /// The values at the given quantiles (0 to 1, ascending) and the number of recorded values, in one pass
    /// over the counts. A quantile is the smallest value that this share of all values does not exceed, to the
    /// histogram's precision.
    ///
    /// `None` if it can't be decoded or is empty.
    #[must_use]
    pub fn at_quantiles(&self, quantiles: &[f64]) -> Option<(Vec<u64>, u64)> {
        let counts: Counts<u64> = Deserializer::new().deserialize(&mut &self.v2[..]).ok()?;
        let total = counts.len();
        if total == 0 {
            return None;
        }
        let mut values = Vec::with_capacity(quantiles.len());
        let mut seen = 0;
        for step in counts.iter_recorded() {
            seen += step.count_since_last_iteration();
            let reached = |quantile: &&f64| (*quantile * total as f64).ceil() as u64 <= seen;
            let more = quantiles[values.len()..].iter().take_while(reached).count();
            values.extend(std::iter::repeat_n(step.value_iterated_to(), more));
            if values.len() == quantiles.len() {
                break;
            }
        }
        (values.len() == quantiles.len()).then_some((values, total))
    }
}

#[cfg(test)]
mod tests {
    use hdrhistogram::serialization::{Serializer, V2Serializer};

    use super::*;

    #[test]
    fn quantiles_are_those_of_the_library() {
        let mut counts = Counts::<u64>::new(3).unwrap();
        for n in 1..=10_000 {
            counts.record(n * n % 7_919 * 1_000 + 500).unwrap();
        }
        let mut v2 = Vec::new();
        V2Serializer::new().serialize(&counts, &mut v2).unwrap();
        let quantiles = [0.0, 0.5, 0.9, 0.99, 0.999, 0.9999, 1.0];
        let (values, total) = Histogram { v2 }.at_quantiles(&quantiles).unwrap();
        let expected: Vec<u64> = quantiles
            .iter()
            .map(|quantile| counts.value_at_quantile(*quantile))
            .collect();
        assert_eq!((values, total), (expected, 10_000));
    }

    #[test]
    fn what_is_no_histogram_has_no_quantiles() {
        for v2 in [vec![], (0..=255).collect()] {
            assert_eq!(Histogram { v2 }.at_quantiles(&[0.5]), None);
        }
    }
}
