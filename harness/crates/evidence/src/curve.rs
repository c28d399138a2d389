//! The power curve: how often a known extra cost is found, and what finds it soonest.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Result;
use catalog::Profile;

use crate::Names;
use crate::draw::{blocks, draws, on_all_cpus};
use crate::length::{self, Short};
use crate::pool::{FIGURES, Pool, RankFigure, combined, whole};
use crate::rule::Rule;
use crate::table::{MarkdownTable, NOTHING, percent};
use crate::trial::{Columns, Tally};

/// The numbers of rounds in the curve.
const ROUNDS: [usize; 9] = [3, 5, 8, 10, 15, 20, 30, 40, 60];
/// More rounds, for small differences.
const MORE_ROUNDS: [usize; 4] = [80, 100, 150, 200];
/// Lengths of a trial, milliseconds.
const LENGTHS_MS: [u64; 5] = [200, 300, 500, 700, 1_000];
/// Times of one server in one stage, seconds.
const TIMES_S: [u64; 4] = [10, 20, 40, 80];
/// The share of runs that must find a difference for it to count as found.
const WANTED: f64 = 0.95;
/// The number of servers in a run for which minutes are given; the control runs twice as well.
const SERVERS: u32 = 4;
const ENTRIES: u32 = SERVERS + 2;

/// The input of the curve.
pub(crate) struct Curve<'a> {
    pub(crate) pool: &'a Pool,
    pub(crate) names: &'a Names,
    /// The servers with a known extra cost, lowest first.
    pub(crate) dearer: Vec<String>,
    /// The servers for which lengths and rounds are compared.
    pub(crate) focus: Vec<String>,
    /// Drawn runs at the length of the profiles; half as many for each point of the grids.
    pub(crate) count: usize,
    pub(crate) rule: Rule,
    /// The profile whose warm-up is used.
    pub(crate) standard: &'static Profile,
}

/// Workloads that `harness rank` combines: as many as in `standard`.
const WORKLOADS: usize = 4;

/// A point of the curve.
struct CurvePoint {
    figure: RankFigure,
    cut: Option<Duration>,
    rounds: usize,
    /// The number of workloads in the geometric mean.
    workloads: usize,
}

