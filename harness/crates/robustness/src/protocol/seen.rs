//! Summarises what a server did with a script, in the few words of a cell.

use std::time::Duration;

use super::replies::{Replies, Reply};
use super::script::{Asked, Finish, Script, probe_want};
use super::talk::{End, Talk};

/// A server that ends a connection within this time did so because of what it received, not because of a
/// timeout.
const AT_ONCE: Duration = Duration::from_millis(900);

/// What a server did with one script.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// See [`Script::label`].
    pub(super) label: String,
    pub(super) replies: Replies,
    pub(super) rest: Rest,
    asked: Vec<Asked>,
    finish: Finish,
    lasted: Duration,
    patience: Duration,
}

/// The state of the connection after the responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rest {
    /// A further request got the right response.
    Kept,
    /// A further request got something else.
    OutOfStep,
    /// A further request got no response, although the connection stayed open.
    Mute,
    Closed,
    Reset,
    /// It was not probed, and was open.
    Open,
    /// The client ended it.
    Left,
    /// It could not be opened.
    None,
}

impl Seen {
    pub(super) fn of(script: &Script, talk: &Talk, patience: Duration) -> Self {
        let ended = talk.end != End::Open;
        let split = talk.probed_at.unwrap_or(talk.received.len());
        let (before, after) = talk.received.split_at(split);
        let closed = ended && talk.probed_at.is_none();
        let rest = match (&talk.end, talk.probed_at) {
            (End::NotConnected(_), _) => Rest::None,
            (_, Some(_)) if !after.is_empty() => {
                let replies = Replies::read(after, &[Asked::PLAIN], ended);
                match replies.first() {
                    Some(reply) if reply.is(&probe_want()) && replies.excess.is_empty() => {
                        Rest::Kept
                    }
                    _ => Rest::OutOfStep,
                }
            }
            (End::Open, Some(_)) => Rest::Mute,
            (End::Open, None) => Rest::Open,
            (End::Closed, _) => Rest::Closed,
            (End::Reset, _) => Rest::Reset,
            (End::Left, _) => Rest::Left,
        };
        Self {
            label: script.label.clone(),
            replies: Replies::read(before, &script.asked, closed),
            rest,
            asked: script.asked.clone(),
            finish: script.finish,
            lasted: talk.lasted,
            patience,
        }
    }

    /// The status of the first response that is not interim.
    pub(super) fn status(&self) -> Option<u16> {
        self.replies.first().map(|reply| reply.status)
    }

    /// The contract's error code in that response, if any.
    pub(super) fn code(&self) -> Option<String> {
        self.replies.first().and_then(Reply::code)
    }

    /// Whether the server ended the connection.
    pub(super) fn ended(&self) -> bool {
        matches!(self.rest, Rest::Closed | Rest::Reset)
    }

    /// Whether the last response says that the connection ends, so that later requests get no response.
    pub(super) fn says_close(&self) -> bool {
        let last = self.replies.finals().last();
        let connection = last.and_then(|reply| reply.field("connection"));
        connection.is_some_and(|value| {
            let mut options = value.split(',');
            options.any(|option| option.trim().eq_ignore_ascii_case("close"))
        })
    }

    /// Whether it says so before all requests are answered.
    pub(super) fn closes_early(&self) -> bool {
        self.says_close() && self.replies.finals().count() < self.asked.len()
    }

    /// Number of requests that got their only correct response.
    pub(super) fn right(&self) -> usize {
        let answered = self.asked.iter().zip(self.replies.finals());
        answered
            .filter(|(asked, reply)| asked.want.as_ref().is_some_and(|want| reply.is(want)))
            .count()
    }

    /// What is wrong about the responses, if each request has only one correct response.
    pub(super) fn wrong(&self) -> Option<String> {
        let finals: Vec<&Reply> = self.replies.finals().collect();
        for (nth, asked) in self.asked.iter().enumerate() {
            let Some(want) = &asked.want else { continue };
            let which = match self.asked.len() {
                1 => String::new(),
                _ => format!("request {} of {} ", nth + 1, self.asked.len()),
            };
            match finals.get(nth) {
                Some(reply) if reply.is(want) => {}
                Some(reply) => {
                    let got = referee::excerpt(&reply.body);
                    return Some(format!("{which}answered {} {got}", reply.status));
                }
                None if self.says_close() => break,
                None => return Some(format!("{which}not answered: {}", self.cell())),
            }
        }
        if finals.len() > self.asked.len() {
            return Some(format!(
                "too many responses: {} extra",
                finals.len() - self.asked.len()
            ));
        }
        if !self.replies.excess.is_empty() {
            let got = referee::excerpt(&self.replies.excess);
            return Some(format!("bytes that belong to no response: {got}"));
        }
        None
    }

