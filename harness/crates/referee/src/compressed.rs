//! `GET /api/v1/compressed`: the page of a download, compressed if the request accepts gzip or Brotli.

use std::io::Read as _;

use brotli::Decompressor;
use flate2::bufread::MultiGzDecoder;
use reqwest::Method;
use serde_json::Value;

use super::bodies::DOWNLOAD;
use super::errors::{other_methods, trailing_slash};
use super::model::Page;
use super::response::Response;
use super::subject::{Ask, Subject};
use super::users::refuses_values;
use super::{CheckDef, Outcome};

pub(super) const PATH: &str = "/api/v1/compressed";
/// A shorter body may be sent as it is.
pub(super) const MUST_COMPRESS: usize = 1_024;
const GZIP: &str = "gzip";
const BROTLI: &str = "br";
/// Each is used for a request that accepts no other.
pub(super) const CODINGS: [&str; 2] = [GZIP, BROTLI];
/// A body that is longer when decompressed is wrong.
const MOST: u64 = 1 << 20;

pub(super) const CHECKS: &[CheckDef] = checks! {
    "compressed-gzip" => gzip:
        "with Accept-Encoding: gzip the page comes with Content-Encoding: gzip and Vary: Accept-Encoding, and is gzip",
    "compressed-br" => br:
        "with Accept-Encoding: br the page comes with Content-Encoding: br and Vary: Accept-Encoding, and is Brotli",
    "compressed-identity" => identity: "if the request accepts neither gzip nor Brotli, the page isn't compressed",
    "compressed-range" => range: "limit is 1 to 1,000 and page 1 to 1,000,000, otherwise 400 invalid_parameter",
    "compressed-method" => method: "it allows only GET, and its path with a trailing slash is not a route",
    "compressed-only" => only: "no other route compresses its responses",
};

/// Pages of 1 KiB and more.
const PAGES: [(&str, u64, u64); 4] = [
    ("", 600, 1),
    ("?page=17", 600, 17),
    ("?limit=1000&page=10", 1_000, 10),
    ("?page=%33&limit=0101&status=none", 101, 3),
];

fn gzip(subject: &Subject) -> Outcome {
    let accepted = ["gzip", "gzip;q=0.5", "identity;q=0.1, gzip"];
    compresses(subject, GZIP, accepted)
}

fn br(subject: &Subject) -> Outcome {
    let accepted = ["br", "br;q=0.5", "identity;q=0.1, br"];
    compresses(subject, BROTLI, accepted)
}

fn compresses(subject: &Subject, coding: &str, accepted: [&'static str; 3]) -> Outcome {
    for accepted in accepted {
        for (query, limit, page) in PAGES {
            let body = subject.model.users(None, Page { limit, page });
            let ask = Ask::get(format!("{PATH}{query}")).accepting(accepted);
            is_encoded(&subject.ask(&ask)?, coding, &body)?;
        }
    }
    Ok(())
}

fn is_encoded(answer: &Response, coding: &str, body: &Value) -> Outcome {
    let encoding = answer.header("content-encoding").unwrap_or("(none)");
    if !encoding.eq_ignore_ascii_case(coding) {
        return Err(answer.wrong(format!("Content-Encoding: {coding}; it was {encoding}")));
    }
    let mut vary = answer.headers.get_all("vary").iter();
    if !vary.any(|value| value.to_str().is_ok_and(names_accept_encoding)) {
        return Err(answer.wrong("Vary: Accept-Encoding, as the body depends on it"));
    }
    let length = answer.body.len();
    let plain = decode(coding, &answer.body).map_err(|error| {
        answer.wrong(format!(
            "{coding}, as its Content-Encoding says, in these {length} bytes: {error}"
        ))
    })?;
    if plain.len() <= length {
        return Err(answer.wrong(format!("fewer bytes than the {} of the page", plain.len())));
    }
    answer.with_body(plain).is(200, body)
}

fn names_accept_encoding(vary: &str) -> bool {
    vary.split(',').any(|name| {
        let name = name.trim();
        name == "*" || name.eq_ignore_ascii_case("accept-encoding")
    })
}

fn decode(coding: &str, body: &[u8]) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    let read = match coding {
        BROTLI => {
            let mut decoder = Decompressor::new(body, body.len());
            let mut bounded = decoder.by_ref().take(MOST + 1);
            let read = bounded.read_to_end(&mut plain);
            // Bytes that follow the end make only another read fail.
            read.and_then(|_| decoder.read(&mut [0]))
        }
        _ => MultiGzDecoder::new(body)
            .take(MOST + 1)
            .read_to_end(&mut plain),
    };
    read.map_err(|error| error.to_string())?;
    match plain.len() as u64 <= MOST {
        true => Ok(plain),
        false => Err(format!("more than {MOST} bytes")),
    }
}

/// The body of a request that accepts no coding.
fn identity(subject: &Subject) -> Outcome {
    for accepted in [
        None,
        Some("identity"),
        Some("gzip;q=0"),
        Some("br;q=0"),
        Some("unknown"),
    ] {
        for (query, limit, page) in PAGES {
            let mut ask = Ask::get(format!("{PATH}{query}"));
            ask.accept_encoding = accepted;
            let answer = subject.ask(&ask)?;
            is_identity(&answer)?;
            answer.is(200, &subject.model.users(None, Page { limit, page }))?;
        }
    }
    Ok(())
}

fn is_identity(answer: &Response) -> Outcome {
    match answer.header("content-encoding") {
        None | Some("identity") => Ok(()),
        Some(other) => Err(answer.wrong(format!(
            "no Content-Encoding that the request doesn't accept; it was {other}"
        ))),
    }
}

fn range(subject: &Subject) -> Outcome {
    refuses_values(subject, PATH, "limit", "1001")?;
    refuses_values(subject, PATH, "page", "1000001")
}

fn method(subject: &Subject) -> Outcome {
    trailing_slash(subject, PATH)?;
    let others = [Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
    other_methods(subject, PATH, &["GET"], &others)
}

fn only(subject: &Subject) -> Outcome {
    for target in [
        "/ping",
        "/api/v1/users?limit=100",
        "/api/v1/orders",
        DOWNLOAD,
    ] {
        let answer = subject.ask(&Ask::get(target).accepting("gzip, br"))?;
        if let Some(encoding) = answer.header("content-encoding") {
            return Err(answer.wrong(format!("no Content-Encoding; it was {encoding}")));
        }
    }
    Ok(())
}
