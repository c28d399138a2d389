//! Unknown routes, wrong methods, and which error takes precedence.

use std::collections::HashSet;

use reqwest::Method;

use super::response::{
    INVALID_ORDER, MALFORMED_JSON, METHOD_NOT_ALLOWED, NOT_FOUND, PAYLOAD_TOO_LARGE,
    UNSUPPORTED_MEDIA_TYPE,
};
use super::subject::{Ask, Subject};
use super::{CheckDef, Outcome};

pub(super) const CHECKS: &[CheckDef] = checks! {
    "route-unknown" => route_unknown: "any other path returns 404 not_found, including a route's path with a trailing slash",
    "method-not-allowed" => method_not_allowed: "a known route with another method returns 405 method_not_allowed",
    "allow-header" => allow_header: "a 405 carries an Allow header with the methods the route has",
    "error-precedence" => precedence: "if two errors apply, the one first in the contract's table is returned",
};

const UNKNOWN: [&str; 20] = [
    "/",
    "//ping",
    "/api/v1//users",
    "/api/v1/orders//7",
    "/nothing",
    "/ping/",
    "/ping/1",
    "/PING",
    "/pingpong",
    "/api/v1",
    "/api/v1/",
    "/api/v1/user",
    "/api/v1/users/",
    // The route comes before its parameters.
    "/api/v1/users/?limit=0",
    "/api/v1/users/1/",
    "/api/v1/users/1/orders",
    "/api/v1/orders/",
    "/api/v1/orders/1/",
    "/api/v2/users",
    "/api/v2/orders",
];

/// Routes, their methods, and some they do not have. A wrong parameter doesn't matter.
const ROUTES: [(&str, &[&str], &[Method]); 9] = [
    ("/ping", &["GET"], &GET_ONLY),
    ("/api/v1/users", &["GET"], &GET_ONLY),
    ("/api/v1/users?limit=0", &["GET"], &GET_ONLY),
    ("/api/v1/users/7", &["GET"], &GET_ONLY),
    ("/api/v1/users/abc", &["GET"], &GET_ONLY),
    ("/api/v1/orders", &["GET", "POST"], &GET_AND_POST),
    ("/api/v1/orders?page=0", &["GET", "POST"], &GET_AND_POST),
    ("/api/v1/orders/7", &["GET"], &GET_ONLY),
    ("/api/v1/orders/abc", &["GET"], &GET_ONLY),
];
const GET_ONLY: [Method; 4] = [Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
const GET_AND_POST: [Method; 3] = [Method::PUT, Method::DELETE, Method::PATCH];

fn route_unknown(subject: &Subject) -> Outcome {
    for path in UNKNOWN {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            subject.ask(&Ask::new(method, path))?.is_error(NOT_FOUND)?;
        }
    }
    Ok(())
}

fn method_not_allowed(subject: &Subject) -> Outcome {
    ROUTES
        .iter()
        .try_for_each(|(path, _, others)| is_refused(subject, path, others))
}

fn allow_header(subject: &Subject) -> Outcome {
    ROUTES
        .iter()
        .try_for_each(|(path, has, others)| is_allowed(subject, path, has, others))
}

/// A route with other methods returns 405, and `Allow` has its own.
pub(super) fn other_methods(
    subject: &Subject,
    path: &str,
    has: &[&str],
    others: &[Method],
) -> Outcome {
    is_refused(subject, path, others)?;
    is_allowed(subject, path, has, others)
}

/// A trailing slash makes another route.
pub(super) fn trailing_slash(subject: &Subject, path: &str) -> Outcome {
    for method in [Method::GET, Method::POST] {
        let ask = Ask::new(method, format!("{path}/"));
        subject.ask(&ask)?.is_error(NOT_FOUND)?;
    }
    Ok(())
}

fn is_refused(subject: &Subject, path: &str, others: &[Method]) -> Outcome {
    for method in others {
        let ask = Ask::new(method.clone(), path);
        // Neither type nor body of the second is right, which doesn't matter.
        for ask in [ask.clone(), ask.with_body(Some("text/plain"), "{")] {
            subject.ask(&ask)?.is_error(METHOD_NOT_ALLOWED)?;
        }
    }
    Ok(())
}

fn is_allowed(subject: &Subject, path: &str, has: &[&str], others: &[Method]) -> Outcome {
    for method in others {
        let answer = subject.ask(&Ask::new(method.clone(), path))?;
        let named: HashSet<String> = answer
            .headers
            .get_all("allow")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(|name| name.trim().to_owned())
            .collect();
        let complete = has.iter().all(|name| named.contains(*name));
        if !complete || named.contains(method.as_str()) {
            let expected = format!("Allow: {}; it was {named:?}", has.join(", "));
            return Err(answer.wrong(expected));
        }
    }
    Ok(())
}

fn precedence(subject: &Subject) -> Outcome {
    let json = Some("application/json");
    let text = Some("text/plain");
    let large = vec![b'{'; 20_000];
    let post = |content_type, body: &[u8]| Ask::to_orders(Method::POST, content_type, body);
    let cases = [
        (
            Ask::new(Method::POST, "/api/v1/order").with_body(text, "{"),
            NOT_FOUND,
        ),
        (
            Ask::new(Method::POST, "/api/v1/orders/")
                .with_body(json, r#"{"item_id":"SKU-001","qty":1}"#),
            NOT_FOUND,
        ),
        (
            Ask::new(Method::DELETE, "/api/v1/users?limit=0"),
            METHOD_NOT_ALLOWED,
        ),
        (
            Ask::new(Method::DELETE, "/api/v1/users/abc"),
            METHOD_NOT_ALLOWED,
        ),
        (Ask::to_orders(Method::PUT, text, "{"), METHOD_NOT_ALLOWED),
        (post(json, &large), PAYLOAD_TOO_LARGE),
        (post(text, b"{"), UNSUPPORTED_MEDIA_TYPE),
        (post(None, b"{"), UNSUPPORTED_MEDIA_TYPE),
        (post(text, b"[]"), UNSUPPORTED_MEDIA_TYPE),
        (
            post(text, br#"{"item_id":"none","qty":0}"#),
            UNSUPPORTED_MEDIA_TYPE,
        ),
        (post(json, br#"{"item_id":"none","qty":0"#), MALFORMED_JSON),
        (
            post(json, br#"{"item_id":"SKU-LIMITED","qty":1001}"#),
            INVALID_ORDER,
        ),
    ];
    for (ask, error) in cases {
        subject.ask(&ask)?.is_error(error)?;
    }
    // Both apply; the contract allows either.
    let answer = subject.ask(&post(text, &large))?;
    answer
        .is_error(PAYLOAD_TOO_LARGE)
        .or_else(|_| answer.is_error(UNSUPPORTED_MEDIA_TYPE))
}
