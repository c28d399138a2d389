//! The flame graph of some stacks.

use anyhow::{Context as _, Result};
use inferno::flamegraph::color::{Color, PaletteMap};
use inferno::flamegraph::{Options, TextTruncateDirection, from_lines};

use super::classes::WorkClasses;
use super::tree::folded_name;

/// Draws an SVG of folded stacks. `functions` are those with a class, which gives them its colour.
pub(super) fn graph<'a>(
    title: &str,
    unit: &str,
    folded: &[String],
    functions: impl Iterator<Item = (&'a str, &'a str)>,
    classes: &WorkClasses,
) -> Result<Vec<u8>> {
    let mut palette = PaletteMap::default();
    for (function, class) in functions {
        let [r, g, b] = classes.all[classes.index(class)].colour;
        palette.insert(folded_name(function), Color { r, g, b });
    }
    let mut options = Options::default();
    options.title = title.to_owned();
    unit.clone_into(&mut options.count_name);
    options.deterministic = true;
    options.text_truncate_direction = TextTruncateDirection::Right;
    options.palette_map = Some(&mut palette);
    let mut svg = Vec::new();
    from_lines(&mut options, folded.iter().map(String::as_str), &mut svg)
        .context("cannot draw the flame graph")?;
    Ok(svg)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_has_the_colour_of_its_class() {
        let classes = WorkClasses::read(None).unwrap();
        let folded = [
            "main;serde_json::to_vec 70".to_owned(),
            "main;mi_free 30".to_owned(),
        ];
        let functions = [
            ("serde_json::to_vec", "JSON and queries"),
            ("mi_free", "allocation"),
        ];
        let svg = graph(
            "a title",
            "samples",
            &folded,
            functions.into_iter(),
            &classes,
        )
        .unwrap();
        let svg = String::from_utf8(svg).unwrap();
        for (function, colour) in [
            (
                "serde_json::to_vec (70 samples, 70.00%)",
                "rgb(130,190,110)",
            ),
            ("mi_free (30 samples, 30.00%)", "rgb(220,90,100)"),
        ] {
            let rest = svg.split_once(function).unwrap().1;
            assert!(rest.split_once("/>").unwrap().0.contains(colour), "{rest}");
        }
        assert!(svg.contains("a title"));
    }
}
