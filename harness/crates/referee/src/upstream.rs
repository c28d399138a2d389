//! `GET /api/v1/upstream`: it passes on what its dependency answers, over a kept connection.

use rand::RngExt;
use reqwest::Method;
use serde_json::json;

use super::dependency::Dependency;
use super::errors::{other_methods, trailing_slash};
use super::process::{Process, ProcessCheck, Scene};
use super::response::{UPSTREAM_ABSENT, UPSTREAM_FAILED};
use super::subject::Subject;
use super::{CheckDef, CheckOptions, Outcome};

const PATH: &str = "/api/v1/upstream";
/// Requests one after another, on one connection.
const REQUESTS: usize = 20;
/// The most connections to the dependency that they may take.
const MOST_CONNECTIONS: usize = 4;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "upstream-absent" => absent: "without --upstream it returns 503 upstream_absent",
    "upstream-method" => method: "it allows only GET, and its path with a trailing slash is not a route",
};

pub(super) const PROCESS_CHECKS: &[ProcessCheck] = checks! {
    "upstream-passes-on" => passes_on:
        "the response has the body that the dependency returns to GET /, and connections to it are kept",
    "upstream-failed" => failed:
        "if the dependency returns anything but 200, or can't be reached, it returns 502 upstream_failed",
};

fn absent(subject: &Subject) -> Outcome {
    subject.refuses(PATH, UPSTREAM_ABSENT)
}

fn method(subject: &Subject) -> Outcome {
    trailing_slash(subject, PATH)?;
    let others = [Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
    other_methods(subject, PATH, &["GET"], &others)
}

/// A process with a dependency, and what its responses are judged by.
fn with_dependency<'a>(
    scene: &'a mut Scene<'_>,
) -> Result<(Dependency, Box<dyn Process + 'a>, Subject), String> {
    let dependency = Dependency::start()
        .map_err(|error| format!("the check's dependency can't listen: {error}"))?;
    let addr = dependency.addr().to_string();
    let process = scene.another(&["--upstream", &addr])?;
    let subject = Subject::new(process.addr(), &CheckOptions::default());
    Ok((dependency, process, subject))
}

fn passes_on(scene: &mut Scene<'_>) -> Outcome {
    let mut rng = scene.subject().rng("upstream-passes-on");
    let (dependency, _process, subject) = with_dependency(scene)?;
    for number in 0..REQUESTS {
        let drawn: u32 = rng.random();
        let body = json!({"number": number, "drawn": drawn, "text": "é \" \\ 明"});
        dependency.answer(200, &body);
        subject.returns(PATH, &body)?;
    }
    match dependency.connections() {
        ..=MOST_CONNECTIONS => Ok(()),
        many => Err(format!(
            "sent: {REQUESTS} times GET {PATH}, one after another\ngot:  {many} connections to the dependency\n\
             expected: at most {MOST_CONNECTIONS}, because connections are kept"
        )),
    }
}

fn failed(scene: &mut Scene<'_>) -> Outcome {
    let (dependency, _process, subject) = with_dependency(scene)?;
    let body = json!({"status": "ok"});
    for status in [500, 404] {
        dependency.answer(status, &body);
        subject.refuses(PATH, UPSTREAM_FAILED)?;
    }
    dependency.answer(200, &body);
    subject.returns(PATH, &body)?;
    drop(dependency);
    subject.refuses(PATH, UPSTREAM_FAILED)
}
