//! `--rate`: paced rates given on the command line.

use std::collections::BTreeMap;

use anyhow::Result;

use crate::flags::Usage;

/// Parses `RATE` for all workloads and `WORKLOAD=RATE` for one, which takes precedence.
pub(super) fn parse_rates(flags: &[String], workloads: &[&str]) -> Result<BTreeMap<String, f64>> {
    let mut rates = BTreeMap::new();
    for flag in flags.iter().filter(|flag| !flag.contains('=')) {
        let rate = parse_rate(flag)?;
        rates.extend(
            workloads
                .iter()
                .map(|workload| ((*workload).to_owned(), rate)),
        );
    }
    for flag in flags {
        if let Some((workload, rate)) = flag.split_once('=') {
            if !workloads.contains(&workload) {
                refuse!(
                    "{}",
                    catalog::names::unknown("workload", workload, workloads)
                );
            }
            rates.insert(workload.to_owned(), parse_rate(rate)?);
        }
    }
    Ok(rates)
}

fn parse_rate(text: &str) -> Result<f64> {
    text.parse()
        .ok()
        .filter(|rate: &f64| *rate >= 1.0 && *rate <= 10_000_000.0)
        .ok_or_else(|| {
            Usage(format!(
                "--rate {text}: expected requests per second, from 1 to 10000000"
            ))
            .into()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(flags: &[&str]) -> Result<BTreeMap<String, f64>> {
        let flags: Vec<String> = flags.iter().map(ToString::to_string).collect();
        parse_rates(&flags, &["ping", "users"])
    }

    #[test]
    fn one_rate_serves_all_workloads_and_a_named_one_wins() {
        let rates = rates(&["users=8000", "20000"]).unwrap();
        assert_eq!(rates["ping"], 20_000.0);
        assert_eq!(rates["users"], 8_000.0);
    }

    #[test]
    fn wrong_rates_are_refused() {
        for wrong in ["fast", "0", "-1", "nan", "user=5", "ping="] {
            let error = rates(&[wrong]).unwrap_err();
            assert!(error.downcast_ref::<Usage>().is_some(), "{wrong}");
        }
    }
}