    /// The cell's text, as in `200, kept` or `closed without a response`.
    pub(super) fn cell(&self) -> String {
        let answers = self.answers();
        if answers.is_empty() {
            return self.nothing();
        }
        match self.fate() {
            Some(fate) => format!("{answers}, {fate}"),
            None => answers,
        }
    }

    /// The statuses, as in `100, 201` or `200 ×16`.
    fn answers(&self) -> String {
        let mut groups: Vec<(String, usize)> = Vec::new();
        for (nth, reply) in self.replies.all.iter().enumerate() {
            let text = self.one(nth, reply);
            match groups.last_mut() {
                Some((last, count)) if *last == text => *count += 1,
                _ => groups.push((text, 1)),
            }
        }
        let excess = &self.replies.excess;
        if !excess.is_empty() {
            let text = match self.replies.all.last() {
                _ if excess.starts_with(b"HTTP/") => "half a response",
                Some(reply) if reply.whole && self.asked.iter().any(|asked| asked.head) => {
                    "with a body"
                }
                Some(_) => "bytes that are not a response",
                None => "no HTTP",
            };
            groups.push((text.to_owned(), 1));
        }
        let groups = groups.into_iter().map(|(text, count)| match count {
            1 => text,
            _ => format!("{text} ×{count}"),
        });
        groups.collect::<Vec<_>>().join(", ")
    }

    fn one(&self, nth: usize, reply: &Reply) -> String {
        if !reply.whole {
            return format!("{} cut off", reply.status);
        }
        let earlier = self.replies.all[..nth].iter();
        let position = earlier.filter(|reply| reply.is_final()).count();
        let wanted = self
            .asked
            .get(position)
            .and_then(|asked| asked.want.as_ref());
        match (wanted, reply.code()) {
            (Some(want), _) if reply.is_final() && reply.is(want) => reply.status.to_string(),
            (_, Some(code)) => format!("{} {code}", reply.status),
            (Some(_), None) if reply.status < 300 && reply.is_final() => {
                format!("{} (wrong)", reply.status)
            }
            _ => reply.status.to_string(),
        }
    }

    fn fate(&self) -> Option<String> {
        let text = match self.rest {
            Rest::Kept => "kept",
            Rest::OutOfStep => "then out of step",
            Rest::Mute => "then mute",
            Rest::Closed => return Some(self.timed("closed")),
            Rest::Reset => return Some(self.timed("reset")),
            Rest::Open if self.finish == Finish::LetGo => {
                return Some(format!("open after {} s", self.lasted.as_secs()));
            }
            Rest::Open | Rest::Left | Rest::None => return None,
        };
        Some(text.to_owned())
    }

    fn nothing(&self) -> String {
        match (self.rest, self.finish) {
            (Rest::None, _) => "no connection".to_owned(),
            (Rest::Left, _) => "left".to_owned(),
            (Rest::Closed, Finish::LetGo) => self.timed("closed"),
            (Rest::Reset, Finish::LetGo) => self.timed("reset"),
            (Rest::Closed, _) => "closed without a response".to_owned(),
            (Rest::Reset, _) => "reset without a response".to_owned(),
            (_, Finish::LetGo) => format!("open after {} s", self.lasted.as_secs()),
            _ => format!("no response in {} s", self.patience.as_secs()),
        }
    }

    /// The time of the end, if the case is about that.
    fn timed(&self, how: &str) -> String {
        match self.finish {
            Finish::LetGo if self.lasted < AT_ONCE => format!("{how} at once"),
            Finish::LetGo => format!("{how} after {:.0} s", self.lasted.as_secs_f64()),
            _ => how.to_owned(),
        }
    }
}

