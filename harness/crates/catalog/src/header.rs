//! Validation of headers.

/// Headers for the body's length, which the load generator sends itself.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// What is wrong with a header, if anything.
pub fn header_problem(name: &str, value: &str) -> Option<&'static str> {
    if !is_token(name) {
        return Some("the name has a character that isn't allowed in a header name");
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Some("the value has a control character");
    }
    let is_framing = FRAMING
        .iter()
        .any(|framing| name.eq_ignore_ascii_case(framing));
    is_framing.then_some("the load generator sets the body's length itself")
}

/// Whether it is a token of RFC 9110, section 5.6.2.
pub fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}
