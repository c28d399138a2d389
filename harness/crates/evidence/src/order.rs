//! Drift: the order of servers without another load, with a growing load, and run one by one.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use catalog::Stage;
use stats::{Better, Bootstrap, Difference, Scale, Series, differs, median, paired_ratio, ranks};

use crate::Names;
use crate::pool::{Kind, Pool, RankFigure, RoundValues, whole};
use crate::table::{MarkdownTable, NOTHING};

/// The figures whose order is compared.
const COMPARED: [RankFigure; 3] = [
    RankFigure::new(Stage::Peak, Kind::Rate),
    RankFigure::new(Stage::Paced, Kind::Cost),
    RankFigure::new(Stage::Peak, Kind::Cost),
];

/// The runs compared.
pub(crate) struct Runs {
    /// Without another load.
    pub(crate) still: Pool,
    /// Shuffled, with a growing load.
    pub(crate) grown: Pool,
    /// One server after the other, with a growing load; in the order they ran.
    pub(crate) one_by_one: Vec<Pool>,
}

/// A server's figure, its possible ranks, and the interval of its median.
#[derive(Debug, Clone, PartialEq)]
struct Placed {
    name: String,
    median: f64,
    rank: Option<(u32, u32)>,
    values: Series,
}

/// How two servers are told apart.
#[derive(Clone, Copy)]
enum Told {
    /// By their ratio within rounds, as the judge does.
    WithinRounds,
    /// By the intervals of their medians, because they share no round.
    Apart,
}

/// The section of the report.
pub(crate) fn report(runs: &Runs, names: &Names, least: f64) -> Result<String> {
    let servers = names.measured(&runs.still);
    let mut text = String::new();
    writeln!(
        text,
        "Effect of the load: requests/s at peak, the last quarter of rounds relative to the first.\n"
    )?;
    let mut growth = MarkdownTable::new(["server", "without", "with a growing load"]);
    for name in &servers {
        let of = |pool: &Pool| trend(&pool.column(&COMPARED[0], None, name));
        let told = |ratio: f64| format!("{:+.1} %", (ratio - 1.0) * 100.0);
        let shown = |pool: &Pool| of(pool).map_or(NOTHING.to_owned(), told);
        growth.row([format!("`{name}`"), shown(&runs.still), shown(&runs.grown)]);
    }
    writeln!(text, "{growth}")?;
    let mut table = MarkdownTable::new([
        "figure",
        "run",
        "best first: median (rank)",
        "pairs in a different order",
    ]);
    for figure in COMPARED {
        let still = places(&runs.still, &servers, &figure, least);
        if still.is_empty() {
            continue;
        }
        let grown = places(&runs.grown, &servers, &figure, least);
        let fixed = alone(&runs.one_by_one, names, &figure)?;
        for (what, told, found) in [
            ("shuffled, without", Told::WithinRounds, &still),
            ("shuffled, growing load", Told::WithinRounds, &grown),
            ("one by one, growing load", Told::Apart, &fixed),
        ] {
            if !found.is_empty() {
                let swapped = swapped(&still, found, told, least);
                table.row([figure.name(), what.to_owned(), shown(found), swapped]);
            }
        }
    }
    writeln!(text, "{table}")?;
    Ok(text)
}

/// The servers of a shuffled run, best first.
fn places(pool: &Pool, servers: &[String], figure: &RankFigure, least: f64) -> Vec<Placed> {
    let all: Vec<Series> = servers
        .iter()
        .map(|name| whole(&pool.column(figure, None, name)))
        .collect();
    let found = ranks(
        &all,
        figure.better(),
        least,
        &mut Bootstrap::new(crate::SEED),
    );
    let place = |((name, series), rank): ((&String, &Series), Option<stats::RankRange>)| {
        Some(Placed {
            name: name.clone(),
            median: median(&series.values().copied().collect::<Vec<_>>())?,
            rank: rank.map(|rank| (rank.low, rank.high)),
            values: series.clone(),
        })
    };
    let placed = servers.iter().zip(&all).zip(found).filter_map(place);
    sorted(placed.collect(), figure)
}

/// The servers of separate runs. They share no round, so there are no ranks.
fn alone(runs: &[Pool], names: &Names, figure: &RankFigure) -> Result<Vec<Placed>> {
    let mut found = Vec::new();
    for pool in runs {
        let [name] = &names.measured(pool)[..] else {
            bail!(
                "a one-by-one run must have one server, but this has {}",
                pool.names.join(", ")
            );
        };
        let values = whole(&pool.column(figure, None, name));
        let of_all: Vec<f64> = values.values().copied().collect();
        found.extend(median(&of_all).map(|median| Placed {
            name: name.clone(),
            median,
            rank: None,
            values,
        }));
    }
    Ok(sorted(found, figure))
}

