//! Sessions over real sockets: their time, and the step at which they fail.

use std::sync::Mutex;
use std::time::Duration;

use crate::load_server::*;
use loadgen::{
    Config, Control, Expect, Measurement, Pace, Pointer, Request, Script, Session, SessionFigures,
    Step, Think, drive,
};
use serde_json::{Value, json};

over_each_engine!(
    a_chain_takes_as_long_as_its_steps_and_nobody_thinks_within,
    a_chain_fails_at_the_step_that_is_wrong,
    a_user_goes_on_over_a_new_connection,
    a_hanging_step_leaves_its_chain_unfinished,
    an_open_loop_has_no_sessions,
);

/// The orders of a shop, and what it does wrong.
#[derive(Default)]
struct Shop {
    placed: Mutex<Vec<String>>,
    delay: Duration,
    wrong: Option<Wrong>,
}

#[derive(Clone, Copy, PartialEq)]
enum Wrong {
    /// It confirms one order with the id of another.
    Id,
    /// It confirms one order and forgets it.
    Forgets,
    /// It reads one order back with another quantity.
    Changes,
    /// Some lists lack a member.
    Lists,
    /// It says a text for an id, which is no order that was expected.
    NoId,
    Closes,
    Hangs,
}

/// One chain in so many goes wrong.
const ONE_IN: usize = 5;

impl Shop {
    fn start(wrong: Option<Wrong>, delay: Duration) -> TestServer {
        let shop = Self {
            wrong,
            delay,
            ..Self::default()
        };
        TestServer::start(move |_, request| shop.answer(request))
    }

