//! What all servers of a cell share: the control and the noise floor of a figure.

use super::{Cell, Choice, ControlMove, Place, Ratio, Side};
use record::figure::Figure;
use stats::{
    Bootstrap, Interval, MIN_REPLICATES, Series, UnpairedRatio, noise_floor, unpaired_ratio,
};

/// One figure of one cell.
pub(super) struct Frame {
    /// The noise floor, as a log-ratio, without the change of the control.
    pub(super) floor: f64,
    /// The control in both runs.
    control: Option<Control>,
}

struct Control {
    base: Series,
    new: Series,
    moved: UnpairedRatio,
    /// Figures may be divided by the control's, because both runs have the same control.
    divides: bool,
}

impl Frame {
    pub(super) fn new(
        base: &Side<'_>,
        new: &Side<'_>,
        cell: &Cell,
        figure: &str,
        choice: &Choice,
        bootstrap: &mut Bootstrap,
    ) -> Self {
        let pairs = |side: &Side<'_>| -> Vec<(Series, Series)> {
            let of = |name| side.series(name, cell, figure);
            side.twins().iter().map(|&(a, b)| (of(a), of(b))).collect()
        };
        let floor = floor(pairs(base), pairs(new), choice, bootstrap);
        let control = (!choice.same_run)
            .then(|| {
                let (base_control, new_control) =
                    (base.control(cell, figure), new.control(cell, figure));
                let moved = unpaired_ratio(&new_control, &base_control, bootstrap)?;
                moved.interval.is_some().then_some(Control {
                    base: base_control,
                    new: new_control,
                    moved,
                    divides: !choice.raw && same_harness(base, new),
                })
            })
            .flatten();
        Self { floor, control }
    }

    /// The values that are compared, whether they were divided by the control's, and the noise floor.
    ///
    /// If the figure is not divided, an unchanged program may change as much as the control did, so the floor
    /// is at least that.
    pub(super) fn values(
        &self,
        figure: &Figure,
        base: Series,
        new: Series,
    ) -> (Series, Series, bool, f64) {
        let Some(control) = &self.control else {
            return (base, new, false, self.floor);
        };
        if figure.by_control && control.divides {
            let divided = (divided(&base, &control.base), divided(&new, &control.new));
            if suffices(&divided.0, &base) && suffices(&divided.1, &new) {
                return (divided.0, divided.1, true, self.floor);
            }
        }
        let moved = match control.moved.interval {
            Some(Interval { low, high }) if low > 0.0 || high < 0.0 => low.abs().max(high.abs()),
            _ => control.moved.median.abs(),
        };
        (base, new, false, self.floor.max(moved))
    }

    /// How much the control changed, for the report.
    pub(super) fn moved(&self, cell: &Cell, figure: &Figure) -> Option<ControlMove> {
        let control = self.control.as_ref()?;
        let interval = control.moved.interval?;
        Some(ControlMove {
            place: Place {
                server: None,
                workload: Some(cell.workload.clone()),
                stage: Some(cell.stage),
                figure: Some(figure.id),
            },
            ratio: Ratio::of_logs(control.moved.median, interval),
            divided: figure.by_control && control.divides,
        })
    }
}

/// The larger of the noise floors of both runs, as a log-ratio.
pub(super) fn floor(
    base: Vec<(Series, Series)>,
    new: Vec<(Series, Series)>,
    choice: &Choice,
    bootstrap: &mut Bootstrap,
) -> f64 {
    let mut of =
        |pairs: &[(Series, Series)]| noise_floor(pairs, choice.minimum_delta, bootstrap).delta;
    of(&base).max(of(&new))
}

/// The control is part of the harness, so it differs between versions of it.
fn same_harness(base: &Side<'_>, new: &Side<'_>) -> bool {
    let version = |side: &Side<'_>| side.court.record.run.harness_version.clone();
    version(base) == version(new)
}

/// Each round's value divided by the control's; skips rounds without a control.
fn divided(series: &Series, control: &Series) -> Series {
    let of = |(round, value): (&u32, &f64)| Some((*round, value / control.get(round)?));
    series.iter().filter_map(of).collect()
}

/// Whether enough rounds remain after dividing: at least three, and half of them.
fn suffices(divided: &Series, whole: &Series) -> bool {
    divided.len() >= MIN_REPLICATES && 2 * divided.len() >= whole.len()
}