fn sorted(mut places: Vec<Placed>, figure: &RankFigure) -> Vec<Placed> {
    places.sort_by(|a, b| match figure.better() {
        Better::Higher => b.median.total_cmp(&a.median),
        Better::Lower => a.median.total_cmp(&b.median),
    });
    places
}

/// The pairs in a different order than in `still`, and how many of them this run tells apart; those are wrong
/// results, the others are ties.
fn swapped(still: &[Placed], found: &[Placed], told: Told, least: f64) -> String {
    let before = |name: &str| still.iter().position(|place| place.name == name);
    let (mut all, mut sure) = (0, 0);
    for (index, better) in found.iter().enumerate() {
        for worse in &found[index + 1..] {
            if before(&better.name) > before(&worse.name) {
                all += 1;
                sure += usize::from(told.surely(better, worse, least));
            }
        }
    }
    match (all, sure) {
        (0, _) => "none".to_owned(),
        (_, 0) => format!("{all}, which tie"),
        _ => format!("{all}, **{sure} told apart**"),
    }
}

impl Told {
    fn surely(self, a: &Placed, b: &Placed, least: f64) -> bool {
        let mut bootstrap = Bootstrap::new(crate::SEED);
        match self {
            Self::WithinRounds => {
                let ratio = paired_ratio(&a.values, &b.values, &mut bootstrap);
                differs(ratio.and_then(|ratio| ratio.interval), least) != Difference::Tie
            }
            Self::Apart => {
                let mut interval = |place: &Placed| {
                    let values: Vec<f64> = place.values.values().copied().collect();
                    bootstrap.median_interval(&values, Scale::Log)
                };
                let both = interval(a).zip(interval(b));
                both.is_some_and(|(a, b)| a.low > b.high || b.low > a.high)
            }
        }
    }
}

fn shown(places: &[Placed]) -> String {
    let digits = |median: f64| match median {
        ..1_000.0 => format!("{median:.1}"),
        _ => format!("{median:.0}"),
    };
    let one = |place: &Placed| {
        let rank = match place.rank {
            Some((low, high)) if low == high => format!(" ({low})"),
            Some((low, high)) => format!(" ({low}–{high})"),
            None => String::new(),
        };
        format!("`{}` {}{rank}", place.name, digits(place.median))
    };
    places.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// The median of the last quarter over that of the first.
fn trend(column: &RoundValues) -> Option<f64> {
    let quarter = column.len().div_ceil(4);
    let middle = |part: &[Option<f64>]| median(&part.iter().copied().flatten().collect::<Vec<_>>());
    Some(middle(&column[column.len() - quarter..])? / middle(&column[..quarter])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trend_compares_the_quarters() {
        let column: RoundValues = [100.0, 102.0, 50.0, 70.0, 60.0, 1.0, 81.0, 79.0]
            .map(Some)
            .into();
        assert!((trend(&column).unwrap() - 80.0 / 101.0).abs() < 1e-12);
        assert_eq!(trend(&vec![None; 8]), None);
    }

    fn place(name: &str, level: f64) -> Placed {
        let noise = |round: u32| 1.0 + 0.01 * f64::from(round * 7 % 5);
        let values: Series = (1..=10)
            .map(|round| (round, level * noise(round)))
            .collect();
        let all: Vec<f64> = values.values().copied().collect();
        Placed {
            name: name.to_owned(),
            median: median(&all).unwrap(),
            rank: None,
            values,
        }
    }

    #[test]
    fn the_best_stands_first() {
        let names = |figure| {
            let places = sorted(vec![place("a", 10.0), place("b", 20.0)], figure);
            places
                .into_iter()
                .map(|place| place.name)
                .collect::<Vec<_>>()
        };
        assert_eq!(names(&COMPARED[0]), ["b", "a"]);
        assert_eq!(names(&COMPARED[1]), ["a", "b"]);
    }

    #[test]
    fn a_swap_of_what_is_told_apart_is_a_wrong_result() {
        let places = |levels: [f64; 3]| {
            let named = ["a", "b", "c"].iter().zip(levels);
            let places = named.map(|(name, level)| place(name, level));
            sorted(places.collect(), &COMPARED[1])
        };
        let still = places([10.0, 20.0, 30.0]);
        for told in [Told::WithinRounds, Told::Apart] {
            let swapped = |levels| swapped(&still, &places(levels), told, 0.01);
            assert_eq!(swapped([1.0, 2.0, 3.0]), "none");
            assert_eq!(swapped([10.0, 20.1, 20.0]), "1, which tie");
            assert_eq!(swapped([30.0, 20.0, 10.0]), "3, **3 told apart**");
            assert_eq!(swapped([25.0, 20.0, 30.0]), "1, **1 told apart**");
        }
    }
}
