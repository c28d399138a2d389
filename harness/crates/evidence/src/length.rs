//! How long a profile measures, and how a long run's trials are cut to that.

use std::time::Duration;

use anyhow::{Result, anyhow};
use catalog::plan::trial_time;
use catalog::{Profile, Stage};

use crate::pool::{Figure, Pool};

/// Trials that differ by less than this are of one length.
const SAME: Duration = Duration::from_millis(50);

/// The profiles whose runs are drawn.
pub(crate) fn profiles() -> Result<[&'static Profile; 2]> {
    let find = |name| Profile::find(name).map_err(|error| anyhow!(error));
    Ok([find("quick")?, find("standard")?])
}

/// What is drawn from a long run to stand for a run of a profile.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Short {
    /// The profile's name, and what is drawn for it.
    pub(crate) name: String,
    pub(crate) rounds: usize,
    /// Trials are cut to this; absent where they are taken whole.
    pub(crate) cut: Option<Duration>,
    length: Duration,
}

impl Short {
    fn of(profile: &Profile, held: Duration, figure: &Figure) -> Option<Self> {
        let wanted = profile.measured(figure.stage);
        let cut = (wanted + SAME < held).then_some(wanted);
        let length = cut.unwrap_or(held);
        let rounds = profile.rounds as usize;
        (cut.is_none() || figure.can_be_cut()).then(|| Self {
            name: format!("{}, {rounds} × {:.1} s", profile.name, length.as_secs_f64()),
            rounds,
            cut,
            length,
        })
    }
}

/// The runs of the profiles that can be drawn. Trials that are shorter than a profile's stand
/// for it as they are; what is the same for two profiles is drawn for the first alone.
pub(crate) fn shorts(pool: &Pool, figure: &Figure) -> Result<Vec<Short>> {
    let held = pool.length(figure.stage);
    let mut found = Vec::<Short>::new();
    for profile in profiles()? {
        let Some(short) = Short::of(profile, held, figure) else {
            continue;
        };
        let same = |known: &Short| (known.rounds, known.length) == (short.rounds, short.length);
        if !found.iter().any(same) {
            found.push(short);
        }
    }
    Ok(found)
}

/// What `rounds` trials of one server in one stage take, measured for `measured` each.
pub(crate) fn time(rounds: usize, stage: Stage, measured: Duration, profile: &Profile) -> Duration {
    let profile = Profile {
        peak: measured,
        paced: measured,
        ..profile.clone()
    };
    trial_time(&profile, stage, true) * rounds as u32
}

#[cfg(test)]
mod tests {
    use catalog::PROFILES;

    use super::*;
    use crate::pool::FIGURES;

    fn short(ms: [u64; 2]) -> Option<Option<u64>> {
        let [wanted, held] = ms.map(Duration::from_millis);
        let profile = Profile {
            peak: wanted,
            ..PROFILES[0].clone()
        };
        let short = Short::of(&profile, held, &FIGURES[0])?;
        assert_eq!(short.length, wanted.min(held));
        Some(short.cut.map(|cut| cut.as_millis() as u64))
    }

    #[test]
    fn longer_trials_are_cut_and_others_taken_whole() {
        assert_eq!(short([500, 1_000]), Some(Some(500)));
        assert_eq!(short([500, 500]), Some(None));
        assert_eq!(short([500, 300]), Some(None));
    }

    #[test]
    fn what_is_read_at_the_ends_alone_can_not_be_cut() {
        let user = FIGURES.iter().find(|figure| !figure.can_be_cut()).unwrap();
        let held = |by: u32| PROFILES[0].measured(user.stage) * by;
        assert_eq!(Short::of(&PROFILES[0], held(3), user), None);
        assert!(Short::of(&PROFILES[0], held(1), user).is_some());
    }

    #[test]
    fn more_rounds_take_longer_by_whole_trials() {
        let time = |rounds| {
            time(
                rounds,
                Stage::Peak,
                Duration::from_millis(300),
                &PROFILES[1],
            )
        };
        assert_eq!(time(6), time(2) * 3);
        assert!(time(1) > Duration::from_millis(300) + PROFILES[1].warmup);
    }
}
