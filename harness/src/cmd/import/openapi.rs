//! An OpenAPI 3 document: a request for each operation.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::sample::{given, resolved, sample};
use super::secret::{in_json, is_secret};
use super::write::flat;
use super::{Body, Imported, Request, encoded};
use catalog::header_problem;

/// Methods that a workload can have.
const METHODS: [&str; 6] = ["get", "post", "put", "patch", "delete", "head"];
/// Those that can have a body.
const WITH_BODY: [&str; 3] = ["post", "put", "patch"];
/// Methods of OpenAPI that a workload can't have.
const OTHERS: [&str; 3] = ["options", "trace", "query"];
/// Headers that OpenAPI describes elsewhere.
const ELSEWHERE: [&str; 3] = ["accept", "content-type", "authorization"];
const FORM: &str = "application/x-www-form-urlencoded";

/// One request for each operation that the document says enough about.
pub(super) fn import(document: &Value, keep_secrets: bool) -> Imported {
    let title = document["info"]["title"].as_str().unwrap_or("a service");
    let mut imported = Imported {
        about: format!("Every operation of {title}, equally often"),
        ..Imported::default()
    };
    let prefix = prefix(document);
    let nothing = Map::new();
    for (path, item) in document["paths"].as_object().unwrap_or(&nothing) {
        let Some(item) = resolved(document, item) else {
            imported.leave_out(format!("{path}: its reference is not in this document"));
            continue;
        };
        for method in METHODS {
            let Some(operation) = item.get(method) else {
                continue;
            };
            let reader = Reader {
                document,
                item,
                operation,
                method,
                keep_secrets,
            };
            let line = format!("{} {path}", method.to_uppercase());
            match reader.request(&prefix, path) {
                Ok((request, remarks)) => {
                    imported.requests.push(request);
                    for remark in remarks {
                        imported.leave_out(format!("{line}: {remark}"));
                    }
                }
                Err(why) => imported.leave_out(format!("{line}: {why}")),
            }
        }
        for method in OTHERS.iter().filter(|method| item.get(**method).is_some()) {
            let method = method.to_uppercase();
            imported.leave_out(format!("{method} {path}: a workload can't send {method}"));
        }
    }
    imported
}

/// The path of the first server, without its last slash.
fn prefix(document: &Value) -> String {
    let server = &document["servers"][0];
    let mut url = server["url"].as_str().unwrap_or_default().to_owned();
    for (name, variable) in server["variables"].as_object().into_iter().flatten() {
        let default = variable["default"].as_str().unwrap_or_default();
        url = url.replace(&format!("{{{name}}}"), default);
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => &url,
    };
    let path = path.split(['?', '#']).next().unwrap_or_default();
    let path = path.trim_matches('/');
    match path {
        "" => String::new(),
        path => format!("/{path}"),
    }
}

/// Reads one operation.
struct Reader<'d> {
    document: &'d Value,
    item: &'d Value,
    operation: &'d Value,
    method: &'d str,
    keep_secrets: bool,
}

/// What was left out of a request that is imported.
type Remarks = Vec<String>;

impl<'d> Reader<'d> {
    /// The request and what it lacks, or why there is none.
    fn request(&self, prefix: &str, path: &str) -> Result<(Request, Remarks), String> {
        let note = ["operationId", "summary"];
        let note = note
            .iter()
            .find_map(|member| self.operation[*member].as_str());
        let mut request = Request {
            note: note.unwrap_or_default().to_owned(),
            weight: 1,
            method: self.method.to_uppercase(),
            ..Request::default()
        };
        let mut remarks = self.credentials();
        let mut path = path.to_owned();
        for parameter in self.parameters()? {
            self.parameter(parameter, &mut path, &mut request, &mut remarks)?;
        }
        if let Some(at) = path.find('{') {
            return Err(format!("{} is not among its parameters", &path[at..]));
        }
        request.path = encoded(&format!("{prefix}{path}"));
        if !request.path.starts_with('/') {
            return Err("its path does not begin with /".to_owned());
        }
        self.body(&mut request, &mut remarks)?;
        Ok((request, remarks))
    }

