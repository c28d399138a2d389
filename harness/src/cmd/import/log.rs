//! An access log: its requests by frequency, and how they were spread over time.

use std::collections::HashMap;
use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;

use super::{Imported, Request};
use crate::cmd::access_log::{Log, Logged, SECOND, routes};
use catalog::DISTINCT_CALLS;
use words::{counted, grouped};

/// Those without a body, which no log has.
const METHODS: [&str; 3] = ["GET", "HEAD", "DELETE"];
/// Maximum number of stages that show the course of the rate.
const STAGES: i64 = 20;

/// The requests of a log.
///
/// # Errors
/// [`crate::flags::Usage`] if it can't be read or has none.
pub(super) fn import(path: &Path, keep_secrets: bool) -> Result<Imported> {
    let log = Log::read(path, keep_secrets, refuse)?;
    let routes = routes(&log.distinct);
    let mut counts = vec![0_u32; log.distinct.len()];
    for (_, index) in &log.requests {
        counts[*index as usize] += 1;
    }
    // Different statuses of one request make it no other request.
    let mut by_route: HashMap<&str, HashMap<&str, (u32, &Logged)>> = HashMap::new();
    for ((request, route), count) in log.distinct.iter().zip(&routes).zip(&counts) {
        let of_route = by_route.entry(route).or_default();
        of_route.entry(&request.target).or_insert((0, request)).0 += count;
    }
    let mut by_route: Vec<Route> = by_route
        .into_iter()
        .map(|(name, requests)| Route::new(name, requests.into_values().collect()))
        .collect();
    by_route.sort_by(|a, b| b.count.cmp(&a.count).then(a.name.cmp(b.name)));
    let mut imported = Imported {
        about: format!("Requests in {}, weighted by frequency", name(path)),
        ..Imported::default()
    };
    let distinct: usize = by_route.iter().map(|route| route.requests.len()).sum();
    for route in by_route.get(DISTINCT_CALLS..).unwrap_or_default() {
        imported.leave_out(format!("{}, beyond the most frequent routes", route.name));
    }
    by_route.truncate(DISTINCT_CALLS);
    for route in &by_route {
        // Each route gets its share of the places.
        let places = (route.requests.len() * DISTINCT_CALLS / distinct).max(1);
        let places = places.min(route.requests.len());
        let note = route.note(places, log.requests.len());
        for (n, request) in route
            .requests(places, &mut imported)
            .into_iter()
            .enumerate()
        {
            let note = if n == 0 { note.clone() } else { String::new() };
            imported.requests.push(Request { note, ..request });
        }
    }
    imported.notes = course(&log);
    for (what, times) in &log.left_out {
        *imported.left_out.entry(what.clone()).or_default() += times;
    }
    for (kind, count) in &log.replaced {
        imported
            .notes
            .push(format!("{} replaced.", counted(*count, kind)));
    }
    Ok(imported)
}

fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Why a request is left out.
fn refuse(request: &Logged) -> Option<String> {
    let Logged { method, status, .. } = request;
    match (METHODS.contains(&method.as_str()), status) {
        (false, _) if ["POST", "PUT", "PATCH"].contains(&method.as_str()) => {
            Some(format!("a {method} request: a log has no bodies"))
        }
        (false, _) => Some(format!("a {method} request, which a workload can't send")),
        // 304 is the answer to a condition, which a log doesn't have.
        (true, 200..=299 | 304) => None,
        (true, status) => Some(format!(
            "a request with status {status}, and only 200 to 299 counts"
        )),
    }
}

/// The different requests of one route, the most frequent first.
struct Route<'l> {
    name: &'l str,
    count: u64,
    requests: Vec<(u32, &'l Logged)>,
}

impl<'l> Route<'l> {
    fn new(name: &'l str, mut requests: Vec<(u32, &'l Logged)>) -> Self {
        requests.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.target.cmp(&b.1.target)));
        Self {
            name,
            count: requests.iter().map(|(count, _)| u64::from(*count)).sum(),
            requests,
        }
    }

    fn note(&self, places: usize, all: usize) -> String {
        let share = 100.0 * self.count as f64 / all as f64;
        let written = match places < self.requests.len() {
            true => format!(", of which {places} stand for all"),
            false => String::new(),
        };
        format!(
            "{}: {} ({share:.1} %), {} different{written}",
            self.name,
            counted(self.count as usize, "request"),
            grouped(self.requests.len() as u64)
        )
    }

    /// So many requests that stand for all: of neighbours by frequency the first, with the weight of all. So frequent
    /// and rare ones both remain, and the route keeps its weight.
    fn requests(&self, places: usize, imported: &mut Imported) -> Vec<Request> {
        let all = self.requests.len();
        let neighbours =
            (0..places).map(|n| &self.requests[n * all / places..(n + 1) * all / places]);
        let written = neighbours.filter_map(|some| {
            let (_, first) = some.first()?;
            let weight = some.iter().map(|(count, _)| count).sum();
            let request = request(first, weight);
            if request.is_none() {
                imported.leave_out(format!(
                    "{}: it has a parameter twice, which a workload can't",
                    self.name
                ));
            }
            request
        });
        written.collect()
    }
}

