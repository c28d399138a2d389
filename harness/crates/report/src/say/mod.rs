//! The words for what `judge` found: the only place where its findings become text.

mod comparison;
mod reason;
mod standing;
mod summary;

pub use comparison::{not_compared, note, obstacle};
pub use reason::reason;
pub use standing::{grounds, pool_note, unfit, withheld};
pub use summary::summarise;

use judge::{Cause, Effect, Why};

/// A reason as given of a row, a server or a workload, with the trials it was found on.
pub fn cause(cause: &Cause) -> String {
    let said = reason(&cause.reason);
    let Some(trials) = &cause.trials else {
        return said;
    };
    let what = match cause.effect >= Effect::Invalidates {
        true => "invalid",
        false => "affected",
    };
    let list: Vec<String> = trials.rounds.iter().map(u32::to_string).collect();
    let plural = if list.len() == 1 { "round" } else { "rounds" };
    format!(
        "{} of {} trials {what} ({plural} {}): {said}",
        list.len(),
        trials.ran,
        list.join(", ")
    )
}

/// Several reasons for the same thing.
pub fn causes(all: &[Cause]) -> String {
    joined(all, cause)
}

/// Why a workload is ranked by its figure.
pub fn why(why: &Why) -> String {
    match why {
        Why::ServerBound => "no server's peak was limited by the load generator".to_owned(),
        Why::NoPeak => "there is no peak rate".to_owned(),
        Why::DriverMayBind { servers } => format!(
            "the peak rate of {} may be the load generator's limit, so servers are ranked by cost \
             at equal load",
            match &servers[..] {
                [] => "every server".to_owned(),
                some => some.join(", "),
            }
        ),
        Why::ControlVaried { share, pair } => format!(
            "{} varied by {:.0} % between rounds, so servers are ranked by cost at equal load",
            match pair {
                false => "the control's own peak rate",
                true => "the ratio of the control's two peak rates",
            },
            share * 100.0
        ),
    }
}

fn joined<T>(all: &[T], say: impl Fn(&T) -> String) -> String {
    all.iter().map(say).collect::<Vec<_>>().join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use judge::{Reason, Trials};
    use serde_json::json;

    #[test]
    fn trials_are_counted_and_their_rounds_named() {
        let on = |rounds: Vec<u32>, reason: Reason| {
            let trials = Some(Trials { rounds, ran: 10 });
            cause(&Cause {
                trials,
                ..Cause::from(reason)
            })
        };
        let errors = Reason::Errors {
            total: 1_000,
            kinds: [("status".to_owned(), 1_000)].into(),
            first: Some("GET /ping: got 500, want 200".into()),
        };
        assert_eq!(
            on(vec![1, 2, 3, 4, 5], errors),
            "5 of 10 trials invalid (rounds 1, 2, 3, 4, 5): 1000 errors under load (status 1000); \
             first: GET /ping: got 500, want 200"
        );
        let missed = on(vec![7], Reason::RateMissed { achieved: 0.9 });
        assert!(missed.starts_with("1 of 10 trials affected (round 7): only 90.0 % of"));
    }

    #[test]
    fn why_a_figure_is_ranked_by_names_who_is_limited() {
        let limited = |servers: &[&str]| {
            let servers = servers.iter().map(|&name| name.to_owned()).collect();
            why(&Why::DriverMayBind { servers })
        };
        let rest = "may be the load generator's limit, so servers are ranked by cost at equal load";
        assert_eq!(
            limited(&["a", "b"]),
            format!("the peak rate of a, b {rest}")
        );
        assert_eq!(
            limited(&[]),
            format!("the peak rate of every server {rest}")
        );
        let varied = |pair| why(&Why::ControlVaried { share: 0.3, pair });
        assert!(varied(false).starts_with("the control's own peak rate varied by 30 %"));
        assert!(varied(true).starts_with("the ratio of the control's two peak rates varied"));
    }

    #[test]
    fn what_is_said_is_data_too() {
        let missed = Cause {
            trials: Some(Trials {
                rounds: vec![7],
                ran: 10,
            }),
            ..Cause::from(Reason::RateMissed { achieved: 0.5 })
        };
        let of_trial = json!({
            "kind": "rate_missed",
            "parameters": { "achieved": 0.5 },
            "effect": "marks",
            "trials": { "rounds": [7], "ran": 10 },
        });
        assert_eq!(json!(missed), of_trial);
        let of_row = json!({ "kind": "no_trial", "effect": "fails" });
        assert_eq!(json!(Cause::from(Reason::NoTrial)), of_row);
        let varied = Why::ControlVaried {
            share: 0.25,
            pair: true,
        };
        let of_workload = json!({
            "kind": "control_varied",
            "parameters": { "share": 0.25, "pair": true },
        });
        assert_eq!(json!(varied), of_workload);
    }
}
