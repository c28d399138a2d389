//! What may be secret, by its name.

use serde_json::Value;

/// Words in the names of headers, parameters and members that hold secrets.
const WORDS: [&str; 16] = [
    "authoriz",
    "authentic",
    "x-auth",
    "oauth",
    "cookie",
    "token",
    "secret",
    "session",
    "password",
    "passwd",
    "credential",
    "apikey",
    "api-key",
    "csrf",
    "xsrf",
    "signature",
];
/// Whole names.
const NAMES: [&str; 7] = ["auth", "key", "sid", "sig", "jwt", "pin", "otp"];

/// Whether something of this name may hold a secret.
pub(in crate::cmd) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('_', "-");
    NAMES.contains(&name.as_str()) || WORDS.iter().any(|word| name.contains(word))
}

/// The first member of a body that may hold a secret.
pub(super) fn in_json(body: &Value) -> Option<&str> {
    match body {
        Value::Object(members) => members
            .iter()
            .find_map(|(name, value)| match is_secret(name) {
                true => Some(name.as_str()),
                false => in_json(value),
            }),
        Value::Array(items) => items.iter().find_map(in_json),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_their_names() {
        for name in [
            "Authorization",
            "Proxy-Authorization",
            "Cookie",
            "X-Auth-Token",
            "X-API-Key",
            "api_key",
            "access_token",
            "X-CSRF-Token",
            "X-Amz-Signature",
            "sessionid",
            "PASSWORD",
            "sid",
            "X-Amz-Security-Token",
        ] {
            assert!(is_secret(name), "{name}");
        }
        for name in [
            "Accept",
            "Content-Type",
            "X-Request-Id",
            "page",
            "author_id",
            "keyword",
            "item_id",
        ] {
            assert!(!is_secret(name), "{name}");
        }
        let body = serde_json::json!({"user": "a", "login": [{"password": "b"}]});
        assert_eq!(in_json(&body), Some("password"));
        assert_eq!(in_json(&serde_json::json!({"qty": 1})), None);
    }
}
