//! Selects items by name, and suggests the nearest match for an unknown name.

/// Keeps the items named in `wanted`, in their original order; all of them if `wanted` is empty.
///
/// # Errors
/// A message for the user if a name is unknown. It has the known names and the nearest,
/// as in `no server "brch"; did you mean "birch"? (known: birch, cedar)`.
pub fn select<T>(
    what: &str,
    items: Vec<T>,
    name_of: impl Fn(&T) -> &str,
    wanted: &[String],
) -> Result<Vec<T>, String> {
    let known: Vec<&str> = items.iter().map(&name_of).collect();
    for name in wanted {
        if !known.contains(&name.as_str()) {
            return Err(unknown(what, name, &known));
        }
    }
    Ok(items
        .into_iter()
        .filter(|item| wanted.is_empty() || wanted.iter().any(|name| name == name_of(item)))
        .collect())
}

/// The message for an unknown name.
pub fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let hint = nearest(name, known)
        .map(|near| format!("; did you mean \"{near}\"?"))
        .unwrap_or_default();
    format!("no {what} \"{name}\"{hint} (known: {})", known.join(", "))
}

/// The known name most similar to `name`, if any is similar at all.
pub fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    known
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["alder", "birch", "cedar"];

    fn choose(wanted: &[&str]) -> Result<Vec<&'static str>, String> {
        let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        select("server", KNOWN.to_vec(), |name| name, &wanted)
    }

    #[test]
    fn no_filter_keeps_all() {
        assert_eq!(choose(&[]).unwrap(), KNOWN);
    }

    #[test]
    fn keeps_the_catalogue_order() {
        assert_eq!(choose(&["cedar", "birch"]).unwrap(), ["birch", "cedar"]);
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_nearest() {
        let message = choose(&["brch"]).unwrap_err();
        assert!(message.contains("did you mean \"birch\"?"), "{message}");
    }

    #[test]
    fn a_name_like_none_gets_no_hint() {
        let message = choose(&["zzzzzz"]).unwrap_err();
        assert!(!message.contains("did you mean"), "{message}");
        assert!(message.contains("known: alder"), "{message}");
    }
}
