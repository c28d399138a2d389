//! How late our load generator sends at fixed rates, on one thread.

use std::time::Duration;

use anyhow::Result;

use super::tool::{Load, Tool, Until};
use super::{BESIDE, Options, Session};
use record::SendLag;
use runner::Built;

/// Number of connections: enough that they are never all busy at the usual rates.
const CONNECTIONS: u32 = 64;
/// How often each rate is measured, to rule out chance.
const ROUNDS: u32 = 3;

fn steps(options: &Options) -> impl Iterator<Item = (u32, f64, &Tool)> {
    let ours = options.tools.iter().filter(|tool| tool.record.ours);
    let rates = options.send_lag_rates.iter();
    (1..=ROUNDS).flat_map(move |round| {
        let (rates, ours) = (rates.clone(), ours.clone());
        rates.flat_map(move |&rate| ours.clone().map(move |tool| (round, rate, tool)))
    })
}

/// How long it takes.
pub(super) fn expected(options: &Options) -> Duration {
    (options.duration + BESIDE) * steps(options).count() as u32
}

impl Session<'_> {
    /// Measures every rate with every I/O backend.
    pub(super) fn send_lags(&mut self, built: &Built) -> Result<()> {
        let options = self.options;
        if options.send_lag_rates.is_empty() {
            return Ok(());
        }
        let name = built.server.name.clone();
        let Some(running) = self.boot(built)? else {
            return Ok(());
        };
        for (round, rate, tool) in steps(options) {
            let load = Load {
                rate_per_s: Some(rate),
                ..self.load(&running, CONNECTIONS, Until::Time(options.duration))
            };
            let what = format!("send lag of {} at {rate}/s", tool.record.name);
            let (reading, failure, output) = self.run_tool(tool, &load, what)?.both();
            self.record.send_lags.push(SendLag {
                server: name.clone(),
                tool: tool.record.name.clone(),
                round,
                connections: CONNECTIONS,
                rate_per_s: rate,
                reading,
                failure,
                output,
            });
            self.spend(options.duration + BESIDE);
        }
        self.observer.keep(self.record)
    }
}