    /// A remark if it needs credentials, which no document holds.
    fn credentials(&self) -> Remarks {
        let of_all = &self.document["security"];
        let needed = self.operation.get("security").unwrap_or(of_all);
        let Some(alternatives) = needed.as_array().filter(|all| !all.is_empty()) else {
            return Vec::new();
        };
        let names = |one: &Value| -> Vec<String> {
            one.as_object()
                .map_or(Vec::new(), |one| one.keys().cloned().collect())
        };
        // An empty alternative means that none are needed.
        match alternatives.iter().map(names).collect::<Vec<_>>() {
            all if all.iter().any(Vec::is_empty) => Vec::new(),
            all => vec![format!(
                "its credentials ({}), which no document holds: add them to the request's headers",
                all.iter()
                    .map(|names| names.join(" and "))
                    .collect::<Vec<_>>()
                    .join(" or ")
            )],
        }
    }

    /// The parameters of the path, replaced by those of the operation that have the same place and name.
    fn parameters(&self) -> Result<Vec<&'d Value>, String> {
        let mut all: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
        for of in [self.item, self.operation] {
            for parameter in of["parameters"].as_array().into_iter().flatten() {
                let parameter = resolved(self.document, parameter)
                    .ok_or("the reference of a parameter is not in this document")?;
                let text = |member: &str| parameter[member].as_str().unwrap_or_default();
                all.insert((text("in"), text("name")), parameter);
            }
        }
        Ok(all.into_values().collect())
    }

    fn parameter(
        &self,
        parameter: &Value,
        path: &mut String,
        request: &mut Request,
        remarks: &mut Remarks,
    ) -> Result<(), String> {
        let text = |member: &str| parameter[member].as_str().unwrap_or_default();
        let (place, name) = (text("in"), text("name"));
        let required = place == "path" || parameter["required"] == true;
        if place == "header" && ELSEWHERE.contains(&name.to_ascii_lowercase().as_str()) {
            return Ok(());
        }
        if place == "cookie" || (is_secret(name) && place != "path" && !self.keep_secrets) {
            let kind = if place == "query" { "parameter" } else { place };
            if required {
                remarks.push(format!(
                    "the {kind} {name}, which may be secret: the service may refuse the request"
                ));
            }
            return Ok(());
        }
        let schema = parameter.get("schema").or_else(|| {
            let content = parameter["content"].as_object()?;
            content.values().next()?.get("schema")
        });
        let schema = schema.unwrap_or(&Value::Null);
        let example = given(self.document, parameter);
        let example = example.or_else(|| given(self.document, resolved(self.document, schema)?));
        let value = match (example, required) {
            (Some(example), _) => Some(example.clone()),
            (None, true) => sample(self.document, schema),
            (None, false) => return Ok(()),
        };
        let explode = parameter["explode"] != false;
        let Some(value) = value
            .as_ref()
            .and_then(|value| as_text(value, explode && place == "query"))
        else {
            return match required {
                true => Err(format!(
                    "no example of {name}, and its schema does not say enough to make one"
                )),
                false => {
                    remarks.push(format!(
                        "the {place} parameter {name}, whose value is no single text"
                    ));
                    Ok(())
                }
            };
        };
        if let ("header", Some(problem)) = (place, header_problem(name, &value)) {
            return Err(format!("the header {name}: {problem}"));
        }
        match place {
            "path" => *path = path.replace(&format!("{{{name}}}"), &in_path(&value)),
            "query" => drop(request.query.insert(name.to_owned(), value)),
            "header" => drop(request.headers.insert(name.to_owned(), value)),
            other => {
                return Err(format!(
                    "its parameter {name} is in \"{other}\", which is unknown"
                ));
            }
        }
        Ok(())
    }

    fn body(&self, request: &mut Request, remarks: &mut Remarks) -> Result<(), String> {
        let Some(body) = self.operation.get("requestBody") else {
            return Ok(());
        };
        let body = resolved(self.document, body)
            .ok_or("the reference of its body is not in this document")?;
        let made = self.made_body(body, request);
        match made {
            Ok(()) => Ok(()),
            Err(why) if body["required"] == true => Err(why),
            Err(why) => {
                remarks.push(format!("its optional body: {why}"));
                Ok(())
            }
        }
    }

    fn made_body(&self, body: &Value, request: &mut Request) -> Result<(), String> {
        if !WITH_BODY.contains(&self.method) {
            return Err(format!(
                "a workload can't send a body with {}",
                request.method
            ));
        }
        let nothing = Map::new();
        let content = body["content"].as_object().unwrap_or(&nothing);
        let bare = |kind: &str| {
            kind.split(';')
                .next()
                .unwrap_or_default()
                .trim()
                .to_ascii_lowercase()
        };
        let is_json =
            |kind: &str| bare(kind) == "application/json" || bare(kind).ends_with("+json");
        let json = content.iter().find(|(kind, _)| is_json(kind));
        let form = || content.iter().find(|(kind, _)| bare(kind) == FORM);
        // Any other one if the document says what to send.
        let text = || {
            content
                .iter()
                .find(|(_, media)| given(self.document, media).is_some_and(Value::is_string))
        };
        let Some((kind, media)) = json.or_else(form).or_else(text) else {
            let kinds: Vec<&str> = content.keys().map(String::as_str).collect();
            return Err(format!(
                "no body of content type {} can be made",
                kinds.join(" or ")
            ));
        };
        let value = given(self.document, media).cloned();
        let value = value.or_else(|| sample(self.document, media.get("schema")?));
        let value = value
            .ok_or("no example of its body, and its schema does not say enough to make one")?;
        if let Some(member) = in_json(&value).filter(|_| !self.keep_secrets) {
            return Err(format!(
                "its body has {member}, which may be secret; --keep-secrets writes it"
            ));
        }
        let body = if is_json(kind) {
            Body::Json(value)
        } else if let (true, Some(members)) = (bare(kind) == FORM, value.as_object()) {
            Body::Text(form_of(members).ok_or("a member of its form is no single text")?)
        } else if let Value::String(text) = value {
            Body::Text(text)
        } else {
            return Err(format!("no body of content type {kind} can be made"));
        };
        // A table is sent as application/json without being told.
        let told = matches!(&body, Body::Json(value) if flat(value).is_some())
            && kind == "application/json";
        if !told {
            request
                .headers
                .insert("Content-Type".to_owned(), kind.clone());
        }
        request.body = Some(body);
        Ok(())
    }
}

