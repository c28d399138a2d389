//! The measurement as JSON; every time is in nanoseconds.

use serde_json::{Value, json};

use super::session;
use super::source::RequestSource;
use super::spectrum::{self, nanos};
use super::summary::{amplification, waited};
use super::tables;
use super::target::Target;
use loadgen::{Address, Arrivals, Config, ErrorKind, Measurement, Pace, Think};

/// Everything that was measured. A value that could not be measured is null; an error kind that didn't
/// occur is 0.
pub(super) fn json(
    (target, source): (&Target, &RequestSource),
    shuffled: bool,
    config: &Config,
    m: &Measurement,
) -> Value {
    let mut all = measured(config, m);
    all["url"] = json!(target.shown());
    all["workload"] = match source {
        RequestSource::Workload(workload) => json!(workload.name),
        _ => Value::Null,
    };
    if let RequestSource::Session(session) = source {
        all["session"]["name"] = json!(session.name);
    }
    all["urls"] = json!(source.urls());
    all["shuffled"] = json!(source.urls().map(|_| shuffled));
    all["replay_speed"] = match source {
        RequestSource::Replay(replay) => json!(replay.speed),
        _ => Value::Null,
    };
    all
}

/// The same without what was requested.
pub(in crate::cmd) fn measured(config: &Config, m: &Measurement) -> Value {
    let errors: serde_json::Map<String, Value> = ErrorKind::ALL
        .iter()
        .map(|kind| {
            let count = m.errors.get(kind.name()).copied().unwrap_or(0);
            (kind.name().to_owned(), json!(count))
        })
        .collect();
    let mut latency = spectrum::json_of_bounds(&m.latency_bounds());
    if let Value::Object(points) = &mut latency {
        let mean = m.latency_mean_bound();
        points.insert("mean".to_owned(), json!(mean.map(|(mean, _)| mean)));
        if let (Some((_, true)), Some(Value::Array(at_least))) = (mean, points.get_mut("at_least"))
        {
            at_least.push(json!("mean"));
        }
        points.insert("standard_deviation".to_owned(), json!(m.latency_jitter_ns));
    }
    let mut all = json!({
        "address": config.addr.to_string(),
        "engine": config.engine.name(),
        "connections": m.established,
        "threads": m.threads.len(),
        "cpus": config.cpus,
        "pinned": m.pinned && !config.cpus.is_empty(),
        "spin": config.spin,
        "connection_per_request": config.requests_per_connection == Some(1),
        "loop": if config.is_open() { "open" } else { "closed" },
        "asked_per_s": match config.pace {
            Pace::Closed | Pace::Stages(_) | Pace::Times(_) => None,
            Pace::Rate { per_second } => Some(per_second),
        },
        "arrivals": config.is_open().then_some(match (&config.pace, config.arrivals) {
            (Pace::Times(_), _) => "logged",
            (_, Arrivals::Constant) => "constant",
            (_, Arrivals::Poisson) => "poisson",
        }),
        "think": config.think.map(|think| match think {
            Think::Fixed(_) => "fixed",
            Think::Exponential(_) => "exponential",
            Think::Uniform(..) => "uniform",
        }),
        "think_ns": config.think.map(|think| nanos(think.mean())),
        "interrupted": m.stopped,
        "start_unix_ns": m.window_at.start_unix_ns,
        "warmup_ns": nanos(config.warmup),
        "duration_ns": nanos(m.window),
        "asked": config.is_open().then_some(m.asked),
        "requests": m.requests,
        "rate": m.requests_per_s(),
        "errors": errors,
        "first_error": m.first_error,
        "sent_total": m.sent_total,
        "answered_total": m.answered_total,
        "unanswered": m.unanswered,
        "unsent": m.unsent,
        "ids_repeated": m.ids_repeated,
        "bytes_received": m.bytes_received,
        "reconnects": m.reconnects,
        "latency_ns": latency,
        "wire_ns": spectrum::json(&m.wire),
        "first_byte_ns": spectrum::json_of_bounds(&m.first_byte_bounds()),
        "connect_ns": spectrum::json(&m.connect),
        "send_lag_ns": spectrum::json_of_bounds(&m.send_lag_bounds()),
        "in_flight_mean": m.in_flight_mean(),
        "classes": tables::classes(m),
        "stages": tables::stages(m),
        "cpu_ns": m.threads.iter().map(|t| t.cpu_ns).sum::<u64>(),
        "spin_ns": m.threads.iter().map(|t| t.spin_ns).sum::<u64>(),
        "busy_ratio": m.busy_ratio(),
    });
    all["session"] = json!(
        m.session
            .as_ref()
            .map(|chains| session::json(config, m, chains))
    );
    all["requests_limit"] = json!(config.limit);
    all["bind"] = json!(config.from);
    all["requests_per_connection"] = json!(config.requests_per_connection);
    all["retries"] = json!(config.retries.map(|retries| json!({
        "most": retries.most,
        "backoff_ns": retries.backoff.map(nanos),
        "first_attempts": m.sent_total - m.retries,
        "attempts": m.sent_total,
        "amplification": amplification(m),
        "succeeded": m.answered_total,
    })));
    all["at_end"] = at_end(m);
    all["delayed_ack_ratio"] = json!(stalled(config, m));
    all
}

/// The share of requests that delayed ACK held up; `None` for a Unix socket.
pub(super) fn stalled(config: &Config, m: &Measurement) -> Option<f64> {
    let is_tcp = matches!(config.addr, Address::Tcp(_));
    m.delayed_ack().filter(|_| is_tcp)
}

/// How the load ended: how long unanswered requests had waited, how many connections were silent, and how
/// long ago the last response arrived.
fn at_end(m: &Measurement) -> Value {
    json!({
        "waited_ns": waited(m).map(|(min, max)| json!({"min": min, "max": max})),
        "silent": m.silent(),
        "silent_after_ns": nanos(m.silent_after()),
        "quiet_ns": m.quiet().map(nanos),
    })
}
