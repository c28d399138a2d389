//! Calibration: how many instructions make a request a given percentage more expensive?

use std::fmt::Write as _;

use anyhow::{Context as _, Result, bail};
use catalog::Stage;
use stats::median;

use crate::Names;
use crate::pool::{Kind, Pool, RankFigure, RoundValues};

/// The paced rate for a run in which another load takes up to 40 % of the server's CPU, as a share of the
/// base's peak.
const SHARE_UNDER_LOAD: f64 = 0.35;

/// The cost of a request to the base, and of an extra instruction.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Cost {
    /// CPU time of a request to the base, microseconds.
    base_us: f64,
    /// CPU time of an extra instruction, microseconds.
    per_instruction_us: f64,
}

/// The lines of the counts file: comments, the rate for a loaded machine, then a name and its count for each of
/// `percents`.
pub(crate) fn report(
    pool: &Pool,
    names: &Names,
    (probe, instructions): (&str, u64),
    percents: &[f64],
) -> Result<String> {
    pool.need(&names.base)?;
    pool.need(probe)?;
    let cost = |stage| {
        let figure = RankFigure::new(stage, Kind::Cost);
        let column = |name: &str| pool.column(&figure, None, name);
        Cost::new(&column(&names.base), &column(probe), instructions)
    };
    let mut text = String::new();
    for stage in Stage::ALL {
        match cost(stage) {
            Ok(cost) => writeln!(text, "# {stage}: {}", cost.told())?,
            Err(error) => writeln!(text, "# {stage}: {error}")?,
        }
    }
    let cost = cost(Stage::Paced).context("the paced stage can't be calibrated")?;
    let rate = RankFigure::new(Stage::Peak, Kind::Rate);
    let rates: Vec<f64> = pool
        .column(&rate, None, &names.base)
        .into_iter()
        .flatten()
        .collect();
    let peak = median(&rates).context("the base has no valid peak rate")?;
    writeln!(text, "rate {:.0}", peak * SHARE_UNDER_LOAD)?;
    for &percent in percents {
        writeln!(text, "plus-{percent:02} {}", cost.instructions(percent))?;
    }
    Ok(text)
}

impl Cost {
    fn new(base: &RoundValues, probe: &RoundValues, instructions: u64) -> Result<Self> {
        let both: Vec<(f64, f64)> = base
            .iter()
            .zip(probe)
            .filter_map(|(b, p)| Some(((*b)?, (*p)?)))
            .collect();
        let extra: Vec<f64> = both.iter().map(|(base, probe)| probe - base).collect();
        let base: Vec<f64> = both.iter().map(|(base, _)| *base).collect();
        let (Some(base_us), Some(extra_us)) = (median(&base), median(&extra)) else {
            bail!("no round has a valid trial of both");
        };
        if extra_us <= 0.0 {
            bail!(
                "{instructions} more instructions show no extra cost: the noise hides them, so use more rounds"
            );
        }
        Ok(Self {
            base_us,
            per_instruction_us: extra_us / instructions as f64,
        })
    }

    /// The extra instructions that cost `percent` of a request.
    fn instructions(&self, percent: f64) -> u64 {
        (percent / 100.0 * self.base_us / self.per_instruction_us).round() as u64
    }

    fn told(&self) -> String {
        format!(
            "a request costs {:.2} µs of CPU, an extra instruction {:.3} ns ({:.0} in a µs)",
            self.base_us,
            self.per_instruction_us * 1e3,
            1.0 / self.per_instruction_us
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_follow_from_base_and_probe() {
        let base = vec![Some(20.0), Some(21.0), Some(19.0), None];
        let probe = vec![Some(25.0), Some(26.0), Some(24.0), Some(90.0)];
        let cost = Cost::new(&base, &probe, 10_000).unwrap();
        assert_eq!(cost.instructions(10.0), 4_000);
        assert_eq!(cost.instructions(1.0), 400);
        assert!(cost.told().contains("2000 in a µs"), "{}", cost.told());
        assert!(Cost::new(&probe, &base, 10_000).is_err());
        assert!(Cost::new(&vec![None], &vec![Some(1.0)], 10_000).is_err());
    }
}
