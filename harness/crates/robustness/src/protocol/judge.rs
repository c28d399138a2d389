//! From what was seen to whether it agrees with the standard.
//!
//! Three answers, no more: a MUST is kept, the standard leaves it open or only recommends
//! otherwise, a MUST is broken.

use super::seen::{Rest, Seen};

/// Whether what a server did agrees with RFC 9110 and RFC 9112.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// It does what the standard asks.
    Follows,
    /// The standard leaves it open, or recommends another way without requiring it.
    Permitted,
    /// It is against what the standard requires.
    Deviates,
}

/// What is held of a behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it agrees with the standard.
    pub agreement: Agreement,
    /// What a user of the server should know of it, where there is something.
    pub note: Option<String>,
}

use Agreement::{Deviates, Follows, Permitted};

pub(super) fn follows() -> Judgement {
    Judgement {
        agreement: Follows,
        note: None,
    }
}

pub(super) fn permitted(note: &str) -> Judgement {
    Judgement {
        agreement: Permitted,
        note: Some(note.to_owned()),
    }
}

pub(super) fn deviates(note: &str) -> Judgement {
    Judgement {
        agreement: Deviates,
        note: Some(note.to_owned()),
    }
}

/// A valid request: it must get its one right answer.
pub(super) fn answered(seen: &Seen) -> Judgement {
    match (seen.wrong(), seen.rest) {
        (Some(_), _) => deviates("a valid request does not get its right answer"),
        (None, _) if seen.closes_early() => {
            permitted("it closes before all requests are answered, and says so")
        }
        (None, Rest::OutOfStep) => deviates("the next request gets a wrong answer"),
        (None, Rest::Mute) => deviates("the connection stays open and answers no more"),
        (None, Rest::Reset) => {
            permitted("the connection is reset after the answer, which can take the answer with it")
        }
        (None, _) => follows(),
    }
}

/// A request whose framing or syntax is broken: refused with 400, the connection ended.
pub(super) fn refused(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(400) if seen.replies.finals().count() > 1 => deviates(
            "what follows the broken request on the connection is answered as a further request",
        ),
        Some(400) if seen.ended() => follows(),
        Some(400) => deviates(
            "the connection is kept after a request whose end is uncertain: behind a proxy that \
             reads it otherwise, requests can be smuggled",
        ),
        Some(400..=499 | 501 | 505) if seen.ended() => {
            permitted("refused with another status than the 400 the standard names")
        }
        Some(400..=499 | 501 | 505) => deviates("refused, but the connection is kept"),
        Some(500..=599) => deviates("a client's fault is answered as the server's own"),
        Some(_) => deviates(
            "taken as a valid request: a proxy in front may read it otherwise, which is how \
             requests are smuggled",
        ),
        None => unanswered(seen),
    }
}

/// A request that has to be refused, but whose end is plain, so that the connection may stay.
pub(super) fn refused_or_kept(seen: &Seen) -> Judgement {
    match (seen.status(), seen.rest) {
        (Some(400), Rest::Kept | Rest::Closed | Rest::Reset) => follows(),
        (Some(400..=499 | 501 | 505), Rest::Kept | Rest::Closed | Rest::Reset) => {
            permitted("refused with another status than the 400 the standard names")
        }
        (Some(500..=599), _) => deviates("a client's fault is answered as the server's own"),
        (Some(_), Rest::OutOfStep | Rest::Mute) => {
            deviates("the connection is out of step after it")
        }
        (Some(_), _) => deviates("taken as a valid request"),
        (None, _) => unanswered(seen),
    }
}

/// A request the standard lets a server take or refuse.
pub(super) fn either(seen: &Seen) -> Judgement {
    match (seen.status(), seen.rest) {
        (Some(_), Rest::OutOfStep | Rest::Mute) => {
            deviates("the connection is out of step after it")
        }
        (Some(200..=299), _) if seen.wrong().is_some() => deviates("taken, and answered wrongly"),
        (Some(200..=499 | 501 | 505), _) => follows(),
        (Some(_), _) => deviates("a client's fault is answered as the server's own"),
        (None, _) => unanswered(seen),
    }
}

/// A valid request of unusual size: taken, or refused with a status that says so.
pub(super) fn taken_or_too_large(seen: &Seen) -> Judgement {
    match (seen.status(), seen.ended()) {
        (Some(200..=299), _) => answered(seen),
        (Some(413 | 414 | 431), _) => {
            permitted("refused as too large; a client that needs it is told so")
        }
        (Some(400..=499), _) => {
            permitted("refused as too large, with a status that does not say why")
        }
        (Some(_), _) => deviates("a client's fault is answered as the server's own"),
        (None, _) => unanswered(seen),
    }
}

/// No answer where one is due.
pub(super) fn unanswered(seen: &Seen) -> Judgement {
    match (seen.rest, seen.replies.excess.is_empty()) {
        (_, false) => deviates("what is sent is no HTTP answer"),
        (Rest::Closed | Rest::Reset, true) => {
            deviates("the connection ends without an answer: a client can't tell this from a crash")
        }
        (Rest::None, _) => deviates("no connection could be made"),
        _ => deviates("no answer, and the connection is held open"),
    }
}

/// How long a client that does not go on is waited for.
pub(super) fn let_go(seen: &Seen) -> Judgement {
    if seen.ended() {
        return follows();
    }
    permitted(
        "such a client is waited for as long as it likes: without a proxy in front, a few thousand \
         of them hold all descriptors",
    )
}

/// The worst of several.
pub(super) fn worst(judgements: Vec<Judgement>) -> Judgement {
    let worst =
        judgements
            .into_iter()
            .reduce(|worst, other| match other.agreement > worst.agreement {
                true => other,
                false => worst,
            });
    worst.unwrap_or_else(follows)
}