    fn answer(&self, request: &str) -> Vec<Act> {
        let mut placed = self.placed.lock().unwrap();
        let line = request.lines().next().unwrap();
        let target = line.split(' ').nth(1).unwrap();
        let is = |wrong: Wrong| self.wrong == Some(wrong);
        let unlucky = |id: usize| id.is_multiple_of(ONE_IN);
        let text = if line.starts_with("POST") {
            let id = placed.len() + 1;
            let order = format!(r#"{{"id":{id},"qty":1}}"#);
            placed.push(order.clone());
            let shown = match unlucky(id) {
                true if is(Wrong::Id) => format!(r#"{{"id":{},"qty":1}}"#, id + 1_000_000),
                true if is(Wrong::NoId) => format!(r#"{{"id":"{id}","qty":1}}"#),
                _ => order,
            };
            response("201 Created", &shown)
        } else if let Some(id) = target.strip_prefix("/orders/") {
            let id: usize = id.parse().unwrap();
            match placed
                .get(id - 1)
                .filter(|_| !(unlucky(id) && is(Wrong::Forgets)))
            {
                Some(order) if unlucky(id) && is(Wrong::Changes) => {
                    response("200 OK", &order.replace(":1}", ":2}"))
                }
                Some(_) if unlucky(id) && is(Wrong::Hangs) => return vec![Act::Hang],
                // The same order in another way.
                Some(_) => response("200 OK", &format!(r#"{{"qty":1, "id":{id}}}"#)),
                None => response("404 Not Found", "{}"),
            }
        } else {
            let total = placed.len();
            match unlucky(total) && is(Wrong::Lists) {
                true => response("200 OK", &format!(r#"{{"total":{total}}}"#)),
                false => response("200 OK", &format!(r#"{{"total":{total},"list":[]}}"#)),
            }
        };
        let mut acts = vec![Act::Sleep(self.delay), Act::Write(text.into())];
        if is(Wrong::Closes) {
            acts.push(Act::Close);
        }
        acts
    }
}

fn session() -> Script {
    let step = |name: &str, takes: Vec<(usize, Pointer)>, same_as| Step {
        name: name.to_owned(),
        takes,
        same_as,
    };
    let request = |line: &str, body: &str, expect| Request {
        wire: format!(
            "{line} HTTP/1.1\r\nHost: test\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes(),
        expect,
    };
    let Value::Object(members) = json!({"id": 1, "qty": 1}) else {
        unreachable!()
    };
    let order = Expect::Numbered {
        status: 201,
        bytes: br#"{"id":1,"qty":1}"#.to_vec(),
        members,
        id_member: "id".into(),
    };
    let list = Expect::Shape {
        status: 200,
        bytes: br#"{"total":0,"list":[]}"#.to_vec(),
    };
    let session = Session {
        steps: vec![
            step("place", vec![(0, Pointer::parse("/id").unwrap())], None),
            step("read", vec![], Some(0)),
            step("list", vec![], None),
        ],
        values: vec!["order".to_owned()],
    };
    let requests = vec![
        request("POST /orders", "{}", order),
        request("GET /orders/{order}", "", Expect::Status(200)),
        request("GET /orders", "", list),
    ];
    Script::sessions(session, vec![requests]).unwrap()
}

fn chains(m: &Measurement) -> &SessionFigures {
    m.session.as_ref().unwrap()
}

fn failed(m: &Measurement) -> Vec<u64> {
    chains(m).failed.iter().map(|(_, count)| *count).collect()
}

fn a_chain_takes_as_long_as_its_steps_and_nobody_thinks_within() {
    let delay = Duration::from_millis(20);
    let server = Shop::start(None, delay);
    let think = Duration::from_millis(100);
    let config = Config {
        connections: 10,
        threads: 2,
        think: Some(Think::Fixed(think)),
        warmup: Duration::from_millis(200),
        duration: Duration::from_millis(1_200),
        ..config(server.addr)
    };
    let m = measure(&config, &session());
    assert_clean(&m);
    let chains = chains(&m);
    assert_eq!((failed(&m), chains.unfinished_ns.len()), (vec![0; 3], 0));
    assert_eq!(
        (chains.ended, chains.complete),
        (chains.time.len(), chains.time.len())
    );
    assert!(chains.complete > 0 && chains.complete_total > chains.complete);
    // 60 ms if the machine has nothing else to do, and never less. With think time within it would be 260 ms.
    let (least, p50) = (chains.time.min(), chains.time.value_at_quantile(0.5));
    assert!(least >= 59_900_000 && p50 < 160_000_000, "{least} {p50}");
    // Each user either thinks or is in a chain (Little's law).
    let ended = chains.ended as f64 / m.window.as_secs_f64();
    let users = ended * (think.as_secs_f64() + chains.mean_ns.unwrap() / 1e9);
    assert!((users / 10.0 - 1.0).abs() < 0.25, "{users}");
    assert_eq!(m.classes.len(), 3);
}

fn a_chain_fails_at_the_step_that_is_wrong() {
    for (wrong, step, words) in [
        (Wrong::Id, 1, "in step read with order = 1000005"),
        (Wrong::Forgets, 1, "got 404"),
        (
            Wrong::Changes,
            1,
            "expected the body of the response to place: {\"id\":5,",
        ),
        (
            Wrong::Lists,
            2,
            "a body of the same shape as {\"total\":0,\"list\":[]}",
        ),
        (Wrong::NoId, 0, "in step place"),
    ] {
        let server = Shop::start(Some(wrong), Duration::ZERO);
        let one = Config {
            connections: 1,
            duration: Duration::from_millis(100),
            ..config(server.addr)
        };
        let m = measure(&one, &session());
        assert_counted(&m);
        let (chains, failed) = (chains(&m), failed(&m));
        let total: u64 = failed.iter().sum();
        assert!(total > 0 && failed[step] == total, "{words}: {failed:?}");
        assert_eq!(chains.failed_total(), m.errors_total());
        // One chain in five, give or take the one at the end.
        assert!(chains.complete_total.abs_diff(4 * total) <= 4, "{chains:?}");
        let first = m.first_error.unwrap();
        assert!(first.contains(words), "{words:?} is not in {first}");
    }
}

fn a_user_goes_on_over_a_new_connection() {
    let server = Shop::start(Some(Wrong::Closes), Duration::ZERO);
    let m = measure(&config(server.addr), &session());
    // Every fifth chain is closed, so over their first connections the four users complete fewer than 20.
    let complete = chains(&m).complete_total;
    assert!(m.reconnects > 0 && complete >= 20, "{complete}");
}

fn a_hanging_step_leaves_its_chain_unfinished() {
    let server = Shop::start(Some(Wrong::Hangs), Duration::ZERO);
    let m = measure(&config(server.addr), &session());
    let chains = chains(&m);
    assert_eq!((chains.unfinished_ns.len(), failed(&m)), (4, vec![0; 3]));
    // They started in the window, and the drain takes a second.
    assert!(
        chains.unfinished_ns.iter().all(|ns| *ns > 1_000_000_000),
        "{chains:?}"
    );
    let (max, at_least) = chains.time_bounds().at(1.0);
    assert!(at_least && max > 1_000_000_000, "{max}");
}

fn an_open_loop_has_no_sessions() {
    for config in [
        paced(nobody(), 10.0),
        Config {
            limit: Some(9),
            ..config(nobody())
        },
        Config {
            requests_per_connection: Some(1),
            ..config(nobody())
        },
    ] {
        let refused = drive(&config, &session(), &Control::default()).unwrap_err();
        let why = refused.to_string();
        assert!(why.starts_with("a session "), "{why}");
        assert!(
            config.pace == Pace::Closed || why.contains("closed loop"),
            "{why}"
        );
    }
}
