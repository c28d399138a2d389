//! What changed while a run went on.

use super::findings::{self, finding};
use super::meter::{StealMeter, Stolen};
use super::{Layout, Root, Topology, machine};
use crate::record::{Finding, Level};

/// A look at the machine before a run, to be compared with one after it.
#[derive(Debug, Clone)]
pub struct Recheck {
    root: Root,
    cpus: Vec<u32>,
    online: Vec<u32>,
    before: Settings,
    meter: StealMeter,
}

/// What must not change.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Settings {
    governor: Option<String>,
    turbo: Option<bool>,
    clock_source: Option<String>,
    throttled: Option<u64>,
    online: Vec<u32>,
}

impl Recheck {
    /// Looks for the first time.
    #[must_use]
    pub fn start(root: &Root, topology: &Topology, layout: &Layout) -> Self {
        let cpus = layout.both();
        Self {
            before: Settings::read(root, &cpus, topology.online.clone()),
            meter: StealMeter::start(root, &cpus, &topology.online),
            root: root.clone(),
            online: topology.online.clone(),
            cpus,
        }
    }

    /// CPU time lost to the host and to other processes since the start.
    #[must_use]
    pub fn stolen(&self) -> Stolen {
        self.meter.stop()
    }

    /// Looks again. Gives what was taken from us during the run (`steal-during`,
    /// `load-during`, each where it is known), and one warning for every setting that is
    /// no longer what it was (`governor-changed` and so on; none when all is as before).
    #[must_use]
    pub fn finish(&self) -> Vec<Finding> {
        let online = Topology::read(&self.root)
            .map_or_else(|_| self.online.clone(), |topology| topology.online);
        let after = Settings::read(&self.root, &self.cpus, online);
        let stolen = self.stolen();
        let mut found = Vec::new();
        found.extend(stolen.steal.map(findings::steal_during));
        found.extend(stolen.other.map(findings::other_load));
        found.extend(self.before.changes(&after));
        found
    }
}

impl Settings {
    fn read(root: &Root, cpus: &[u32], online: Vec<u32>) -> Self {
        Self {
            governor: machine::governor(root, cpus),
            turbo: findings::turbo_on(root),
            clock_source: machine::clock_source(root),
            throttled: findings::throttle_count(root, cpus),
            online,
        }
    }

    fn changes(&self, after: &Self) -> Vec<Finding> {
        let word = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        let turbo = |on: Option<bool>| match on {
            Some(true) => "on",
            Some(false) => "off",
            None => "unknown",
        };
        let why = "trials before and after the change cannot be compared";
        let mut found = Vec::new();
        let mut differ = |id: &str, before: String, after: String| {
            if before != after {
                let text = format!("was {before}, is {after}");
                found.push(finding(
                    id,
                    Level::Warn,
                    text,
                    why,
                    Some("keep the machine as it is and run again"),
                ));
            }
        };
        differ(
            "governor-changed",
            word(&self.governor),
            word(&after.governor),
        );
        differ(
            "turbo-changed",
            turbo(self.turbo).to_owned(),
            turbo(after.turbo).to_owned(),
        );
        differ(
            "clock-source-changed",
            word(&self.clock_source),
            word(&after.clock_source),
        );
        let list = super::cpu_list::format;
        differ("cpus-changed", list(&self.online), list(&after.online));
        if let (Some(before), Some(after)) = (self.throttled, after.throttled)
            && after > before
        {
            let text = format!("throttled {} times during the run", after - before);
            let fix = "improve the cooling, or sudo scripts/tune-host --no-turbo";
            found.push(finding("thermal-during", Level::Warn, text, why, Some(fix)));
        }
        found
    }
}