/// One cell for several scripts: the most common text, and the first that differs.
pub(super) fn cell_of_all(all: &[Seen]) -> String {
    let cells: Vec<String> = all.iter().map(Seen::cell).collect();
    let count = |text: &String| cells.iter().filter(|cell| *cell == text).count();
    let Some(usual) = cells.iter().max_by_key(|cell| count(cell)) else {
        return "not tried".to_owned();
    };
    let differing = || all.iter().zip(&cells).filter(|(_, cell)| *cell != usual);
    match (differing().next(), differing().count()) {
        (None, _) => usual.clone(),
        (Some((seen, cell)), 1) => format!("{usual}; {}: {cell}", seen.label),
        (Some((seen, cell)), many) => {
            format!("{usual}; {} (and {} more): {cell}", seen.label, many - 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::script::{Want, ping, user};
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(5);
    const PING: &str = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"status\":\"ok\"}";
    const BAD: &str = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";

    fn probed_answer() -> String {
        let Want::Json(_, body) = probe_want() else {
            panic!("the response to the probe is a user");
        };
        let body = body.to_string();
        format!(
            "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    /// `before`: received before the probe; `after`: after it, if it was sent.
    fn seen(script: &Script, before: &str, after: Option<&str>, end: End) -> Seen {
        let talk = Talk {
            received: format!("{before}{}", after.unwrap_or_default()).into_bytes(),
            probed_at: after.map(|_| before.len()),
            end,
            lasted: Duration::from_millis(10_100),
        };
        Seen::of(script, &talk, PATIENCE)
    }

    fn cell(before: &str, after: Option<&str>, end: End) -> String {
        seen(&Script::wanting("", ping()), before, after, end).cell()
    }

    #[test]
    fn answers_and_the_fate_of_the_connection_make_the_cell() {
        assert_eq!(cell(PING, Some(&probed_answer()), End::Open), "200, kept");
        assert_eq!(cell(PING, None, End::Closed), "200, closed");
        assert_eq!(cell(PING, Some(""), End::Closed), "200, closed");
        assert_eq!(cell(PING, Some(""), End::Open), "200, then mute");
        assert_eq!(cell(PING, Some(PING), End::Open), "200, then out of step");
        assert_eq!(cell(BAD, None, End::Reset), "400, reset");
        let twice = format!("{PING}{PING}");
        assert_eq!(cell(&twice, None, End::Closed), "200 ×2, closed");
    }

    #[test]
    fn no_answer_is_told_from_an_end() {
        assert_eq!(cell("", None, End::Closed), "closed without a response");
        assert_eq!(cell("", None, End::Reset), "reset without a response");
        assert_eq!(cell("", None, End::Open), "no response in 5 s");
        let refused = End::NotConnected("refused".to_owned());
        assert_eq!(cell("", None, refused), "no connection");
    }

    #[test]
    fn half_answers_and_other_bytes_are_named() {
        let cut = "HTTP/1.1 200 OK\r\nContent-Length: 15\r\n\r\n{\"sta";
        assert_eq!(cell(cut, None, End::Closed), "200 cut off, closed");
        assert_eq!(
            cell("HTTP/1.1 20", None, End::Closed),
            "half a response, closed"
        );
        assert_eq!(cell("SSH-2.0-x\r\n", None, End::Open), "no HTTP");
        let head = Script::new(Vec::new()).asking_head();
        assert_eq!(
            seen(&head, PING, None, End::Open).cell(),
            "200, with a body"
        );
    }

    #[test]
    fn a_wrong_body_and_a_code_of_the_contract_show() {
        let other = PING.replace("\"ok\"", "\"no\"");
        assert_eq!(cell(&other, None, End::Closed), "200 (wrong), closed");
        let body = r#"{"error":{"code":"not_found","message":"x"}}"#;
        let coded = format!(
            "HTTP/1.1 404 Not Found\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert_eq!(cell(&coded, None, End::Closed), "404 not_found, closed");
    }

    #[test]
    fn a_case_about_time_says_when() {
        let script = Script::one("").until(Finish::LetGo);
        assert_eq!(
            seen(&script, "", None, End::Closed).cell(),
            "closed after 10 s"
        );
        assert_eq!(seen(&script, "", None, End::Open).cell(), "open after 10 s");
        assert_eq!(
            seen(&script, BAD, None, End::Closed).cell(),
            "400, closed after 10 s"
        );
    }

    #[test]
    fn what_is_wrong_names_the_request() {
        let script = Script::wanting("", ping()).asking(Some(user(5)));
        let wrong = seen(&script, &format!("{PING}{PING}"), None, End::Open).wrong();
        assert!(wrong.unwrap().starts_with("request 2 of 2 answered 200"));
        let missing = seen(&script, PING, None, End::Closed).wrong().unwrap();
        assert!(
            missing.starts_with("request 2 of 2 not answered"),
            "{missing}"
        );
        let one = Script::wanting("", ping());
        assert_eq!(seen(&one, PING, None, End::Closed).wrong(), None);
        let twice = seen(&one, &format!("{PING}{PING}"), None, End::Closed).wrong();
        assert_eq!(twice.as_deref(), Some("too many responses: 1 extra"));
    }

    #[test]
    fn scripts_that_end_alike_share_a_cell() {
        let script = |label: &str| Script::wanting("", ping()).called(label);
        let same = |label| seen(&script(label), PING, None, End::Closed);
        let other = seen(&script("cut at 2"), BAD, None, End::Closed);
        assert_eq!(
            cell_of_all(&[same("cut at 1"), same("cut at 3")]),
            "200, closed"
        );
        let all = [same("cut at 1"), other.clone(), same("cut at 3")];
        assert_eq!(cell_of_all(&all), "200, closed; cut at 2: 400, closed");
        let all = [same("a"), other.clone(), other, same("c"), same("d")];
        assert_eq!(
            cell_of_all(&all),
            "200, closed; cut at 2 (and 1 more): 400, closed"
        );
    }
}
