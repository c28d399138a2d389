//! Notes on the comparison of two runs.

use std::collections::BTreeMap;

use super::{Choice, Side};
use crate::is_control;
use record::{Ended, Record, Verdict};

/// Differences between the runs, and problems of either; one sentence each.
pub(super) fn between(base: &Side<'_>, new: &Side<'_>, choice: &Choice) -> Vec<String> {
    if choice.same_run {
        return of_one("the run", base, choice);
    }
    let mut notes = of_one(&base.called, base, choice);
    notes.extend(of_one(&new.called, new, choice));
    notes.extend(lengths(base, new));
    notes.extend(tools(base.court.record, new.court.record));
    notes.extend(workloads(base.court.record, new.court.record, choice));
    notes.extend(same_binaries(base, new));
    notes
}

/// Problems of one run.
fn of_one(called: &str, side: &Side<'_>, choice: &Choice) -> Vec<String> {
    let chosen =
        |workload: &String| choice.workloads.is_empty() || choice.workloads.contains(workload);
    let mut notes = Vec::new();
    notes.extend(match side.court.record.run.ended {
        Ended::Complete => None,
        Ended::Open => Some(format!("{called}: still running, or killed")),
        Ended::Interrupted => Some(format!("{called}: interrupted")),
    });
    for workload in side.court.workloads().iter().filter(|w| chosen(w)) {
        // Reasons to withhold its ranks.
        let noise = side.noise(workload).into_iter();
        notes.extend(noise.map(|why| format!("{called}, {workload}: {why}")));
    }
    let marked = side
        .judged
        .iter()
        .map(|judged| &judged.row)
        .filter(|row| row.verdict == Verdict::Marked && !is_control(&row.server))
        .filter(|row| chosen(&row.workload) && choice.stages.contains(&row.stage))
        .count();
    if marked > 0 {
        let are = if marked == 1 { "row is" } else { "rows are" };
        notes.push(format!(
            "{called}: {marked} {are} marked; see `harness report` for the reasons"
        ));
    }
    notes
}

fn lengths(base: &Side<'_>, new: &Side<'_>) -> Option<String> {
    let told = |side: &Side<'_>| {
        let run = &side.court.record.run;
        let seconds = |ms: u64| ms as f64 / 1e3;
        format!(
            "{} s peak and {} s paced after {} s of warm-up in {}",
            seconds(run.peak_ms),
            seconds(run.paced_ms),
            seconds(run.warmup_ms),
            side.called
        )
    };
    let lengths = |side: &Side<'_>| {
        let run = &side.court.record.run;
        (run.peak_ms, run.paced_ms, run.warmup_ms)
    };
    (lengths(base) != lengths(new)).then(|| {
        format!(
            "the stages have different lengths: {}, {}",
            told(base),
            told(new)
        )
    })
}

fn tools(base: &Record, new: &Record) -> Vec<String> {
    let differ = |what: &str, base: &str, new: &str| {
        (base != new).then(|| format!("{what} differs: {base} in base, {new} in new"))
    };
    let harness = differ(
        "the harness (and its control)",
        &base.run.harness_version,
        &new.run.harness_version,
    );
    let compiler = differ(
        "the compiler",
        &base.environment.rustc,
        &new.environment.rustc,
    );
    let control = |record: &Record| Some(record.environment.control()?.found.clone());
    let control = control(base).zip(control(new));
    let control = control.and_then(|(base, new)| differ("the control", &base, &new));
    harness.into_iter().chain(compiler).chain(control).collect()
}

/// A workload with another description is another workload.
fn workloads(base: &Record, new: &Record, choice: &Choice) -> Vec<String> {
    let wanted = |name: &&String| choice.workloads.is_empty() || choice.workloads.contains(name);
    let differs = |name: &&String| {
        let about = new.run.workloads.get(*name);
        about.is_some() && about != base.run.workloads.get(*name)
    };
    let names = base.run.workloads.keys().filter(wanted).filter(differs);
    names
        .map(|name| format!("the description of workload {name} differs: it may have changed"))
        .collect()
}

/// Pairs that were built with different flags, which may explain their changes.
pub(super) fn other_flags(
    base: &Side<'_>,
    new: &Side<'_>,
    pairs: &[(String, String)],
) -> Vec<String> {
    let flags = |side: &Side<'_>, name: &str| {
        let server = side.entry(name).and_then(|entry| entry.server);
        server.and_then(|server| server.build.as_ref()?.flags_line())
    };
    let mut names = BTreeMap::<_, Vec<&str>>::new();
    for (base_name, new_name) in pairs {
        let both = (flags(base, base_name), flags(new, new_name));
        if both.0 != both.1 {
            names.entry(both).or_default().push(new_name);
        }
    }
    let shown = |flags: Option<String>| flags.unwrap_or_else(|| "not recorded".to_owned());
    let note = |((base, new), names): (_, Vec<&str>)| {
        format!(
            "built with different flags: {} (base: {}; new: {})",
            names.join(", "),
            shown(base),
            shown(new)
        )
    };
    names.into_iter().map(note).collect()
}

/// Unchanged programs: their changes are noise or caused by the machine.
fn same_binaries(base: &Side<'_>, new: &Side<'_>) -> Option<String> {
    let built = |side: &Side<'_>, name: &str| {
        let build = side.entry(name)?.server?.build.as_ref()?;
        build.sha256.clone()
    };
    let same = |name: &&str| {
        let of_base = built(base, name);
        of_base.is_some() && of_base == built(new, name)
    };
    let names: Vec<&str> = base
        .names()
        .filter(|name| !name.contains('~'))
        .filter(same)
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "same binary in both: {}; any change there is noise or caused by the machine",
            names.join(", ")
        )
    })
}
