//! What a header may be.

/// Headers that say how long the body is; this is the sender's to know.
const FRAMING: [&str; 2] = ["content-length", "transfer-encoding"];

/// What is wrong with a header, where something is.
pub fn header_problem(name: &str, value: &str) -> Option<&'static str> {
    if !is_token(name) {
        return Some("the name has a character no header may have");
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Some("the value has a control character");
    }
    let is_framing = FRAMING
        .iter()
        .any(|framing| name.eq_ignore_ascii_case(framing));
    is_framing.then_some("the length of the body is sent anyhow")
}

/// RFC 9110, section 5.6.2.
pub fn is_token(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(allowed)
}
