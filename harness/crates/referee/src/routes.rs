//! Which paths are routes, and which methods they have.

use rand::RngExt;
use rand::seq::IndexedRandom;
use reqwest::Method;

use super::response::{INVALID_PARAMETER, METHOD_NOT_ALLOWED, NOT_FOUND, UNSUPPORTED_MEDIA_TYPE};
use super::subject::{Ask, Subject};
use super::{CheckDef, Outcome};

const DRAWN: usize = 120;
const SEGMENTS: [&str; 12] = [
    "", "ping", "api", "v1", "v2", "users", "orders", "user", "7", "Users", "me", "0x7",
];
const METHODS: [&str; 5] = ["GET", "POST", "PUT", "DELETE", "PATCH"];

pub(super) const CHECKS: &[CheckDef] = checks! {
    "routes-drawn" => drawn:
        "paths built from segments such as api, v1 and users are routes only if the contract defines them, with any method",
    "method-unknown" => unknown_method: "an unknown method returns 405 on a route and 404 elsewhere",
};

/// The methods of a path; `None` if it is not a route.
fn methods(path: &str) -> Option<&'static [&'static str]> {
    match path.split('/').skip(1).collect::<Vec<_>>()[..] {
        ["ping"] | ["api", "v1", "users"] => Some(&["GET"]),
        ["api", "v1", "orders"] => Some(&["GET", "POST"]),
        ["api", "v1", "users" | "orders", id] if !id.is_empty() => Some(&["GET"]),
        _ => None,
    }
}

fn drawn(subject: &Subject) -> Outcome {
    let mut rng = subject.rng("routes-drawn");
    for _ in 0..DRAWN {
        // Most begin like the service's own paths, otherwise nearly all would be rejected at the first segment.
        let start = *["", "/api/v1", "/api/v1", "/api/v1"]
            .choose(&mut rng)
            .unwrap_or(&"");
        let length = rng.random_range(1..=3);
        let path: String = (0..length)
            .map(|_| format!("/{}", SEGMENTS.choose(&mut rng).unwrap_or(&"")))
            .collect();
        let path = format!("{start}{path}");
        let method = *METHODS.choose(&mut rng).unwrap_or(&"GET");
        expect(subject, &path, method)?;
    }
    Ok(())
}

fn expect(subject: &Subject, path: &str, method: &str) -> Outcome {
    let answer = subject.ask(&Ask::new(known(method)?, path))?;
    match (methods(path), path, method) {
        (None, _, _) => answer.is_error(NOT_FOUND),
        (Some(methods), _, _) if !methods.contains(&method) => answer.is_error(METHOD_NOT_ALLOWED),
        // It has no Content-Type.
        (_, _, "POST") => answer.is_error(UNSUPPORTED_MEDIA_TYPE),
        // Whether this order exists depends on earlier checks.
        (_, "/api/v1/orders/7", _) => Ok(()),
        (_, "/ping" | "/api/v1/users" | "/api/v1/orders" | "/api/v1/users/7", _) => {
            match answer.status {
                200 => Ok(()),
                _ => Err(answer.wrong("200")),
            }
        }
        _ => answer.is_error(INVALID_PARAMETER),
    }
}

fn unknown_method(subject: &Subject) -> Outcome {
    for path in ["/ping", "/api/v1/users", "/api/v1/orders/7", "/nothing"] {
        expect(subject, path, "PURGE")?;
    }
    Ok(())
}

fn known(method: &str) -> Result<Method, String> {
    Method::from_bytes(method.as_bytes()).map_err(|error| error.to_string())
}
