//! Large bodies: `GET /api/v1/download` and `POST /api/v1/upload`.

use rand::RngExt;
use reqwest::Method;
use serde_json::{Value, json};

use super::errors::{other_methods, trailing_slash};
use super::model::{MAX_PAGE, Page};
use super::response::PAYLOAD_TOO_LARGE;
use super::subject::{Ask, Subject};
use super::users::refuses_values;
use super::{CheckDef, Outcome};

pub(super) const DOWNLOAD: &str = "/api/v1/download";
/// If the request doesn't say.
pub(super) const DEFAULT_LIMIT: u64 = 600;
pub(super) const MAX_LIMIT: u64 = 1_000;
pub(super) const UPLOAD: &str = "/api/v1/upload";
pub(super) const MAX_UPLOAD: usize = 64 * 1024;

pub(super) const DOWNLOAD_CHECKS: &[CheckDef] = checks! {
    "download-pages" => download_pages: "a page has up to 1,000 users of any status, 600 if the limit is absent",
    "download-range" => download_range: "limit is 1 to 1,000 and page 1 to 1,000,000, otherwise 400 invalid_parameter",
    "download-method" => download_method: "it allows only GET, and its path with a trailing slash is not a route",
};

pub(super) const UPLOAD_CHECKS: &[CheckDef] = checks! {
    "upload-sum" => upload_sum: "the response has the length of the body and the sum of its bytes, whatever its type",
    "upload-limit" => upload_limit: "a body of 64 KiB is accepted, one byte more returns 413 payload_too_large",
    "upload-method" => upload_method: "it allows only POST, and its path with a trailing slash is not a route",
};

fn download_pages(subject: &Subject) -> Outcome {
    for (query, limit, page) in [
        ("", DEFAULT_LIMIT, 1),
        ("?page=17", DEFAULT_LIMIT, 17),
        ("?page=18", DEFAULT_LIMIT, 18),
        ("?limit=1000&page=10", MAX_LIMIT, 10),
        ("?limit=1&page=10000", 1, 10_000),
        ("?page=%33&limit=0101&status=none", 101, 3),
        ("?page=1000000", DEFAULT_LIMIT, MAX_PAGE),
    ] {
        let page = Page { limit, page };
        subject.returns(
            format!("{DOWNLOAD}{query}"),
            &subject.model.users(None, page),
        )?;
    }
    Ok(())
}

fn download_range(subject: &Subject) -> Outcome {
    refuses_values(subject, DOWNLOAD, "limit", "1001")?;
    refuses_values(subject, DOWNLOAD, "page", "1000001")
}

fn download_method(subject: &Subject) -> Outcome {
    trailing_slash(subject, DOWNLOAD)?;
    let others = [Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
    other_methods(subject, DOWNLOAD, &["GET"], &others)
}

/// The response to an upload.
pub(super) fn received(body: &[u8]) -> Value {
    let sum: u64 = body.iter().map(|byte| u64::from(*byte)).sum();
    json!({"bytes": body.len(), "sum": sum})
}

fn upload(subject: &Subject, content_type: Option<&'static str>, body: &[u8]) -> Outcome {
    let ask = Ask::new(Method::POST, UPLOAD).with_body(content_type, body);
    subject.ask(&ask)?.is(200, &received(body))
}

fn upload_sum(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("upload-sum");
    let types = [
        None,
        Some("application/octet-stream"),
        Some("application/json"),
        Some("text/plain"),
    ];
    for (number, length) in [0, 1, 2, 1_000, 16_384, 16_385, 40_000, MAX_UPLOAD]
        .into_iter()
        .enumerate()
    {
        let body: Vec<u8> = (0..length).map(|_| rng.random()).collect();
        upload(subject, types[number % types.len()], &body)?;
    }
    Ok(())
}

fn upload_limit(subject: &Subject) -> Outcome {
    upload(subject, None, &[255; MAX_UPLOAD])?;
    for length in [MAX_UPLOAD + 1, 2 * MAX_UPLOAD] {
        let ask = Ask::new(Method::POST, UPLOAD).with_body(None, vec![b'a'; length]);
        subject.ask(&ask)?.is_error(PAYLOAD_TOO_LARGE)?;
        // The unread rest of a body must not be taken for the next request.
        subject.returns("/ping", &json!({"status": "ok"}))?;
    }
    Ok(())
}

fn upload_method(subject: &Subject) -> Outcome {
    trailing_slash(subject, UPLOAD)?;
    let others = [Method::GET, Method::PUT, Method::DELETE, Method::PATCH];
    other_methods(subject, UPLOAD, &["POST"], &others)
}
