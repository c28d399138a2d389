//! The load generator's work per response, without system calls.

#![allow(missing_docs, reason = "criterion's macro makes public functions")]

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use loadgen::parts::Parts;
use loadgen::{Expect, Request, Script};
use serde_json::{Value, json};

/// A page of users as in the contract, about 2 KiB.
fn users() -> Value {
    let user = |id: u64| {
        json!({
            "id": id,
            "name": "Grace Hopper",
            "email": format!("user{id}@example.com"),
            "status": "active",
            "created_at": 1_700_000_000 + 60 * id,
        })
    };
    let users: Vec<Value> = (1..=20).map(user).collect();
    json!({"users": users, "page": 1, "limit": 20, "total": 6000})
}

fn response(body: &str) -> Vec<u8> {
    let length = body.len();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\
         Date: Mon, 02 Nov 2026 10:00:00 GMT\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn chunked(body: &str) -> Vec<u8> {
    let (a, b) = body.split_at(body.len() / 2);
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
         {:x}\r\n{a}\r\n{:x}\r\n{b}\r\n0\r\n\r\n",
        a.len(),
        b.len()
    )
    .into_bytes()
}

fn parts(expect: Expect) -> Parts {
    let wire = b"GET / HTTP/1.1\r\n\r\n".to_vec();
    let script = Script::new(vec![Request { wire, expect }]);
    Parts::new(script.expect("the request is whole"))
}

fn expecting(json: Value) -> Parts {
    parts(Expect::Body {
        status: 200,
        bytes: json.to_string().into_bytes(),
    })
}

fn numbered() -> Parts {
    let Value::Object(members) = json!({"item_id": "SKU-789", "qty": 1}) else {
        unreachable!()
    };
    parts(Expect::Numbered {
        status: 200,
        bytes: br#"{"id":7,"item_id":"SKU-789","qty":1}"#.to_vec(),
        members,
        id_member: "id".into(),
    })
}

fn responses() -> [(&'static str, Vec<u8>); 4] {
    let users = users().to_string();
    [
        ("ping", response(r#"{"status":"ok"}"#)),
        ("ping, chunked", chunked(r#"{"status":"ok"}"#)),
        ("users", response(&users)),
        ("users, chunked", chunked(&users)),
    ]
}

/// The parser of heads that ours uses, without what ours adds: finding the body's end and checking the status.
fn httparse_alone(c: &mut Criterion) {
    let mut group = c.benchmark_group("parsing responses/httparse alone");
    for (name, bytes) in responses() {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut headers = [httparse::EMPTY_HEADER; 16];
                let mut head = httparse::Response::new(&mut headers);
                let parsed = head.parse(black_box(&bytes));
                assert!(parsed.is_ok_and(|status| status.is_complete()));
                black_box(head.code)
            });
        });
    }
    group.finish();
}

fn parsing(c: &mut Criterion) {
    let mut parts = parts(Expect::Status(200));
    let responses = responses();
    let mut group = c.benchmark_group("parsing responses/load generator");
    for (name, bytes) in &responses {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(*name, |b| b.iter(|| parts.parse([black_box(&bytes[..])])));
    }
    group.finish();
    let mut group = c.benchmark_group("parse");
    for (name, bytes) in &responses {
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        let head = bytes.windows(4).position(|w| w == b"\r\n\r\n");
        let (head, body) = bytes.split_at(head.map_or(0, |at| at + 4));
        group.bench_function(format!("{name}, separate head and body"), |b| {
            b.iter(|| parts.parse(black_box([head, body])));
        });
        group.bench_function(format!("{name}, in 100-byte pieces"), |b| {
            b.iter(|| parts.parse(black_box(&bytes).chunks(100)));
        });
    }
    group.finish();
}

fn judging(c: &mut Criterion) {
    let mut group = c.benchmark_group("parse and judge");
    let mut ping = expecting(json!({"status": "ok"}));
    let pong = response(r#"{"status":"ok"}"#);
    group.bench_function("ping, equal bytes", |b| {
        b.iter(|| ping.judge(black_box(&pong)).is_ok());
    });
    let mut page = expecting(users());
    let equal = response(&users().to_string());
    group.bench_function("users, equal bytes", |b| {
        b.iter(|| page.judge(black_box(&equal)).is_ok());
    });
    let spaced = response(&format!(" {}", users()));
    group.bench_function("users, equal meaning", |b| {
        b.iter(|| page.judge(black_box(&spaced)).is_ok());
    });
    let in_chunks = chunked(&users().to_string());
    group.bench_function("users, equal bytes, chunked", |b| {
        b.iter(|| page.judge(black_box(&in_chunks)).is_ok());
    });
    let mut order = numbered();
    let created = response(r#"{"id":123456,"item_id":"SKU-789","qty":1}"#);
    group.bench_function("order, different id", |b| {
        b.iter(|| order.judge(black_box(&created)).is_ok());
    });
    let turned = response(r#"{"item_id":"SKU-789","qty":1,"id":123456}"#);
    group.bench_function("order, different id and member order", |b| {
        b.iter(|| order.judge(black_box(&turned)).is_ok());
    });
    group.finish();
}

fn recording(c: &mut Criterion) {
    let mut parts = parts(Expect::Status(200));
    let mut took = 1_u64;
    let mut next = || {
        took = took.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        20_000 + took % 200_000
    };
    c.bench_function("record", |b| {
        b.iter_batched(&mut next, |took| parts.record(took), BatchSize::SmallInput);
    });
    black_box(parts.recorded());
}

criterion_group!(benches, parsing, httparse_alone, judging, recording);
criterion_main!(benches);
