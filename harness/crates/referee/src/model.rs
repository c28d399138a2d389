//! The correct responses, according to the contract's text.

use serde_json::{Map, Value, json};

use catalog::{Body, Call};

use super::{bodies, compressed, wait};

/// The highest allowed page.
pub(super) const MAX_PAGE: u64 = 1_000_000;
/// The highest allowed id, 2^53 − 1.
pub(super) const MAX_ID: u64 = 9_007_199_254_740_991;
/// Number of users; their ids are 1 to this.
pub(super) const USERS: u64 = 10_000;
/// Units of `SKU-LIMITED` at the start.
pub(super) const LIMITED_UNITS: u64 = 1_000;
/// The item with limited stock.
pub(super) const LIMITED: &str = "SKU-LIMITED";
/// The statuses a user can have.
pub(super) const STATUSES: [&str; 3] = ["active", "pending", "archived"];

const FIRST: &str = "Ada Alan Barbara Claude Donald Edsger Frances Grace Hedy John Katherine \
                     Leslie Margaret Niklaus Zoë 明";
const LAST: &str = "Allen Backus Dijkstra Engelbart Hamilton Hopper Johnson Knuth Lamarr Lamport \
                    Liskov Lovelace Shannon Turing Wirth Łukasiewicz";

/// The referee's own model of the contract's data: the correct responses.
#[derive(Debug, Clone)]
pub struct Model {
    /// In id order.
    users: Vec<Value>,
    /// The users of each of [`STATUSES`], in id order.
    by_status: [Vec<Value>; 3],
}

/// A response that the contract defines.
#[derive(Debug, Clone, PartialEq)]
pub enum Expected {
    /// The whole body is defined.
    Json {
        /// The status code.
        status: u16,
        /// The body, compared as a JSON value.
        body: Value,
    },
    /// The whole body is defined, and compressed.
    Encoded {
        /// How, as in `Content-Encoding`.
        coding: &'static str,
        /// The status code.
        status: u16,
        /// What is compressed, compared as a JSON value.
        body: Value,
    },
    /// An order: all members except `id`, which is any new positive integer.
    Order {
        /// The status code.
        status: u16,
        /// All members except `id`.
        members: Map<String, Value>,
    },
}

/// `limit` and `page` as requested, within their ranges.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Page {
    /// Entries on a page, 1 to 100.
    pub(super) limit: u64,
    /// From 1.
    pub(super) page: u64,
}

impl Default for Page {
    fn default() -> Self {
        Self { limit: 20, page: 1 }
    }
}

impl Page {
    /// Number of entries before this page.
    pub(super) fn offset(self) -> u64 {
        (self.page - 1) * self.limit
    }
}

impl Model {
    /// The initial state of every server.
    pub fn new() -> Self {
        let users: Vec<Value> = (1..=USERS).map(|id| user(id).json()).collect();
        let of = |status| {
            let is = |user: &&Value| user["status"] == status;
            users.iter().filter(is).cloned().collect()
        };
        Self {
            by_status: STATUSES.map(of),
            users,
        }
    }

    /// The response that the contract requires, if it doesn't depend on earlier requests: `None` for reading
    /// orders, for `SKU-LIMITED`, and for a refused call, whose message can be anything.
    pub fn expect(&self, call: &Call) -> Option<Expected> {
        let (path, query) = match call.target.split_once('?') {
            Some((path, query)) => (path, query),
            None => (call.target.as_str(), ""),
        };
        match (call.method.as_str(), path) {
            ("GET", "/ping") => Some(ok(json!({"status": "ok"}))),
            ("GET", "/api/v1/users") => {
                let (status, page) = users_query(query)?;
                Some(ok(self.users(status.as_deref(), page)))
            }
            ("GET", wait::PATH) => {
                let [ms] = texts(query, ["ms"])?;
                let ms = ms.map_or(Some(wait::DEFAULT_MS), |ms| number(&ms, 0, wait::MAX_MS))?;
                Some(ok(json!({"ms": ms})))
            }
            ("GET", bodies::DOWNLOAD) => Some(ok(self.download(query)?)),
            ("GET", compressed::PATH) => self.compressed(call, query),
            ("POST", bodies::UPLOAD) => {
                let body = call.body.as_ref().map_or(&[][..], Body::bytes);
                (body.len() <= bodies::MAX_UPLOAD).then(|| ok(bodies::received(body)))
            }
            ("GET", _) => {
                let id = number(path.strip_prefix("/api/v1/users/")?, 1, MAX_ID)?;
                Some(ok(self.user(id)?.clone()))
            }
            ("POST", "/api/v1/orders") => accepted_order(call.json()?),
            _ => None,
        }
    }

