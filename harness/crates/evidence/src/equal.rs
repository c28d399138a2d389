//! A/A: does a program that is entered twice tie with itself?

use std::fmt::Write as _;

use anyhow::Result;

use crate::Names;
use crate::draw::{blocks, draws, on_all_cpus};
use crate::length::{Short, shorts};
use crate::pool::{FIGURES, Pool, RankFigure, RoundValues, whole};
use crate::rule::{Rule, Share};
use crate::table::{MarkdownTable, tenths};
use crate::trial::Columns;

/// The result for one figure at the length of one profile.
struct TieShares {
    delta: Option<f64>,
    drawn: Share,
    swapped: Share,
    blocks: Share,
}

/// The section of the report.
pub(crate) fn report(pool: &Pool, names: &Names, count: usize, rule: &Rule) -> Result<String> {
    pool.need(&names.base)?;
    pool.need(&names.twin)?;
    let mut text = format!(
        "`{}` and `{}` are the same program. Each drawn run is judged like any run: they tie \
         unless the 95 % interval of their log-ratio lies entirely outside ±δ. {} A drawn run \
         includes any chance difference of the long run; randomly swapping the names in each round \
         removes it and tests only the rule. Consecutive blocks share no round, so they are \
         independent runs.\n\n",
        names.base,
        names.twin,
        match names.control(pool) {
            Some((first, second)) =>
                format!("δ is from `{first}` and `{second}` in the same rounds."),
            None => "No control ran, so δ is its minimum.".to_owned(),
        }
    );
    let mut table = MarkdownTable::new([
        "figure",
        "their ratio over all rounds",
        "runs of",
        "usual δ",
        "ties, drawn runs",
        "ties, drawn, names swapped randomly",
        "ties, consecutive blocks",
    ]);
    let jobs = jobs(pool)?;
    let lines = on_all_cpus(
        &jobs,
        || rule.clone(),
        |rule, (figure, short)| line(pool, names, figure, short, count, rule),
    );
    for ((figure, short), line) in jobs.iter().zip(lines) {
        let column = |name: &str| whole(&pool.column(figure, None, name));
        let effect = rule
            .clone()
            .effect(&column(&names.twin), &column(&names.base));
        let Some(effect) = effect else { continue };
        let start = [figure.name(), effect.to_string(), short.name.clone()];
        table.row(start.into_iter().chain(cells(&line)));
    }
    writeln!(text, "{table}")?;
    Ok(text)
}

fn cells(line: &TieShares) -> [String; 4] {
    let delta = tenths(line.delta.map(f64::exp_m1));
    let [drawn, swapped, blocks] =
        [line.drawn, line.swapped, line.blocks].map(|share| share.to_string());
    [delta, drawn, swapped, blocks]
}

fn jobs(pool: &Pool) -> Result<Vec<(RankFigure, Short)>> {
    let mut jobs = Vec::new();
    for figure in FIGURES {
        let shorts = shorts(pool, &figure)?.into_iter();
        jobs.extend(shorts.map(|short| (figure, short)));
    }
    Ok(jobs)
}

fn line(
    pool: &Pool,
    names: &Names,
    figure: &RankFigure,
    short: &Short,
    count: usize,
    rule: &mut Rule,
) -> TieShares {
    let (rounds, cut) = (short.rounds, short.cut);
    let control = names.control(pool);
    let columns = Columns::new(pool, figure, cut, &names.base, control.as_ref());
    let twin = pool.column(figure, cut, &names.twin);
    let drawn = draws(pool.rounds, rounds, count, crate::SEED);
    let ties = |columns: &Columns, twin: &RoundValues, runs: &[Vec<usize>], rule: &mut Rule| {
        columns.tally(std::slice::from_ref(twin), runs, rule)[0].ties
    };
    let (either, other) = columns.swapped(&twin);
    let twice = draws(2 * pool.rounds, rounds, count, crate::SEED);
    TieShares {
        delta: columns.usual_delta(&drawn[..drawn.len().min(100)], rule),
        drawn: ties(&columns, &twin, &drawn, rule),
        swapped: ties(&either, &other, &twice, rule),
        blocks: ties(&columns, &twin, &blocks(pool.rounds, rounds), rule),
    }
}
