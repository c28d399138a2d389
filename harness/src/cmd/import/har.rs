//! A HAR file (HTTP archive 1.2): the requests that a browser or a proxy recorded, each as often as it occurs.

use std::collections::BTreeMap;

use anyhow::Result;
use reqwest::Url;
use serde_json::Value;

use super::secret::{in_json, is_secret};
use super::{Body, Imported, Request, encoded};
use catalog::{header_problem, is_token};

const METHODS: [&str; 6] = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"];
const WITH_BODY: [&str; 3] = ["POST", "PUT", "PATCH"];

/// Headers that belong to a connection, or that the load generator sets.
const OF_CONNECTION: [&str; 12] = [
    "host",
    "connection",
    "content-length",
    "transfer-encoding",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "upgrade",
    "http2-settings",
    "expect",
    "accept-charset",
];
/// Headers about the browser, and those that make a response depend on what the browser had stored.
const OF_BROWSER: [&str; 9] = [
    "user-agent",
    "referer",
    "origin",
    "dnt",
    "priority",
    "upgrade-insecure-requests",
    "cache-control",
    "pragma",
    "range",
];

/// The requests to one host, by how often they occur.
///
/// # Errors
/// [`crate::flags::Usage`] if there are none to `host`.
pub(super) fn import(document: &Value, host: Option<&str>, keep_secrets: bool) -> Result<Imported> {
    let mut imported = Imported::default();
    let mut by_host: BTreeMap<String, Vec<(Url, &Value)>> = BTreeMap::new();
    for entry in document["log"]["entries"].as_array().into_iter().flatten() {
        let text = entry["request"]["url"].as_str().unwrap_or_default();
        match Url::parse(text) {
            Ok(url) if ["http", "https"].contains(&url.scheme()) && url.host_str().is_some() => {
                by_host
                    .entry(authority(&url))
                    .or_default()
                    .push((url, entry));
            }
            Ok(url) => {
                imported.leave_out(format!("a request by {}:, which is not HTTP", url.scheme()))
            }
            Err(error) => imported.leave_out(format!("a request whose URL can't be read: {error}")),
        }
    }
    let most = by_host.iter().max_by_key(|(_, entries)| entries.len());
    let chosen = match (host, most) {
        (Some(host), _) => {
            let mut hosts = by_host.keys();
            let named = hosts.find(|known| *known == host || known.split(':').next() == Some(host));
            let Some(named) = named else {
                let known: Vec<&str> = by_host.keys().map(String::as_str).collect();
                refuse!(
                    "--host {host}: no request was sent there; known: {}",
                    known.join(", ")
                );
            };
            named.clone()
        }
        (None, Some((most, _))) => most.clone(),
        (None, None) => return Ok(imported),
    };
    let plural = |count: usize| words::counted(count, "request");
    for (other, entries) in by_host.iter().filter(|(other, _)| **other != chosen) {
        imported.leave_out(format!(
            "{} to {other}, another host; --host {other} imports those",
            plural(entries.len())
        ));
    }
    imported.about = format!("Recorded requests to {chosen}, weighted by frequency");
    for (url, entry) in &by_host[&chosen] {
        match request(url, entry, keep_secrets) {
            Err(why) => imported.leave_out(why),
            Ok((request, secrets)) => {
                for secret in secrets {
                    imported.leave_out(secret);
                }
                let mut known = imported.requests.iter_mut();
                let same = known.find(|known| {
                    Request {
                        weight: 1,
                        ..(**known).clone()
                    } == request
                });
                match same {
                    Some(same) => same.weight += 1,
                    None => imported.requests.push(request),
                }
            }
        }
    }
    imported
        .requests
        .sort_by_key(|request| std::cmp::Reverse(request.weight));
    Ok(imported)
}

/// Host and port, as a URL shows them.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The request, and what may be secret and was left out of it; or why there is none.
fn request(url: &Url, entry: &Value, keep_secrets: bool) -> Result<(Request, Vec<String>), String> {
    let recorded = &entry["request"];
    let method = recorded["method"]
        .as_str()
        .unwrap_or_default()
        .to_ascii_uppercase();
    let line = format!("{method} {}", url.path());
    if !METHODS.contains(&method.as_str()) {
        return Err(format!("{line}: a workload can't send {method}"));
    }
    if entry["_fromCache"].is_string() {
        return Err(format!(
            "{line}: the browser had it in its cache and sent no request"
        ));
    }
    if entry["_resourceType"] == "websocket" {
        return Err(format!("{line}: a WebSocket"));
    }
    // 304 is the answer to a condition, which is not imported.
    match entry["response"]["status"].as_i64() {
        Some(200..=299 | 304) => {}
        Some(0) | None => return Err(format!("{line}: it has no response")),
        Some(status) => {
            return Err(format!(
                "{line}: its response has status {status}, and only 200 to 299 counts"
            ));
        }
    }
    let mut secrets = Vec::new();
    let (headers, kind) = headers(recorded, keep_secrets, &mut secrets);
    let mut request = Request {
        weight: 1,
        path: encoded(url.path()),
        query: query(url, keep_secrets, &mut secrets).map_err(|why| format!("{line}: {why}"))?,
        headers,
        method,
        ..Request::default()
    };
    let body =
        body(recorded, kind.as_deref(), keep_secrets).map_err(|why| format!("{line}: {why}"))?;
    if body.is_some() && !WITH_BODY.contains(&request.method.as_str()) {
        return Err(format!(
            "{line}: a workload can't send a body with {}",
            request.method
        ));
    }
    if let (Some(_), Some(kind)) = (&body, kind) {
        request.headers.insert("Content-Type".to_owned(), kind);
    }
    request.body = body;
    Ok((request, secrets))
}