    fn download(&self, query: &str) -> Option<Value> {
        let [limit, page] = texts(query, ["limit", "page"])?;
        let limits = (bodies::DEFAULT_LIMIT, bodies::MAX_LIMIT);
        Some(self.users(None, page_of(limit, page, limits)?))
    }

    /// `None` if the server may choose whether or how to compress.
    fn compressed(&self, call: &Call, query: &str) -> Option<Expected> {
        let body = self.download(query)?;
        let mut headers = call.headers.iter();
        let accepted = headers.find(|(name, _)| name.eq_ignore_ascii_case("accept-encoding"));
        match accepted.map(|(_, value)| value.as_str()) {
            None | Some("identity") => Some(ok(body)),
            Some(accepted) => {
                let mut known = compressed::CODINGS.into_iter();
                let coding = known.find(|coding| *coding == accepted)?;
                let long = body.to_string().len() >= compressed::MUST_COMPRESS;
                let status = 200;
                long.then_some(Expected::Encoded {
                    coding,
                    status,
                    body,
                })
            }
        }
    }

    /// The user with this id.
    pub fn user(&self, id: u64) -> Option<&Value> {
        self.users.get(usize::try_from(id.checked_sub(1)?).ok()?)
    }

    /// A page of users, of one status if given.
    pub(super) fn users(&self, status: Option<&str>, page: Page) -> Value {
        let matching = match status {
            None => &self.users[..],
            Some(status) => STATUSES
                .iter()
                .position(|name| *name == status)
                .map_or(&[][..], |position| &self.by_status[position]),
        };
        let start =
            usize::try_from(page.offset()).map_or(matching.len(), |at| at.min(matching.len()));
        let length = usize::try_from(page.limit).unwrap_or(usize::MAX);
        let on_page = &matching[start..start.saturating_add(length).min(matching.len())];
        json!({
            "users": on_page,
            "page": page.page,
            "limit": page.limit,
            "total": matching.len(),
        })
    }
}

impl Default for Model {
    fn default() -> Self {
        Self::new()
    }
}

fn ok(body: Value) -> Expected {
    Expected::Json { status: 200, body }
}

/// A user of the contract.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserFields {
    /// From 1.
    pub id: u64,
    /// First and last name.
    pub name: String,
    /// Unique.
    pub email: String,
    /// One of the three states.
    pub status: &'static str,
    /// Unix seconds.
    pub created_at: u64,
}

impl UserFields {
    fn json(&self) -> Value {
        json!({
            "id": self.id,
            "name": self.name,
            "email": self.email,
            "status": self.status,
            "created_at": self.created_at,
        })
    }
}

/// The user with this id: `FIRST[id % 16] + " " + LAST[(id / 16) % 16]` and the rest of the contract's table.
pub fn user(id: u64) -> UserFields {
    let word = |words: &'static str, index: u64| {
        words
            .split(' ')
            .nth(usize::try_from(index % 16).unwrap_or(0))
            .unwrap_or_default()
    };
    let status = match id % 10 {
        0..=5 => "active",
        6 | 7 => "pending",
        _ => "archived",
    };
    UserFields {
        id,
        name: format!("{} {}", word(FIRST, id), word(LAST, id / 16)),
        email: format!("user{id}@example.com"),
        status,
        created_at: 1_700_000_000 + 60 * id,
    }
}

/// The price of an item of the catalogue; `None` if there is no such item.
pub fn unit_price_cents(item: &str) -> Option<u64> {
    if item == LIMITED {
        return Some(4_999);
    }
    let digits = item.strip_prefix("SKU-").filter(|text| text.len() == 3)?;
    Some(100 + (37 * number(digits, 0, 999)?) % 9_900)
}

/// All members of an accepted order except its id.
pub(super) fn order_members(item: &str, qty: u64) -> Option<Map<String, Value>> {
    let unit_price_cents = unit_price_cents(item)?;
    let members = json!({
        "item_id": item,
        "qty": qty,
        "unit_price_cents": unit_price_cents,
        "total_cents": unit_price_cents * qty,
        "status": "created",
    });
    members.as_object().cloned()
}

/// The same for an item that exists.
pub(super) fn ordered(item: &str, qty: u64) -> Result<Map<String, Value>, String> {
    order_members(item, qty).ok_or_else(|| "the referee lacks an item".to_owned())
}

fn accepted_order(body: &str) -> Option<Expected> {
    let body: Value = serde_json::from_str(body).ok()?;
    let item = body
        .get("item_id")?
        .as_str()
        .filter(|item| *item != LIMITED)?;
    let qty = body
        .get("qty")?
        .as_u64()
        .filter(|qty| (1..=1_000).contains(qty))?;
    Some(Expected::Order {
        status: 201,
        members: order_members(item, qty)?,
    })
}

