//! A summary with its words.

use serde::Serialize;

use catalog::Stage;
use judge::{Cause, JudgedRanking};
use record::{Ranking, ReasonRow, Record, Summary};

use super::{cause, why};

/// Summarises a run, and says why.
pub fn summarise(record: &Record) -> Summary {
    let judgement = judge::summarise(record);
    let mut summary = Summary::default();
    let reasons = &mut summary.reasons;
    for (mut row, causes) in judgement.rows {
        let place = Place {
            server: Some(&row.server),
            workload: Some(&row.workload),
            stage: Some(row.stage),
        };
        row.reasons = place.say(&causes, reasons);
        summary.rows.push(row);
    }
    for (mut row, causes) in judgement.servers {
        let place = Place {
            server: Some(&row.server),
            workload: None,
            stage: None,
        };
        row.reasons = place.say(&causes, reasons);
        summary.servers.push(row);
    }
    for judged in judgement.rankings {
        summary.rankings.push(ranking(judged, reasons));
    }
    summary
}

fn ranking(judged: JudgedRanking, reasons: &mut Vec<ReasonRow>) -> Ranking {
    let mut ranking = judged.ranking;
    let place = Place {
        server: None,
        workload: Some(&ranking.workload),
        stage: Some(ranking.stage),
    };
    let withheld = place.say(&judged.withheld, reasons);
    ranking.reason = match &withheld[..] {
        [] => place.add(why(&judged.why), &judged.why, reasons),
        causes => format!("ranks are withheld: {}", causes.join("; ")),
    };
    ranking.notes = place.say(&judged.notes, reasons);
    ranking
}

/// What a reason is about.
struct Place<'a> {
    server: Option<&'a str>,
    workload: Option<&'a str>,
    stage: Option<Stage>,
}

impl Place<'_> {
    /// The text of each cause, which is added to `reasons` with what it says.
    fn say(&self, causes: &[Cause], reasons: &mut Vec<ReasonRow>) -> Vec<String> {
        let say = |one: &Cause| self.add(cause(one), one, reasons);
        causes.iter().map(say).collect()
    }

    fn add(&self, text: String, found: &impl Serialize, reasons: &mut Vec<ReasonRow>) -> String {
        reasons.push(ReasonRow {
            server: self.server.map(str::to_owned),
            workload: self.workload.map(str::to_owned),
            stage: self.stage,
            text: text.clone(),
            reason: serde_json::to_value(found).expect("all keys are strings"),
        });
        text
    }
}
