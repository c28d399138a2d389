//! A value that a JSON schema of an OpenAPI document allows.

use serde_json::{Map, Value, json};

/// Schemas refer to each other, and to themselves.
const DEEPEST: usize = 16;

/// Follows references within the document. `None` if one leads nowhere or out of it.
pub(super) fn resolved<'d>(document: &'d Value, mut value: &'d Value) -> Option<&'d Value> {
    for _ in 0..DEEPEST {
        let Some(to) = value.get("$ref") else {
            return Some(value);
        };
        value = document.pointer(to.as_str()?.strip_prefix('#')?)?;
    }
    None
}

/// The value that the author of the document gave: `example`, the first of `examples`, or `default`.
pub(super) fn given<'d>(document: &'d Value, of: &'d Value) -> Option<&'d Value> {
    let examples = match of.get("examples") {
        // Of a schema.
        Some(Value::Array(examples)) => examples.first(),
        // Of a parameter or a body: each in a member `value`.
        Some(Value::Object(examples)) => examples
            .values()
            .find_map(|example| resolved(document, example)?.get("value")),
        _ => None,
    };
    let given = of.get("example").or(examples);
    given.or_else(|| of.get("default"))
}

/// A value for the schema, or `None` if it says too little, such as only a pattern.
pub(super) fn sample(document: &Value, schema: &Value) -> Option<Value> {
    at_depth(document, schema, 0)
}

fn at_depth(document: &Value, schema: &Value, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    let schema = resolved(document, schema)?;
    if let Some(given) = given(document, schema) {
        return Some(given.clone());
    }
    if let Some(only) = schema.get("const") {
        return Some(only.clone());
    }
    if let Some(values) = schema["enum"].as_array() {
        let mut values = values.iter();
        return values.find(|value| !value.is_null()).cloned();
    }
    let inner = |schema: &Value| at_depth(document, schema, depth + 1);
    if let Some(parts) = schema["allOf"].as_array() {
        let mut all: Vec<Value> = parts.iter().map(inner).collect::<Option<_>>()?;
        if schema.get("properties").is_some() {
            all.push(object(schema, inner)?);
        }
        return merged(all);
    }
    for any in ["oneOf", "anyOf"] {
        if let Some(parts) = schema[any].as_array() {
            let mut parts = parts.iter().filter(|part| part["type"] != "null");
            return parts.find_map(inner);
        }
    }
    match kind(schema)? {
        "object" => object(schema, inner),
        "array" => array(schema, inner),
        "string" => string(schema),
        "integer" => integer(schema).map(Value::from),
        "number" => number(schema).map(Value::from),
        "boolean" => Some(true.into()),
        "null" => Some(Value::Null),
        _ => None,
    }
}

/// Its type; the first that isn't null, if it has several.
fn kind(schema: &Value) -> Option<&str> {
    match schema.get("type") {
        Some(Value::String(kind)) => Some(kind),
        Some(Value::Array(kinds)) => {
            let mut kinds = kinds.iter().filter_map(Value::as_str);
            kinds.find(|kind| *kind != "null")
        }
        _ if schema.get("properties").is_some() => Some("object"),
        _ if schema.get("items").is_some() => Some("array"),
        _ => None,
    }
}

/// The required members; all that have a sample if none is required. Members that only responses have are left out.
fn object(schema: &Value, inner: impl Fn(&Value) -> Option<Value>) -> Option<Value> {
    let mut members = Map::new();
    let empty = Map::new();
    let properties = schema["properties"].as_object().unwrap_or(&empty);
    let required: Vec<&str> = match schema["required"].as_array() {
        Some(names) => names.iter().filter_map(Value::as_str).collect(),
        None => Vec::new(),
    };
    for (name, property) in properties {
        if property["readOnly"] == json!(true) {
            continue;
        }
        match (inner(property), required.contains(&name.as_str())) {
            (Some(value), needed) if needed || required.is_empty() => {
                drop(members.insert(name.clone(), value))
            }
            (None, true) => return None,
            _ => {}
        }
    }
    Some(Value::Object(members))
}

fn merged(parts: Vec<Value>) -> Option<Value> {
    let mut parts = parts.into_iter();
    let mut all = parts.next()?;
    for part in parts {
        match (&mut all, part) {
            (Value::Object(all), Value::Object(part)) => all.extend(part),
            _ => return None,
        }
    }
    Some(all)
}

fn array(schema: &Value, inner: impl Fn(&Value) -> Option<Value>) -> Option<Value> {
    let count = schema["minItems"].as_u64().unwrap_or(1).clamp(1, 100);
    let item = inner(schema.get("items")?)?;
    let items = std::iter::repeat_n(item, usize::try_from(count).ok()?);
    Some(items.collect())
}

fn string(schema: &Value) -> Option<Value> {
    if schema.get("pattern").is_some() {
        return None;
    }
    let text = match schema["format"].as_str().unwrap_or_default() {
        "date" => "2024-01-01",
        "date-time" => "2024-01-01T00:00:00Z",
        "time" => "00:00:00Z",
        "duration" => "P1D",
        "uuid" => "00000000-0000-4000-8000-000000000000",
        "email" => "user@example.com",
        "hostname" => "example.com",
        "uri" | "url" => "http://example.com/",
        "ipv4" => "192.0.2.1",
        "ipv6" => "2001:db8::1",
        "byte" => "AA==",
        "binary" => return None,
        _ => return plain(schema),
    };
    Some(text.into())
}