/// Status, limit and page of a query. `None` if it must be refused.
fn users_query(query: &str) -> Option<(Option<String>, Page)> {
    let [status, limit, page] = texts(query, ["status", "limit", "page"])?;
    if let Some(status) = &status
        && !STATUSES.contains(&status.as_str())
    {
        return None;
    }
    Some((status, page_of(limit, page, (Page::default().limit, 100))?))
}

/// The values of these parameters, if given; others are ignored. `None` if the query can't be decoded, or repeats
/// one, which the contract leaves open.
fn texts<const N: usize>(query: &str, names: [&str; N]) -> Option<[Option<String>; N]> {
    let mut values = [const { None }; N];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = percent_decode(name)?;
        let Some(place) = names.iter().position(|known| *known == name) else {
            continue;
        };
        if values[place].replace(percent_decode(value)?).is_some() {
            return None;
        }
    }
    Some(values)
}

/// The page asked for; `limits` are the default and the maximum of its length.
fn page_of(limit: Option<String>, page: Option<String>, limits: (u64, u64)) -> Option<Page> {
    let (default, max) = limits;
    Some(Page {
        limit: limit.map_or(Some(default), |text| number(&text, 1, max))?,
        page: page.map_or(Some(1), |text| number(&text, 1, MAX_PAGE))?,
    })
}

/// Decimal digits only, within a range.
pub(super) fn number(text: &str, low: u64, high: u64) -> Option<u64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse()
        .ok()
        .filter(|value| (low..=high).contains(value))
}

