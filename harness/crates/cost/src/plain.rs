//! What the system and the load generator count anyway: context switches, page faults, bytes, energy.

use std::time::{Duration, Instant};

use anyhow::Result;

use super::Counted;
use super::load::Loaded;
use machine::Root;

/// What it counts, apart from energy.
pub(super) const FIGURES: [&str; 3] = [
    "context_switches_per_request",
    "page_faults_per_request",
    "bytes_sent_per_response",
];
/// Energy, where it can be read.
pub(super) const ENERGY: &str = "energy_uj_per_request";
/// How long the idle machine's energy is watched.
const IDLE: Duration = Duration::from_millis(500);
/// Where Linux shows the energy of the processor packages (RAPL).
const POWERCAP: &str = "sys/class/powercap";

/// The counts of a load.
///
/// # Errors
/// If a response is wrong or missing.
pub(super) fn around(loaded: &mut Loaded, requests: u64) -> Result<Counted> {
    let root = Root::host();
    let idle_uj_per_s = energy_uj(&root).and_then(|before| {
        std::thread::sleep(IDLE);
        Some((energy_uj(&root)?.checked_sub(before)?) as f64 / IDLE.as_secs_f64())
    });
    let mut processes = loaded.processes();
    let before = processes.sample();
    let (energy, begin) = (energy_uj(&root), Instant::now());
    let measured = loaded.send(requests)?;
    let used = energy_uj(&root)
        .zip(energy)
        .and_then(|(after, before)| after.checked_sub(before));
    let took = begin.elapsed();
    let after = processes.sample();
    let grown = |of: &dyn Fn(&machine::probe::Sample) -> Option<u64>| {
        Some(of(&after)?.saturating_sub(of(&before)?) as f64)
    };
    let switches = grown(&|sample| Some(sample.voluntary_switches? + sample.involuntary_switches?));
    let faults = grown(&|sample| Some(sample.minor_faults? + sample.major_faults?));
    let energy = used
        .zip(idle_uj_per_s)
        .map(|(used, idle)| used as f64 - idle * took.as_secs_f64());
    let all = FIGURES.into_iter().chain([ENERGY]).zip([
        switches,
        faults,
        Some(measured.bytes_received as f64),
        energy,
    ]);
    Ok(all
        .filter_map(|(name, count)| Some((name.to_owned(), count?)))
        .collect())
}

/// The energy used so far by all processor packages in microjoules; absent if it can't be read.
pub(super) fn energy_uj(root: &Root) -> Option<u64> {
    let packages = root.names(POWERCAP).into_iter().filter(|name| {
        // `intel-rapl:0` is a package; `intel-rapl:0:0` is a part of it.
        name.starts_with("intel-rapl:") && name.matches(':').count() == 1
    });
    let read = |name: String| root.number::<u64>(&format!("{POWERCAP}/{name}/energy_uj"));
    let all: Option<Vec<u64>> = packages.map(read).collect();
    all.filter(|all| !all.is_empty())
        .map(|all| all.iter().sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_energy_of_all_packages_adds_up() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::at(folder.path());
        assert_eq!(energy_uj(&root), None);
        for (name, energy) in [
            ("intel-rapl:0", "100"),
            ("intel-rapl:1", "23"),
            ("intel-rapl:0:0", "7"),
        ] {
            let zone = folder.path().join(POWERCAP).join(name);
            std::fs::create_dir_all(&zone).unwrap();
            std::fs::write(zone.join("energy_uj"), energy).unwrap();
        }
        assert_eq!(energy_uj(&root), Some(123));
        // Without root it can't be read.
        std::fs::write(
            folder.path().join(POWERCAP).join("intel-rapl:1/energy_uj"),
            "",
        )
        .unwrap();
        assert_eq!(energy_uj(&root), None);
    }
}
