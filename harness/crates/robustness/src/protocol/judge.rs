//! Judges whether observed behaviour agrees with the standard.
//!
//! There are three verdicts: every MUST is kept; the standard leaves it open or only recommends otherwise; a
//! MUST is broken.

use super::seen::{Rest, Seen};

/// Whether what a server did agrees with RFC 9110 and RFC 9112.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Agreement {
    /// It does what the standard requires.
    Follows,
    /// The standard leaves it open, or recommends another way without requiring it.
    Permitted,
    /// It violates a requirement of the standard.
    Deviates,
}

/// The judgement of a behaviour.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Whether it agrees with the standard.
    pub agreement: Agreement,
    /// What a user of the server should know, if anything.
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

/// A valid request: it must get its only correct response.
pub(super) fn answered(seen: &Seen) -> Judgement {
    match (seen.wrong(), seen.rest) {
        (Some(_), _) => deviates("a valid request does not get the correct response"),
        (None, _) if seen.closes_early() => {
            permitted("it closes before all requests are answered, and says so")
        }
        (None, Rest::OutOfStep) => deviates("the next request gets a wrong response"),
        (None, Rest::Mute) => deviates("the connection stays open but no longer responds"),
        (None, Rest::Reset) => {
            permitted("the connection is reset after the response, which can lose the response")
        }
        (None, _) => follows(),
    }
}

/// A request with broken framing or syntax: must be refused with 400, and the connection ended.
pub(super) fn refused(seen: &Seen) -> Judgement {
    match seen.status() {
        Some(400) if seen.replies.finals().count() > 1 => deviates(
            "what follows the broken request on the connection is answered as a further request",
        ),
        Some(400) if seen.ended() => follows(),
        Some(400) => deviates(
            "the connection is kept after a request whose end is uncertain: behind a proxy that \
             reads it differently, requests can be smuggled",
        ),
        Some(400..=499 | 501 | 505) if seen.ended() => {
            permitted("refused with another status than the 400 the standard names")
        }
        Some(400..=499 | 501 | 505) => deviates("refused, but the connection is kept"),
        Some(500..=599) => deviates("a client error is answered as a server error"),
        Some(_) => deviates(
            "accepted as a valid request: a proxy in front may read it differently, which is how \
             requests are smuggled",
        ),
        None => unanswered(seen),
    }
}

/// A request that must be refused, but whose end is clear, so that the connection may stay open.
pub(super) fn refused_or_kept(seen: &Seen) -> Judgement {
    match (seen.status(), seen.rest) {
        (Some(400), Rest::Kept | Rest::Closed | Rest::Reset) => follows(),
        (Some(400..=499 | 501 | 505), Rest::Kept | Rest::Closed | Rest::Reset) => {
            permitted("refused with another status than the 400 the standard names")
        }
        (Some(500..=599), _) => deviates("a client error is answered as a server error"),
        (Some(_), Rest::OutOfStep | Rest::Mute) => {
            deviates("the connection is out of step after it")
        }
        (Some(_), _) => deviates("accepted as a valid request"),
        (None, _) => unanswered(seen),
    }
}

/// A request that the standard allows a server to accept or refuse.
pub(super) fn either(seen: &Seen) -> Judgement {
    match (seen.status(), seen.rest) {
        (Some(_), Rest::OutOfStep | Rest::Mute) => {
            deviates("the connection is out of step after it")
        }
        (Some(200..=299), _) if seen.wrong().is_some() => {
            deviates("accepted, but with a wrong response")
        }
        (Some(200..=499 | 501 | 505), _) => follows(),
        (Some(_), _) => deviates("a client error is answered as a server error"),
        (None, _) => unanswered(seen),
    }
}

/// A valid request of unusual size: accepted, or refused with a status that says so.
pub(super) fn taken_or_too_large(seen: &Seen) -> Judgement {
    match (seen.status(), seen.ended()) {
        (Some(200..=299), _) => answered(seen),
        (Some(413 | 414 | 431), _) => permitted("refused as too large, and the client is told so"),
        (Some(400..=499), _) => {
            permitted("refused as too large, with a status that does not say why")
        }
        (Some(_), _) => deviates("a client error is answered as a server error"),
        (None, _) => unanswered(seen),
    }
}

/// A missing response.
pub(super) fn unanswered(seen: &Seen) -> Judgement {
    match (seen.rest, seen.replies.excess.is_empty()) {
        (_, false) => deviates("what is sent is not an HTTP response"),
        (Rest::Closed | Rest::Reset, true) => deviates(
            "the connection ends without a response: a client can't tell this from a crash",
        ),
        (Rest::None, _) => deviates("no connection could be opened"),
        _ => deviates("no response, and the connection is kept open"),
    }
}

/// How long the server waits for a client that stops sending.
pub(super) fn let_go(seen: &Seen) -> Judgement {
    if seen.ended() {
        return follows();
    }
    permitted(
        "such a client is not timed out: without a proxy in front, a few thousand \
         of them use up all file descriptors",
    )
}

/// The worst of several judgements.
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