fn query(
    url: &Url,
    keep_secrets: bool,
    secrets: &mut Vec<String>,
) -> Result<BTreeMap<String, String>, String> {
    let mut query = BTreeMap::new();
    for (name, value) in url.query_pairs() {
        if is_secret(&name) && !keep_secrets {
            secrets.push(format!(
                "the parameter {name}, which may be secret; --keep-secrets writes it"
            ));
            continue;
        }
        if query.insert(name.to_string(), value.to_string()).is_some() {
            return Err(format!(
                "it has the parameter {name} twice, which a workload can't"
            ));
        }
    }
    Ok(query)
}

/// The headers to send, and the content type of the body.
fn headers(
    recorded: &Value,
    keep_secrets: bool,
    secrets: &mut Vec<String>,
) -> (BTreeMap<String, String>, Option<String>) {
    let mut headers = BTreeMap::new();
    let mut kind = None;
    for header in recorded["headers"].as_array().into_iter().flatten() {
        let text = |member: &str| header[member].as_str().unwrap_or_default();
        let (name, value) = (text("name"), text("value"));
        let lower = name.to_ascii_lowercase();
        if lower == "content-type" {
            kind = Some(value.to_owned());
            continue;
        }
        // HTTP/2 has the method and the path among its headers, as in `:path`.
        let fits = is_token(name) && header_problem(name, value).is_none();
        let of_browser = OF_BROWSER.contains(&lower.as_str())
            || ["sec-", "if-"].iter().any(|start| lower.starts_with(start));
        if !fits || OF_CONNECTION.contains(&lower.as_str()) || of_browser {
            continue;
        }
        match is_secret(name) && !keep_secrets {
            true => secrets.push(format!(
                "the header {name}, which may be secret; --keep-secrets writes it"
            )),
            false => drop(headers.insert(name.to_owned(), value.to_owned())),
        }
    }
    (headers, kind)
}

