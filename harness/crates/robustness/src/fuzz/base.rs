//! Valid requests of the contract, in parts.

use rand::RngExt;
use rand_pcg::Pcg64;

/// A request before it is serialized.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    pub(super) method: Vec<u8>,
    pub(super) target: Vec<u8>,
    pub(super) version: Vec<u8>,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) body: Vec<u8>,
}

/// One of the contract's requests.
pub(super) fn draw(rng: &mut Pcg64) -> Draft {
    let number = rng.random_range(0..12_000_u32);
    match rng.random_range(0..8_u32) {
        0 => get("/ping".to_owned()),
        1 => get(format!("/api/v1/users/{number}")),
        2 => get(format!(
            "/api/v1/users?limit={}&page={}",
            number % 101,
            number / 101
        )),
        3 => get(format!(
            "/api/v1/users?status=active&limit={}",
            number % 101
        )),
        4 => get(format!("/api/v1/orders/{}", number % 500)),
        5 => get(format!("/api/v1/orders?limit={}", number % 101)),
        _ => order(&format!(
            r#"{{"item_id":"SKU-{:03}","qty":{}}}"#,
            number % 1_000,
            number % 1_001
        )),
    }
}

fn get(target: String) -> Draft {
    Draft {
        method: b"GET".to_vec(),
        target: target.into_bytes(),
        version: b"HTTP/1.1".to_vec(),
        fields: vec![(b"Host".to_vec(), b"localhost".to_vec())],
        body: Vec::new(),
    }
}

fn order(body: &str) -> Draft {
    let mut request = get("/api/v1/orders".to_owned());
    request.method = b"POST".to_vec();
    request.body = body.as_bytes().to_vec();
    request.set("Content-Type", "application/json");
    request.set_length();
    request
}

impl Draft {
    /// Adds a field, even if there is already one with that name.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        self.fields
            .push((name.as_bytes().to_vec(), value.as_bytes().to_vec()));
    }

    /// Corrects `Content-Length` if there is one, or adds it if there is a body.
    pub(super) fn set_length(&mut self) {
        let length = self.body.len().to_string();
        let mut fields = self.fields.iter_mut();
        match fields.find(|(name, _)| name == b"Content-Length") {
            Some((_, value)) => *value = length.into_bytes(),
            None => self.set("Content-Length", &length),
        }
    }

    pub(super) fn wire(&self) -> Vec<u8> {
        let mut wire = [&self.method[..], b" ", &self.target, b" ", &self.version].concat();
        wire.extend_from_slice(b"\r\n");
        for (name, value) in &self.fields {
            wire.extend_from_slice(name);
            wire.extend_from_slice(b": ");
            wire.extend_from_slice(value);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"\r\n");
        wire.extend_from_slice(&self.body);
        wire
    }
}