/// `None` if a `%` is not followed by two hexadecimal digits, or the result is not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let high = char::from(bytes.next()?).to_digit(16)?;
            let low = char::from(bytes.next()?).to_digit(16)?;
            decoded.push(u8::try_from(16 * high + low).ok()?);
        } else {
            decoded.push(byte);
        }
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use catalog::{Body, DISTINCT_CALLS, Workload};

    fn expect(method: &str, target: &str, body: Option<&str>) -> Option<Expected> {
        Model::new().expect(&Call {
            method: method.into(),
            target: target.into(),
            headers: Vec::new(),
            body: body.map(|text| Body::Json(text.to_owned())),
        })
    }

    fn json(target: &str) -> Value {
        match expect("GET", target, None) {
            Some(Expected::Json { status: 200, body }) => body,
            other => panic!("{target}: {other:?}"),
        }
    }

    #[test]
    fn the_names_are_sixteen_each() {
        assert_eq!(FIRST.split(' ').count(), 16);
        assert_eq!(LAST.split(' ').count(), 16);
    }

    // Worked out by hand from the contract's table.
    #[test]
    fn a_user_is_as_the_table_says() {
        assert_eq!(
            json("/api/v1/users/1"),
            json!({"id": 1, "name": "Alan Allen", "email": "user1@example.com",
                   "status": "active", "created_at": 1_700_000_060})
        );
        assert_eq!(
            json("/api/v1/users/255"),
            json!({"id": 255, "name": "明 Łukasiewicz", "email": "user255@example.com",
                   "status": "active", "created_at": 1_700_015_300})
        );
        assert_eq!(json("/api/v1/users/10000")["name"], "Ada Backus");
        assert_eq!(json("/api/v1/users/38")["status"], "archived");
        assert_eq!(json("/api/v1/users/37")["status"], "pending");
    }

    #[test]
    fn pages_are_counted_and_filtered() {
        let first = json("/api/v1/users");
        assert_eq!(
            (&first["page"], &first["limit"], &first["total"]),
            (&json!(1), &json!(20), &json!(10_000))
        );
        assert_eq!(first["users"].as_array().unwrap().len(), 20);
        let pending = json("/api/v1/users?status=pending&limit=3&page=2");
        let ids: Vec<_> = pending["users"]
            .as_array()
            .unwrap()
            .iter()
            .map(|user| &user["id"])
            .collect();
        assert_eq!(ids, [&json!(17), &json!(26), &json!(27)]);
        assert_eq!(pending["total"], 2_000);
        assert_eq!(json("/api/v1/users?status=active")["total"], 6_000);
        assert_eq!(json("/api/v1/users?status=archived")["total"], 2_000);
        assert_eq!(json("/api/v1/users?limit=100&page=101")["users"], json!([]));
        assert_eq!(
            json("/api/v1/users?status=%61ctive&limit=%31&x=1")["limit"],
            1
        );
    }

    #[test]
    fn a_wait_says_how_long_it_was_and_an_upload_what_it_got() {
        assert_eq!(json("/api/v1/wait"), json!({"ms": 15}));
        assert_eq!(json("/api/v1/wait?ms=1000&x=1"), json!({"ms": 1_000}));
        assert_eq!(expect("GET", "/api/v1/wait?ms=1001", None), None);
        let body = json!({"bytes": 2, "sum": 97 + 98});
        let due = Expected::Json { status: 200, body };
        assert_eq!(expect("POST", "/api/v1/upload", Some("ab")), Some(due));
        let long = "a".repeat(65_537);
        assert_eq!(expect("POST", "/api/v1/upload", Some(&long)), None);
    }

    #[test]
    fn a_download_is_64_kib_of_users() {
        let page = json("/api/v1/download?page=2");
        assert_eq!(
            (&page["limit"], &page["total"]),
            (&json!(600), &json!(10_000))
        );
        assert_eq!(page["users"][0], json("/api/v1/users/601"));
        let bytes = page.to_string().len();
        assert!((63_000..=66_000).contains(&bytes), "{bytes}");
        assert_eq!(expect("GET", "/api/v1/download?limit=1001", None), None);
    }

    #[test]
    fn what_is_compressed_depends_on_what_the_request_accepts() {
        let expect = |encodings: Option<&str>, query: &str| {
            let header = encodings.map(|value| ("accept-encoding".to_owned(), value.to_owned()));
            Model::new().expect(&Call {
                method: "GET".into(),
                target: format!("/api/v1/compressed{query}"),
                headers: header.into_iter().collect(),
                body: None,
            })
        };
        let (status, body) = (200, json("/api/v1/download?page=2"));
        let plain = Expected::Json { status, body };
        assert_eq!(expect(None, "?page=2"), Some(plain.clone()));
        assert_eq!(expect(Some("identity"), "?page=2"), Some(plain));
        for coding in ["gzip", "br"] {
            let body = json("/api/v1/download?page=2");
            let encoded = Expected::Encoded {
                coding,
                status,
                body,
            };
            assert_eq!(expect(Some(coding), "?page=2"), Some(encoded));
        }
        for (encodings, query) in [("gzip", "?limit=1"), ("gzip, br", ""), ("br", "?limit=0")] {
            assert_eq!(expect(Some(encodings), query), None, "{encodings} {query}");
        }
    }

    #[test]
    fn an_order_has_all_members_but_the_id() {
        let expected = json!({"item_id": "SKU-789", "qty": 3, "unit_price_cents": 9_493,
                              "total_cents": 28_479, "status": "created"});
        assert_eq!(
            expect(
                "POST",
                "/api/v1/orders",
                Some(r#"{"item_id":"SKU-789","qty":3,"x":1}"#)
            ),
            Some(Expected::Order {
                status: 201,
                members: expected.as_object().unwrap().clone(),
            })
        );
    }

    #[test]
    fn what_depends_on_the_past_or_is_refused_is_not_expected() {
        for target in [
            "/api/v1/orders",
            "/api/v1/orders/1",
            "/api/v1/users/0",
            "/api/v1/users/10001",
            "/api/v1/users/+1",
            "/api/v1/users?limit=0",
            "/api/v1/users?limit=101",
            "/api/v1/users?limit=",
            "/api/v1/users?page=1000001",
            "/api/v1/users?status=x",
            "/api/v1/users?page=1&page=1",
            "/api/v1/users?limit=%3",
            "/nothing",
        ] {
            assert_eq!(expect("GET", target, None), None, "{target}");
        }
        for body in [
            r#"{"item_id":"SKU-LIMITED","qty":1}"#,
            r#"{"item_id":"SKU-1000","qty":1}"#,
            r#"{"item_id":"SKU-+12","qty":1}"#,
            r#"{"item_id":"SKU-001","qty":1001}"#,
            r#"["SKU-001",1]"#,
            "",
        ] {
            assert_eq!(expect("POST", "/api/v1/orders", Some(body)), None, "{body}");
        }
    }

    #[test]
    fn most_pages_of_the_users_workload_hold_entries_and_some_lie_past_the_end() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../workloads/users.toml");
        let workload = Workload::load(Path::new(file)).unwrap();
        let model = Model::new();
        let calls = workload.draw(3, DISTINCT_CALLS);
        let empty = calls.iter().filter(|call| match model.expect(call) {
            Some(Expected::Json { body, .. }) => body["users"] == json!([]),
            other => panic!("{call:?}: {other:?}"),
        });
        let past_the_end = empty.count() as f64 / calls.len() as f64;
        assert!((0.001..0.05).contains(&past_the_end), "{past_the_end}");
    }

    #[test]
    fn prices_are_as_the_catalogue_says() {
        assert_eq!(unit_price_cents("SKU-000"), Some(100));
        assert_eq!(unit_price_cents("SKU-268"), Some(116));
        assert_eq!(unit_price_cents("SKU-LIMITED"), Some(4_999));
        assert_eq!(unit_price_cents("SKU-12"), None);
        assert_eq!(unit_price_cents("sku-123"), None);
    }
}