/// A parameter's value. A list is joined, or if each item were a parameter of its own, has only its first.
fn as_text(value: &Value, exploded: bool) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Array(items) if exploded => as_text(items.first()?, false),
        Value::Array(items) => {
            let items: Option<Vec<String>> =
                items.iter().map(|item| as_text(item, false)).collect();
            Some(items?.join(","))
        }
        Value::Null | Value::Object(_) => None,
    }
}

/// Percent-encoded so that it stays one segment.
fn in_path(value: &str) -> String {
    let bytes = value.bytes().map(|byte| match byte {
        b'A'..=b'Z'
        | b'a'..=b'z'
        | b'0'..=b'9'
        | b'-'
        | b'.'
        | b'_'
        | b'~'
        | b','
        | b':'
        | b'@' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    });
    bytes.collect()
}

fn form_of(members: &Map<String, Value>) -> Option<String> {
    let pair = |(name, value): (&String, &Value)| {
        Some(format!(
            "{}={}",
            in_path(name),
            in_path(&as_text(value, true)?)
        ))
    };
    let pairs: Option<Vec<String>> = members.iter().map(pair).collect();
    Some(pairs?.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHOP: &str = r##"
openapi: 3.0.3
info: { title: Shop, version: "1" }
servers:
  - url: https://{host}/{base}/
    variables:
      host: { default: shop.example }
      base: { default: v1 }
security:
  - bearer: []
paths:
  /items/{id}:
    parameters:
      - { name: id, in: path, required: true, schema: { type: string }, example: a/b c }
    get:
      operationId: getItem
      security: []
      parameters:
        - { name: fields, in: query, explode: false, schema: { type: array, items: { type: string } }, example: [a, b] }
        - { name: tags, in: query, schema: { type: array, items: { type: string } }, example: [x, y] }
        - { name: page, in: query, schema: { type: integer, default: 2 } }
        - { name: unset, in: query, schema: { type: integer } }
        - { name: X-Shop, in: header, required: true, schema: { enum: [web] } }
        - { name: api_key, in: query, required: true, schema: { type: string } }
        - { name: Authorization, in: header, required: true, schema: { type: string } }
    delete:
      summary: Remove an item
      responses: { "204": { description: gone } }
    options:
      responses: { 200: { description: yes } }
  /items:
    post:
      requestBody:
        required: true
        content:
          application/json:
            schema: { $ref: "#/components/schemas/Item" }
  /nested:
    put:
      requestBody:
        content:
          application/vnd.shop+json:
            examples:
              one: { value: { list: [1, 2.5] } }
  /form:
    post:
      requestBody:
        required: true
        content:
          application/x-www-form-urlencoded:
            schema: { type: object, properties: { q: { type: string, example: a b }, n: { type: integer } } }
  /text:
    post:
      requestBody: { required: true, content: { text/csv: { example: "a,b\n" } } }
  /login:
    post:
      requestBody:
        required: true
        content:
          application/json:
            schema: { type: object, properties: { user: { type: string }, password: { type: string } } }
  /upload:
    post:
      requestBody:
        required: true
        content: { multipart/form-data: { schema: { type: object } } }
  /codes/{code}:
    get:
      parameters:
        - { name: code, in: path, required: true, schema: { type: string, pattern: "^[A-Z]+$" } }
  /lost/{id}:
    get: {}
components:
  schemas:
    Item:
      type: object
      required: [name, price]
      properties:
        id: { type: integer, readOnly: true }
        name: { type: string, minLength: 1 }
        price: { type: integer, minimum: 5 }
        note: { type: string }
"##;

    fn shop(keep_secrets: bool) -> Imported {
        import(&serde_saphyr::from_str(SHOP).unwrap(), keep_secrets)
    }

    fn find<'i>(imported: &'i Imported, line: &str) -> &'i Request {
        let mut requests = imported.requests.iter();
        requests
            .find(|r| format!("{} {}", r.method, r.path) == line)
            .unwrap()
    }

    fn pairs(of: &BTreeMap<String, String>) -> Vec<(&str, &str)> {
        of.iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    #[test]
    fn parameters_have_their_examples_and_defaults() {
        let shop = shop(false);
        let get = find(&shop, "GET /v1/items/a%2Fb%20c");
        assert_eq!(get.note, "getItem");
        assert_eq!(
            pairs(&get.query),
            [("fields", "a,b"), ("page", "2"), ("tags", "x")]
        );
        assert_eq!(pairs(&get.headers), [("X-Shop", "web")]);
        assert_eq!(
            find(&shop, "DELETE /v1/items/a%2Fb%20c").note,
            "Remove an item"
        );
    }

    #[test]
    fn bodies_come_from_examples_or_the_schema() {
        let shop = shop(false);
        let body = |line: &str| {
            let request = find(&shop, line);
            (request.body.clone().unwrap(), pairs(&request.headers))
        };
        let json = |text: &str| Body::Json(serde_json::from_str(text).unwrap());
        let text = |text: &str| Body::Text(text.to_owned());
        assert_eq!(
            body("POST /v1/items"),
            (json(r#"{"name":"text","price":5}"#), vec![])
        );
        let own = vec![("Content-Type", "application/vnd.shop+json")];
        assert_eq!(body("PUT /v1/nested"), (json(r#"{"list":[1,2.5]}"#), own));
        let form = vec![("Content-Type", FORM)];
        assert_eq!(body("POST /v1/form"), (text("q=a%20b&n=1"), form));
        assert_eq!(
            body("POST /v1/text"),
            (text("a,b\n"), vec![("Content-Type", "text/csv")])
        );
    }

    #[test]
    fn what_is_left_out_is_said_with_its_reason() {
        let shop = shop(false);
        let said = |line: &str, words: &str| {
            let mut all = shop.left_out.keys();
            let found = all.any(|what| what.starts_with(line) && what.contains(words));
            assert!(found, "{line} {words}: {:?}", shop.left_out);
        };
        said("GET /items/{id}: ", "api_key, which may be secret");
        said("OPTIONS /items/{id}: ", "can't send OPTIONS");
        said("DELETE /items/{id}: ", "credentials (bearer)");
        said("POST /login: ", "its body has password");
        said("POST /upload: ", "multipart/form-data");
        said("GET /codes/{code}: ", "no example of code");
        said("GET /lost/{id}: ", "{id} is not among its parameters");
        assert!(
            !shop
                .left_out
                .keys()
                .any(|what| what.starts_with("GET /items/{id}: its credentials"))
        );
        assert_eq!(shop.requests.len(), 6);
    }

    #[test]
    fn secrets_are_written_only_if_asked_for() {
        let shop = shop(true);
        assert_eq!(
            find(&shop, "GET /v1/items/a%2Fb%20c").query["api_key"],
            "text"
        );
        assert!(find(&shop, "POST /v1/login").body.is_some());
    }

    #[test]
    fn paths_begin_with_that_of_the_first_server() {
        for (url, expected) in [
            ("http://127.0.0.1:8080", ""),
            ("https://a.example/", ""),
            ("https://a.example/v1/", "/v1"),
            ("/api", "/api"),
            ("api/v2", "/api/v2"),
        ] {
            let document = serde_json::json!({"servers": [{"url": url}]});
            assert_eq!(prefix(&document), expected, "{url}");
        }
        assert_eq!(prefix(&Value::Null), "");
    }
}