fn body(recorded: &Value, kind: Option<&str>, keep_secrets: bool) -> Result<Option<Body>, String> {
    let data = &recorded["postData"];
    let kind = kind
        .or_else(|| data["mimeType"].as_str())
        .unwrap_or_default();
    let text = data["text"].as_str().unwrap_or_default();
    let fields = data["params"]
        .as_array()
        .filter(|fields| !fields.is_empty());
    if text.is_empty() {
        // Some recorders keep the fields alone.
        return match fields {
            Some(_) => Err(format!(
                "its body of type {kind} was recorded without its text"
            )),
            None if recorded["bodySize"].as_i64().unwrap_or(0) > 0 => {
                Err("its body was not recorded".to_owned())
            }
            None => Ok(None),
        };
    }
    let json = serde_json::from_str::<Value>(text).ok();
    let in_json = json.as_ref().and_then(in_json).map(str::to_owned);
    let in_form = || {
        let mut names = text.split('&').filter_map(|pair| pair.split('=').next());
        names.find(|name| is_secret(name)).map(str::to_owned)
    };
    let secret = in_json.or_else(|| in_form().filter(|_| kind.contains("urlencoded")));
    match secret.filter(|_| !keep_secrets) {
        Some(name) => Err(format!(
            "its body has {name}, which may be secret; --keep-secrets writes it"
        )),
        None => Ok(Some(Body::Text(text.to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn entry(method: &str, url: &str, status: u16) -> Value {
        let headers = json!([
            {"name": ":path", "value": "/x"},
            {"name": "Host", "value": "shop.example"},
            {"name": "Accept", "value": "application/json"},
            {"name": "User-Agent", "value": "Mozilla/5.0"},
            {"name": "If-None-Match", "value": "\"1\""},
            {"name": "sec-ch-ua", "value": "x"},
            {"name": "Cookie", "value": "sid=hidden-value"},
            {"name": "Authorization", "value": "Bearer hidden-value"},
        ]);
        json!({
            "request": {"method": method, "url": url, "httpVersion": "h2", "headers": headers, "bodySize": 0},
            "response": {"status": status},
        })
    }

    fn post(url: &str, kind: &str, text: &str) -> Value {
        let mut entry = entry("POST", url, 201);
        entry["request"]["postData"] = json!({"mimeType": kind, "text": text});
        let headers = entry["request"]["headers"].as_array_mut().unwrap();
        headers.push(json!({"name": "content-type", "value": kind}));
        entry
    }

    fn har() -> Value {
        let cached = {
            let mut entry = entry("GET", "https://shop.example/logo.png", 200);
            entry["_fromCache"] = "disk".into();
            entry
        };
        let lost = {
            let mut entry = entry("POST", "https://shop.example/upload", 200);
            entry["request"]["bodySize"] = 9.into();
            entry
        };
        let entries = [
            entry("GET", "https://shop.example/items?page=2&q=a+b%20c", 200),
            entry("GET", "https://shop.example/items?page=2&q=a+b%20c", 304),
            entry("GET", "https://shop.example/", 200),
            entry(
                "GET",
                "https://shop.example/me?access_token=hidden-value",
                200,
            ),
            entry("GET", "https://shop.example/gone", 404),
            entry("OPTIONS", "https://shop.example/items", 204),
            entry("GET", "https://shop.example/list?tag=a&tag=b", 200),
            post(
                "https://shop.example/orders",
                "application/json; charset=utf-8",
                r#"{"qty":1}"#,
            ),
            post(
                "https://shop.example/login",
                "application/json",
                r#"{"user":{"password":"hidden-value"}}"#,
            ),
            post(
                "https://shop.example/login2",
                "application/x-www-form-urlencoded",
                "user=a&password=hidden-value",
            ),
            cached,
            lost,
            entry("GET", "https://cdn.example:8443/a.js", 200),
            entry("GET", "data:text/plain,x", 200),
            entry("GET", "wss://shop.example/live", 101),
        ];
        json!({"log": {"version": "1.2", "creator": {"name": "x", "version": "1"}, "entries": entries}})
    }

    #[test]
    fn requests_weigh_as_often_as_they_occur() {
        let imported = import(&har(), None, false).unwrap();
        let lines: Vec<String> = imported
            .requests
            .iter()
            .map(|request| format!("{} {} {}", request.weight, request.method, request.path))
            .collect();
        assert_eq!(
            lines,
            ["2 GET /items", "1 GET /", "1 GET /me", "1 POST /orders"]
        );
        let first = &imported.requests[0];
        assert_eq!(
            (first.query["page"].as_str(), first.query["q"].as_str()),
            ("2", "a b c")
        );
        assert_eq!(
            first.headers,
            [("Accept".to_owned(), "application/json".to_owned())].into()
        );
        let order = &imported.requests[3];
        assert_eq!(
            order.headers["Content-Type"],
            "application/json; charset=utf-8"
        );
        assert_eq!(order.body, Some(Body::Text(r#"{"qty":1}"#.to_owned())));
    }

    #[test]
    fn no_secret_is_written_and_each_is_named() {
        let imported = import(&har(), None, false).unwrap();
        let text = super::super::write::workload(&imported);
        assert!(!text.contains("hidden-value"), "{text}");
        for what in [
            "the header Cookie, which may be secret; --keep-secrets writes it",
            "the header Authorization, which may be secret; --keep-secrets writes it",
            "the parameter access_token, which may be secret; --keep-secrets writes it",
            "POST /login: its body has password, which may be secret; --keep-secrets writes it",
            "POST /login2: its body has password, which may be secret; --keep-secrets writes it",
            "GET /gone: its response has status 404, and only 200 to 299 counts",
            "OPTIONS /items: a workload can't send OPTIONS",
            "GET /list: it has the parameter tag twice, which a workload can't",
            "GET /logo.png: the browser had it in its cache and sent no request",
            "POST /upload: its body was not recorded",
            "1 request to cdn.example:8443, another host; --host cdn.example:8443 imports those",
            "a request by data:, which is not HTTP",
            "a request by wss:, which is not HTTP",
        ] {
            assert!(
                imported.left_out.contains_key(what),
                "{what}: {:?}",
                imported.left_out
            );
        }
        let kept = import(&har(), None, true).unwrap();
        assert_eq!(
            kept.requests[0].headers["Authorization"],
            "Bearer hidden-value"
        );
        assert_eq!(kept.requests.len(), 6);
    }

    #[test]
    fn another_host_can_be_chosen() {
        let imported = import(&har(), Some("cdn.example"), false).unwrap();
        assert_eq!(imported.requests[0].path, "/a.js");
        let error = import(&har(), Some("none.example"), false).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("known: cdn.example:8443, shop.example"),
            "{error}"
        );
    }
}