/// A text within the limits on its length.
fn plain(schema: &Value) -> Option<Value> {
    let at_least = usize::try_from(schema["minLength"].as_u64().unwrap_or(0)).ok()?;
    let at_most = usize::try_from(schema["maxLength"].as_u64().unwrap_or(u64::MAX)).ok()?;
    let text = format!("{:x<at_least$}", "text");
    let text: String = text.chars().take(at_most).collect();
    (text.len() >= at_least).then(|| text.into())
}

/// The smallest from 1 up that the limits allow; the largest if none is.
fn number(schema: &Value) -> Option<f64> {
    let (mut low, mut high) = (schema["minimum"].as_f64(), schema["maximum"].as_f64());
    let step = schema["multipleOf"].as_f64().unwrap_or(1.0);
    // OpenAPI 3.0 has a flag, 3.1 a number.
    match &schema["exclusiveMinimum"] {
        Value::Bool(true) => low = low.map(|low| low + step),
        other => low = other.as_f64().map(|limit| limit + step).or(low),
    }
    match &schema["exclusiveMaximum"] {
        Value::Bool(true) => high = high.map(|high| high - step),
        other => high = other.as_f64().map(|limit| limit - step).or(high),
    }
    let wanted = low.unwrap_or(1.0).max(1.0).min(high.unwrap_or(f64::MAX));
    let value = match schema.get("multipleOf") {
        Some(_) => (wanted / step).ceil() * step,
        None => wanted,
    };
    let fits = low.is_none_or(|low| value >= low) && high.is_none_or(|high| value <= high);
    fits.then_some(value)
}

fn integer(schema: &Value) -> Option<i64> {
    let value = number(schema)?;
    let value = if value.fract() == 0.0 {
        value
    } else {
        value.ceil()
    };
    (value.abs() < 9e15).then_some(value as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(schema: Value) -> Option<Value> {
        sample(&Value::Null, &schema)
    }

    #[test]
    fn what_the_author_gave_comes_first() {
        for schema in [
            json!({"type": "integer", "example": 7, "default": 8}),
            json!({"type": "integer", "examples": [7, 8]}),
            json!({"type": "integer", "default": 7}),
            json!({"const": 7}),
            json!({"enum": [null, 7]}),
        ] {
            assert_eq!(of(schema.clone()), Some(7.into()), "{schema}");
        }
    }

    #[test]
    fn a_type_and_its_limits_make_a_value() {
        for (schema, value) in [
            (json!({"type": "integer"}), json!(1)),
            (json!({"type": "integer", "minimum": 10}), json!(10)),
            (
                json!({"type": "integer", "exclusiveMinimum": 10}),
                json!(11),
            ),
            (
                json!({"type": "integer", "minimum": 10, "exclusiveMinimum": true}),
                json!(11),
            ),
            (json!({"type": "integer", "maximum": 0}), json!(0)),
            (
                json!({"type": "integer", "minimum": 3, "multipleOf": 5}),
                json!(5),
            ),
            (json!({"type": "number", "maximum": 0.5}), json!(0.5)),
            (json!({"type": ["null", "boolean"]}), json!(true)),
            (json!({"type": "string", "minLength": 6}), json!("textxx")),
            (json!({"type": "string", "maxLength": 2}), json!("te")),
            (
                json!({"type": "string", "format": "uuid"}),
                json!("00000000-0000-4000-8000-000000000000"),
            ),
            (
                json!({"type": "array", "items": {"type": "boolean"}, "minItems": 2}),
                json!([true, true]),
            ),
            (
                json!({"oneOf": [{"type": "null"}, {"type": "boolean"}]}),
                json!(true),
            ),
        ] {
            assert_eq!(of(schema.clone()), Some(value), "{schema}");
        }
        for schema in [
            json!({}),
            json!({"type": "string", "pattern": "^[A-Z]{3}$"}),
            json!({"type": "string", "format": "binary"}),
            json!({"type": "integer", "minimum": 3, "maximum": 4, "multipleOf": 5}),
            json!({"type": "object", "required": ["a"], "properties": {"a": {}}}),
        ] {
            assert_eq!(of(schema.clone()), None, "{schema}");
        }
    }

    #[test]
    fn an_object_has_its_required_members() {
        let properties = json!({
            "id": {"type": "integer", "readOnly": true},
            "name": {"type": "string"},
            "tag": {"type": "string"},
        });
        let required = json!({"properties": properties, "required": ["id", "name"]});
        assert_eq!(of(required.clone()), Some(json!({"name": "text"})));
        let all = json!({"type": "object", "properties": properties});
        assert_eq!(of(all), Some(json!({"name": "text", "tag": "text"})));
        let both = json!({"allOf": [required, {"properties": {"b": {"const": 1}}}]});
        assert_eq!(of(both), Some(json!({"name": "text", "b": 1})));
    }

    #[test]
    fn references_are_followed_but_not_forever() {
        let document = json!({"a": {"$ref": "#/b"}, "b": {"type": "boolean"}, "c": {"$ref": "#/c"},
            "d": {"type": "array", "items": {"$ref": "#/d"}}});
        let follow = |to: &str| sample(&document, &json!({"$ref": to}));
        assert_eq!(follow("#/a"), Some(true.into()));
        for nowhere in ["#/c", "#/d", "#/none", "other.yaml#/a"] {
            assert_eq!(follow(nowhere), None, "{nowhere}");
        }
    }
}