impl Curve<'_> {
    /// The sections of the report.
    pub(crate) fn report(&self) -> Result<String> {
        let mut text = String::new();
        writeln!(text, "### The true effects\n\n{}", self.effects())?;
        writeln!(
            text,
            "### Found, at the length of the profiles\n\n{} workloads: their geometric mean, as in \
             `harness rank`, each drawn separately from the measured one; so a server must be more \
             expensive in all of them.\n\n{}",
            WORKLOADS,
            self.at_profiles()?
        )?;
        writeln!(text, "### Found, by rounds\n")?;
        for figure in self.figures() {
            writeln!(text, "{}:\n\n{}", figure.name(), self.by_rounds(figure))?;
        }
        writeln!(text, "### Found, by rounds and length of trial\n")?;
        self.grids(&mut text, Self::by_rounds_and_length)?;
        writeln!(
            text,
            "### Found, by how the same time is spent\n\n{}",
            self.same_time_about()
        )?;
        self.grids(&mut text, Self::same_time)?;
        writeln!(text, "### Minutes needed\n\n{}", self.minutes())?;
        Ok(text)
    }

    /// A table for each server of the focus and each figure that can be cut.
    fn grids(
        &self,
        text: &mut String,
        table: impl Fn(&Self, &RankFigure, &str) -> String,
    ) -> Result<()> {
        for name in &self.focus {
            for figure in self.cut_figures() {
                let table = table(self, &figure, name);
                writeln!(text, "`{name}`, {}:\n\n{table}", figure.name())?;
            }
        }
        Ok(())
    }

    /// The lengths that this record has.
    fn figures(&self) -> Vec<RankFigure> {
        let has = |figure: &RankFigure| {
            let column = self.pool.column(figure, None, &self.names.base);
            column.iter().any(Option::is_some)
        };
        FIGURES.into_iter().filter(has).collect()
    }

    fn cut_figures(&self) -> Vec<RankFigure> {
        let mut figures = self.figures();
        figures.retain(RankFigure::can_be_cut);
        figures
    }

    fn effects(&self) -> String {
        let figures = self.figures();
        let head = figures.iter().map(RankFigure::name);
        let mut table = MarkdownTable::new(["server".to_owned()].into_iter().chain(head));
        let twin = self.pool.has(&self.names.twin).then_some(&self.names.twin);
        for name in twin.into_iter().chain(&self.dearer) {
            let effect = |figure: &RankFigure| {
                let column = |name| whole(&self.pool.column(figure, None, name));
                let effect = self
                    .rule
                    .clone()
                    .effect(&column(name), &column(&self.names.base));
                effect.map_or(NOTHING.to_owned(), |effect| effect.to_string())
            };
            table.row(
                [format!("`{name}`")]
                    .into_iter()
                    .chain(figures.iter().map(effect)),
            );
        }
        table.to_string()
    }

    /// Drawn runs for each of the many points of a grid.
    fn fewer(&self) -> usize {
        self.count.div_ceil(2)
    }

    /// How often these servers are found at these points, in `count` drawn runs each.
    fn tallies(&self, points: &[CurvePoint], servers: &[String], count: usize) -> Vec<Vec<Tally>> {
        let control = self.names.control(self.pool);
        on_all_cpus(
            points,
            || self.rule.clone(),
            |rule, point| {
                let CurvePoint {
                    figure,
                    cut,
                    rounds,
                    workloads,
                } = *point;
                let columns =
                    Columns::new(self.pool, &figure, cut, &self.names.base, control.as_ref());
                let groups = draws(self.pool.rounds, workloads, rounds * count, crate::SEED);
                let others: Vec<_> = servers
                    .iter()
                    .map(|name| combined(&self.pool.column(&figure, cut, name), &groups))
                    .collect();
                let drawn = blocks(groups.len(), rounds);
                columns.combined(&groups).tally(&others, &drawn, rule)
            },
        )
    }

    fn at_profiles(&self) -> Result<String> {
        let mut points = Vec::new();
        let mut whose = Vec::new();
        for figure in self.figures() {
            for Short {
                name, rounds, cut, ..
            } in length::shorts(self.pool, &figure)?
            {
                for workloads in [1, WORKLOADS] {
                    points.push(CurvePoint {
                        figure,
                        cut,
                        rounds,
                        workloads,
                    });
                    let over = match workloads {
                        1 => "one workload".to_owned(),
                        many => format!("{many} workloads"),
                    };
                    whose.push((name.clone(), over));
                }
            }
        }
        let head = ["figure", "runs of", "ranked over"].map(str::to_owned);
        let head = head.into_iter();
        let servers = self.dearer.iter().map(|name| format!("`{name}`"));
        let mut table = MarkdownTable::new(head.chain(servers).chain(["wrong way".to_owned()]));
        for ((point, (profile, over)), tallies) in
            points
                .iter()
                .zip(whose)
                .zip(self.tallies(&points, &self.dearer, self.count))
        {
            let found = tallies.iter().map(|tally| tally.worse.to_string());
            let wrong: usize = tallies.iter().map(|tally| tally.better.hits).sum();
            let start = [point.figure.name(), profile, over].into_iter();
            table.row(start.chain(found).chain([wrong.to_string()]));
        }
        Ok(table.to_string())
    }

    fn by_rounds(&self, figure: RankFigure) -> String {
        let points = ROUNDS.map(|rounds| CurvePoint {
            figure,
            cut: None,
            rounds,
            workloads: 1,
        });
        let tallies = self.tallies(&points, &self.dearer, self.fewer());
        let mut table = table_of("server", ROUNDS.map(|rounds| rounds.to_string()));
        for (index, name) in self.dearer.iter().enumerate() {
            let found = tallies.iter().map(|at| percent(at[index].worse.value()));
            table.row([format!("`{name}`")].into_iter().chain(found));
        }
        table.to_string()
    }

    /// The lengths that the recorded trials can be cut to.
    fn lengths(&self, figure: &RankFigure) -> Vec<Duration> {
        let held = self.pool.length(figure.stage);
        let all = LENGTHS_MS.into_iter().map(Duration::from_millis);
        all.filter(|length| *length <= held).collect()
    }

    /// How often `name` is found for each length of trial and each of some numbers of rounds.
    fn by_length<const N: usize>(
        &self,
        figure: &RankFigure,
        name: &str,
        head: [String; N],
        rounds: impl Fn(Duration) -> [usize; N],
        cell: impl Fn(&CurvePoint, String) -> String,
    ) -> String {
        let lengths = self.lengths(figure);
        let points: Vec<CurvePoint> = lengths
            .iter()
            .flat_map(|&length| {
                rounds(length).map(|rounds| CurvePoint {
                    figure: *figure,
                    cut: Some(length),
                    rounds,
                    workloads: 1,
                })
            })
            .collect();
        let tallies = self.tallies(&points, &[name.to_owned()], self.fewer());
        let found: Vec<String> = points
            .iter()
            .zip(&tallies)
            .map(|(point, tally)| cell(point, percent(tally[0].worse.value())))
            .collect();
        let mut table = table_of("length", head);
        for (length, found) in lengths.iter().zip(found.chunks(N)) {
            table.row([seconds(*length)].iter().chain(found));
        }
        table.to_string()
    }

    fn by_rounds_and_length(&self, figure: &RankFigure, name: &str) -> String {
        let head = ROUNDS.map(|rounds| rounds.to_string());
        self.by_length(figure, name, head, |_| ROUNDS, |_, found| found)
    }

    fn time(&self, rounds: usize, figure: &RankFigure, length: Duration) -> Duration {
        length::time(rounds, figure.stage, length, self.standard)
    }

    fn same_time_about(&self) -> String {
        format!(
            "A column is a time budget for one server in one stage, including {} of warm-up and \
             other overhead per trial. A cell is the share of runs that found the difference, and \
             the number of rounds that fit.\n",
            seconds(self.standard.warmup)
        )
    }

    fn same_time(&self, figure: &RankFigure, name: &str) -> String {
        let rounds = |length: Duration| {
            let each_s = self.time(1, figure, length).as_secs_f64();
            TIMES_S.map(|time_s| (time_s as f64 / each_s) as usize)
        };
        let head = TIMES_S.map(|time| format!("{time} s"));
        self.by_length(figure, name, head, rounds, |point, found| {
            format!("{found} ({})", point.rounds)
        })
    }

    /// The fewest rounds with which a difference is found, and how long they take.
    fn minutes(&self) -> String {
        let mut text = format!(
            "The fewest of {} rounds with which {} of drawn runs find the difference, and how long \
             such a run takes with {SERVERS} servers and the control twice, in one workload and \
             that stage. Runs of more than the {} rounds of the pool are drawn from the same \
             rounds: such a figure shows what the noise allows if the effect is as in the \
             pool.\n\n",
            list(&[&ROUNDS[..], &MORE_ROUNDS[..]].concat()),
            percent(WANTED),
            self.pool.rounds
        );
        let figures = self.cut_figures();
        let jobs: Vec<(&String, &RankFigure, Duration)> = self
            .focus
            .iter()
            .flat_map(|name| figures.iter().map(move |figure| (name, figure)))
            .flat_map(|(name, figure)| {
                let lengths = self.lengths(figure).into_iter();
                lengths.map(move |length| (name, figure, length))
            })
            .collect();
        let control = self.names.control(self.pool);
        let needed = on_all_cpus(
            &jobs,
            || self.rule.clone(),
            |rule, (name, figure, length)| {
                let cut = Some(*length);
                let columns =
                    Columns::new(self.pool, figure, cut, &self.names.base, control.as_ref());
                let other = self.pool.column(figure, cut, name);
                ROUNDS.into_iter().chain(MORE_ROUNDS).find(|&rounds| {
                    let drawn = draws(self.pool.rounds, rounds, self.fewer(), crate::SEED);
                    columns.is_found(&other, &drawn, WANTED, rule)
                })
            },
        );
        let lengths = LENGTHS_MS.map(|ms| seconds(Duration::from_millis(ms)));
        let mut table = table_of("server, figure", lengths);
        for name in &self.focus {
            for figure in &figures {
                let cell = |ms: u64| {
                    let length = Duration::from_millis(ms);
                    let job = jobs.iter().position(|job| *job == (name, figure, length));
                    match job.map(|job| needed[job]) {
                        None => NOTHING.to_owned(),
                        Some(None) => "more".to_owned(),
                        Some(Some(rounds)) => {
                            let time = self.time(rounds, figure, length) * ENTRIES;
                            format!("{rounds} rounds, {:.1} min", time.as_secs_f64() / 60.0)
                        }
                    }
                };
                let start = [format!("`{name}`, {}", figure.name())].into_iter();
                table.row(start.chain(LENGTHS_MS.map(cell)));
            }
        }
        text.push_str(&table.to_string());
        text
    }
}

fn table_of(first: &str, others: impl IntoIterator<Item = String>) -> MarkdownTable {
    MarkdownTable::new([first.to_owned()].into_iter().chain(others))
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn list(numbers: &[usize]) -> String {
    let words: Vec<String> = numbers.iter().map(usize::to_string).collect();
    words.join(", ")
}
