//! Drift: the order of servers without another load, with one that grows, and run one by one.

use std::fmt::Write as _;

use anyhow::{Result, bail};
use harness::catalog::Stage;
use harness::stats::{Better, Bootstrap, Series, median, ranks};

use crate::Names;
use crate::pool::{Column, Figure, Kind, Pool, whole};
use crate::table::{NOTHING, Table};

/// The figures whose order is compared.
const COMPARED: [Figure; 3] = [
    Figure {
        stage: Stage::Peak,
        kind: Kind::Rate,
    },
    Figure {
        stage: Stage::Paced,
        kind: Kind::Cost,
    },
    Figure {
        stage: Stage::Peak,
        kind: Kind::Cost,
    },
];

/// The runs compared.
pub(crate) struct Runs {
    /// Without another load.
    pub(crate) still: Pool,
    /// Shuffled, with a load that grows.
    pub(crate) grown: Pool,
    /// One server after the other, under a load that grows; in the order they ran.
    pub(crate) one_by_one: Vec<Pool>,
}

/// A server's median and the ranks it may hold.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    name: String,
    median: f64,
    rank: Option<(u32, u32)>,
}

/// The section of the report.
pub(crate) fn report(runs: &Runs, names: &Names, least: f64) -> Result<String> {
    let servers = names.measured(&runs.still);
    let mut text = String::new();
    writeln!(
        text,
        "What the load did: requests/s at peak, the last quarter of rounds against the first.\n"
    )?;
    let mut growth = Table::new(["server", "without", "with a load that grows"]);
    for name in &servers {
        let of = |pool: &Pool| trend(&pool.column(&COMPARED[0], None, name));
        let shown = |found: Option<f64>| {
            found.map_or(NOTHING.to_owned(), |r| {
                format!("{:+.1} %", (r - 1.0) * 100.0)
            })
        };
        growth.row([
            format!("`{name}`"),
            shown(of(&runs.still)),
            shown(of(&runs.grown)),
        ]);
    }
    writeln!(text, "{growth}")?;
    let mut table = Table::new([
        "figure",
        "run",
        "best first: median (rank)",
        "as without the load",
    ]);
    for figure in COMPARED {
        let still = places(&runs.still, &servers, &figure, least);
        if still.is_empty() {
            continue;
        }
        let grown = places(&runs.grown, &servers, &figure, least);
        let fixed = alone(&runs.one_by_one, names, &figure)?;
        for (what, found) in [
            ("shuffled, without", &still),
            ("shuffled, load grows", &grown),
            ("one by one, load grows", &fixed),
        ] {
            if !found.is_empty() {
                let same = order(found) == order(&still);
                let same = if same {
                    "same order"
                } else {
                    "**another order**"
                };
                table.row([
                    figure.name(),
                    what.to_owned(),
                    shown(found),
                    same.to_owned(),
                ]);
            }
        }
    }
    writeln!(text, "{table}")?;
    Ok(text)
}

/// The servers of a shuffled run, best first.
fn places(pool: &Pool, servers: &[String], figure: &Figure, least: f64) -> Vec<Place> {
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
    let place =
        |((name, series), rank): ((&String, &Series), Option<harness::stats::RankRange>)| {
            Some(Place {
                name: name.clone(),
                median: median(&series.values().copied().collect::<Vec<_>>())?,
                rank: rank.map(|rank| (rank.low, rank.high)),
            })
        };
    sorted(
        servers
            .iter()
            .zip(&all)
            .zip(found)
            .filter_map(place)
            .collect(),
        figure,
    )
}

/// The servers of runs of their own. They share no round, so there are no ranks.
fn alone(runs: &[Pool], names: &Names, figure: &Figure) -> Result<Vec<Place>> {
    let mut found = Vec::new();
    for pool in runs {
        let [name] = &names.measured(pool)[..] else {
            bail!(
                "a run of the one-by-one kind has one server, and this has {}",
                pool.names.join(", ")
            );
        };
        let values: Vec<f64> = whole(&pool.column(figure, None, name))
            .into_values()
            .collect();
        found.extend(median(&values).map(|median| Place {
            name: name.clone(),
            median,
            rank: None,
        }));
    }
    Ok(sorted(found, figure))
}

fn sorted(mut places: Vec<Place>, figure: &Figure) -> Vec<Place> {
    places.sort_by(|a, b| match figure.better() {
        Better::Higher => b.median.total_cmp(&a.median),
        Better::Lower => a.median.total_cmp(&b.median),
    });
    places
}

fn order(places: &[Place]) -> Vec<&str> {
    places.iter().map(|place| place.name.as_str()).collect()
}

fn shown(places: &[Place]) -> String {
    let digits = |median: f64| {
        if median < 1_000.0 {
            format!("{median:.1}")
        } else {
            format!("{median:.0}")
        }
    };
    let one = |place: &Place| {
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
fn trend(column: &Column) -> Option<f64> {
    let quarter = column.len().div_ceil(4);
    let middle = |part: &[Option<f64>]| median(&part.iter().copied().flatten().collect::<Vec<_>>());
    Some(middle(&column[column.len() - quarter..])? / middle(&column[..quarter])?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trend_compares_the_quarters() {
        let column: Column = [100.0, 102.0, 50.0, 70.0, 60.0, 1.0, 81.0, 79.0]
            .map(Some)
            .into();
        assert!((trend(&column).unwrap() - 80.0 / 101.0).abs() < 1e-12);
        assert_eq!(trend(&vec![None; 8]), None);
    }

    #[test]
    fn the_best_stands_first() {
        let place = |name: &str, median| Place {
            name: name.to_owned(),
            median,
            rank: None,
        };
        let both = vec![place("a", 10.0), place("b", 20.0)];
        assert_eq!(order(&sorted(both.clone(), &COMPARED[0])), ["b", "a"]);
        assert_eq!(order(&sorted(both, &COMPARED[1])), ["a", "b"]);
    }
}
