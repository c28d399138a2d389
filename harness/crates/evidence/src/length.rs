//! The length of a profile's trials, and cutting a long run's trials to it.

use std::time::Duration;

use anyhow::{Result, anyhow};
use catalog::plan::trial_time;
use catalog::{Profile, Stage};

use crate::pool::{Pool, RankFigure};

/// Trials that differ by less than this count as equally long.
const SAME: Duration = Duration::from_millis(50);

/// The profiles whose runs are drawn.
pub(crate) fn profiles() -> Result<[&'static Profile; 2]> {
    let find = |name| Profile::find(name).map_err(|error| anyhow!(error));
    Ok([find("quick")?, find("standard")?])
}

/// How to draw a run of a profile from a long run.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Short {
    /// The profile's name, and a description of the draw.
    pub(crate) name: String,
    pub(crate) rounds: usize,
    /// Trials are cut to this; absent if they are used whole.
    pub(crate) cut: Option<Duration>,
    length: Duration,
}

impl Short {
    fn of(profile: &Profile, held: Duration, figure: &RankFigure) -> Option<Self> {
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

/// The profiles whose runs can be drawn. Trials shorter than a profile's are used whole; if two profiles give
/// the same draw, only the first is used.
pub(crate) fn shorts(pool: &Pool, figure: &RankFigure) -> Result<Vec<Short>> {
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

/// The time of `rounds` trials of one server in one stage, measured for `measured` each.
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