/// A request with the parameters of its query; `None` if one occurs twice.
fn request(logged: &Logged, weight: u32) -> Option<Request> {
    // Any host: only the query is of interest.
    let url = reqwest::Url::parse(&format!("http://h{}", logged.target)).ok()?;
    let mut request = Request {
        weight,
        method: logged.method.clone(),
        path: logged
            .target
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned(),
        ..Request::default()
    };
    for (name, value) in url.query_pairs() {
        let (name, value) = (name.into_owned(), value.into_owned());
        if request.query.insert(name, value).is_some() {
            return None;
        }
    }
    Some(request)
}

/// How the requests were spread over time, one statement per line.
fn course(log: &Log) -> Vec<String> {
    let (start, end) = log.span();
    let length = end - start;
    let at = |ns: i64| {
        Timestamp::from_nanosecond(ns.into()).map_or_else(|_| ns.to_string(), |at| at.to_string())
    };
    let seconds = length as f64 / SECOND as f64;
    let count = log.requests.len();
    let mut lines = vec![format!(
        "{} from {} to {}.",
        counted(count, "request"),
        at(start),
        at(end)
    )];
    if seconds < 1.0 {
        return lines;
    }
    let per_second = counts(log, start, length.div_euclid(SECOND).max(1), SECOND);
    let most = per_second.iter().max().copied().unwrap_or(0);
    lines.push(format!(
        "{:.3} a second on average, {} in the busiest second.",
        count as f64 / seconds,
        grouped(most)
    ));
    if let Some(dispersion) = dispersion(&per_second) {
        lines.push(format!(
            "Variance of the requests in a second ÷ their mean: {dispersion:.2}; random arrivals at a constant rate have 1."
        ));
    }
    match log.has_whole_seconds() {
        true => lines
            .push("Times are whole seconds, so the gaps within a second are unknown.".to_owned()),
        false => lines.extend(gaps(log)),
    }
    let stages = STAGES.min(length / SECOND);
    let each = length / stages;
    let rates = counts(log, start, stages, each);
    let rates = rates.iter().map(|count| {
        let seconds = each as f64 / SECOND as f64;
        format!("{}s@{}", rounded(seconds), rounded(*count as f64 / seconds))
    });
    let rates: Vec<String> = rates.collect();
    lines.push(format!(
        "To send at these rates over time: drive --stages {} --arrivals poisson",
        rates.join(",")
    ));
    lines
}

/// How many requests came in each of so many spans of equal length. Those after the last are in none.
fn counts(log: &Log, start: i64, spans: i64, length: i64) -> Vec<u64> {
    let mut counts = vec![0; usize::try_from(spans).unwrap_or(0)];
    for (time, _) in &log.requests {
        let span = usize::try_from((time - start) / length).unwrap_or(0);
        if let Some(count) = counts.get_mut(span) {
            *count += 1;
        }
    }
    counts
}

/// The index of dispersion of counts (Cox and Lewis, *The Statistical Analysis of Series of Events*, 1966): the sample
/// variance divided by the mean.
fn dispersion(counts: &[u64]) -> Option<f64> {
    let n = counts.len() as f64;
    let mean = counts.iter().sum::<u64>() as f64 / n;
    let squares = counts.iter().map(|count| (*count as f64 - mean).powi(2));
    (counts.len() > 1 && mean > 0.0).then(|| squares.sum::<f64>() / (n - 1.0) / mean)
}

/// The gaps between requests.
fn gaps(log: &Log) -> Option<String> {
    let mut gaps: Vec<i64> = log.requests.windows(2).map(|w| w[1].0 - w[0].0).collect();
    gaps.sort_unstable();
    let at = |quantile: f64| {
        let place = ((gaps.len() as f64 * quantile) as usize).min(gaps.len().checked_sub(1)?);
        Some(gaps[place] as f64 / 1e6)
    };
    Some(format!(
        "Gaps between requests: median {:.3} ms, 99th percentile {:.3} ms, longest {:.3} ms.",
        at(0.5)?,
        at(0.99)?,
        at(1.0)?
    ))
}

/// With at most three decimals.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_counts_have_a_dispersion_of_1_and_even_ones_of_0() {
        assert_eq!(dispersion(&[4, 4, 4]), Some(0.0));
        // Mean 4, squares 16 + 0 + 16, over n - 1.
        assert_eq!(dispersion(&[0, 4, 8]), Some(4.0));
        assert_eq!(dispersion(&[4]), None);
        assert_eq!(dispersion(&[0, 0]), None);
    }

    #[test]
    fn few_requests_stand_for_all_with_their_weight() {
        let logged: Vec<Logged> = (0..10)
            .map(|n| Logged {
                method: "GET".to_owned(),
                target: format!("/items/{n}?q={n}"),
                status: 200,
            })
            .collect();
        let counts = [1, 1, 1, 1, 40, 1, 1, 1, 1, 1];
        let route = Route::new("GET /items/{}", counts.into_iter().zip(&logged).collect());
        let mut imported = Imported::default();
        let all = route.requests(10, &mut imported);
        assert_eq!(
            (all.len(), all[0].weight, all[0].path.as_str()),
            (10, 40, "/items/4")
        );
        assert_eq!(all[0].query, [("q".to_owned(), "4".to_owned())].into());
        let few = route.requests(3, &mut imported);
        assert_eq!(few.iter().map(|r| r.weight).collect::<Vec<_>>(), [42, 3, 4]);
    }
}
