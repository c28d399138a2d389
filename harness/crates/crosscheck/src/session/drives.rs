//! The rounds: every tool against every server at every number of connections.

use std::time::Duration;

use anyhow::{Context as _, Result};

use super::tool::{Load, Tool, Until};
use super::{BESIDE, Options, Session, order};
use record::Drive;
use runner::{Built, Running};

/// How long the rounds take.
pub(super) fn expected(options: &Options) -> Duration {
    let each = options.servers.len() * options.connections.len() * tools(options).count();
    (options.duration + BESIDE) * each as u32 * options.rounds
}

/// Tools that can create the requested load.
fn tools(options: &Options) -> impl Iterator<Item = &Tool> {
    let paced = options.rate_per_s.is_some();
    let tools = options.tools.iter();
    tools.filter(move |tool| !paced || tool.can_be_paced())
}

impl Session<'_> {
    /// Runs the drives; each round has a fresh process of each server.
    pub(super) fn drives(&mut self, built: &[Built]) -> Result<()> {
        let tools: Vec<Tool> = tools(self.options).cloned().collect();
        let connections = &self.options.connections;
        for round in 1..=self.options.rounds {
            let sizes = (built.len(), connections.len(), tools.len());
            for (server, turns) in order::round(self.options.seed, round, sizes) {
                let built = &built[server];
                if self.has_failed(&built.server.name) {
                    continue;
                }
                let Some(mut running) = self.boot(built)? else {
                    continue;
                };
                for (count, tool) in turns {
                    let what = (round, built.server.name.as_str(), connections[count]);
                    self.drive(&tools[tool], what, &mut running)?;
                    self.spend(self.options.duration + BESIDE);
                }
                let _ = self.unless_failed(&built.server.name, running.kill());
            }
            self.observer.keep(self.record)?;
        }
        Ok(())
    }

    fn has_failed(&self, name: &str) -> bool {
        let mut servers = self.record.servers.iter();
        servers.any(|server| server.name == name && server.failure.is_some())
    }

    fn drive(
        &mut self,
        tool: &Tool,
        (round, server, connections): (u32, &str, u32),
        running: &mut Running,
    ) -> Result<()> {
        let load = Load {
            rate_per_s: self.options.rate_per_s,
            ..self.load(running, connections, Until::Time(self.options.duration))
        };
        let name = &tool.record.name;
        let what = format!("round {round}: {name} on {server}, {connections} connections");
        let said = self.run_tool(tool, &load, what)?;
        let position = u32::try_from(self.record.drives.len()).context("too many drives")?;
        let command = said.command.iter().enumerate().map(|(place, word)| {
            // A program's path says nothing about it.
            let file = std::path::Path::new(word)
                .file_name()
                .filter(|_| place == 0);
            file.map_or_else(|| word.clone(), |file| file.to_string_lossy().into_owned())
        });
        let command = command.collect();
        let (started_unix_ns, process) = (said.ran.started_unix_ns, said.ran.cost);
        let accepted_connections = said.ran.accepted;
        let (reading, mut failure, output) = said.both();
        if let Some(how) = running.ended() {
            failure = Some(format!("the server ended {how}"));
        }
        self.record.drives.push(Drive {
            round,
            position,
            server: server.to_owned(),
            tool: name.clone(),
            connections,
            started_unix_ns,
            process,
            accepted_connections,
            reading: reading.filter(|_| failure.is_none()),
            failure,
            command,
            output,
        });
        Ok(())
    }
}
