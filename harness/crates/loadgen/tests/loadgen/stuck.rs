//! Servers that stop answering: what has no answer at the end is told with the time it has waited.

use std::time::Duration;

use crate::load_server::*;
use loadgen::{Config, Measurement};

over_each_engine!(
    what_has_no_answer_at_the_end_is_a_bound,
    a_part_of_an_answer_has_a_first_byte,
    what_is_answered_after_the_window_is_no_bound,
);

/// Answers so many requests, and then does to each what `last` says.
fn measure_until(
    answered: u64,
    last: impl Fn() -> Vec<Act> + Send + Sync + 'static,
    requests_per_connection: Option<u32>,
) -> Measurement {
    let server = TestServer::start(move |n, _| match n <= answered {
        true => vec![Act::Write(response("200 OK", PONG).into())],
        false => last(),
    });
    let config = Config {
        requests_per_connection,
        duration: Duration::from_secs(1),
        timeout: Duration::from_secs(60),
        threads: 2,
        ..config(server.addr)
    };
    let m = measure(&config, &ping());
    assert_counted(&m);
    assert_eq!(m.unfinished.len() as u64, m.unanswered);
    m
}

fn what_has_no_answer_at_the_end_is_a_bound() {
    for requests_per_connection in [None, Some(1), Some(3)] {
        let m = measure_until(40, || vec![Act::Hang], requests_per_connection);
        assert_eq!((m.requests, m.errors_total(), m.unanswered), (40, 0, 4));
        for request in &m.unfinished {
            // As long as answers are waited for after the window.
            assert!(request.waited_ns >= 1_000_000_000, "{request:?}");
            assert_eq!(request.first_byte_ns, request.waited_ns);
        }
        let waited = m.unfinished.iter().map(|request| request.waited_ns);
        for bounds in [m.latency_bounds(), m.first_byte_bounds()] {
            let (max, at_least) = bounds.at(1.0);
            assert!(at_least && m.latency.equivalent(max, waited.clone().max().unwrap()));
            assert!(bounds.at(0.95).1);
        }
        let (mean, at_least) = m.latency_mean_bound().unwrap();
        assert!(at_least && mean > m.latency_mean_ns.unwrap());
        if m.latency.max() < 500_000_000 {
            assert_eq!(m.silent(), 4);
        }
    }
}

fn a_part_of_an_answer_has_a_first_byte() {
    let part = || vec![Act::Write("HTTP/1.1 200 OK\r\nConte".into()), Act::Hang];
    let m = measure_until(40, part, None);
    assert_eq!((m.requests, m.unanswered), (40, 4));
    for request in &m.unfinished {
        assert!(request.first_byte_ns < request.waited_ns, "{request:?}");
    }
}

fn what_is_answered_after_the_window_is_no_bound() {
    let m = measure_until(u64::MAX, Vec::new, None);
    assert_clean(&m);
    assert_eq!((m.unfinished.as_slice(), m.silent()), (&[][..], 0));
    assert_eq!(m.quiet(), None);
    assert_eq!(
        m.latency_bounds().at(1.0),
        (m.latency.value_at_quantile(1.0), false)
    );
    assert_eq!(
        m.latency_mean_bound(),
        m.latency_mean_ns.map(|mean| (mean, false))
    );
}
