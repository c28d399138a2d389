//! A small SVG writer: shapes have classes, so that one style sheet colours them for light mode, dark mode and
//! print, and text stays text.

use std::fmt::Write as _;

/// The style sheet of every chart: palette, light and dark, and the classes used here.
pub(crate) const STYLE: &str = include_str!("../../templates/chart.css");

/// The position of a text relative to its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing; lengths in CSS pixels at its natural size.
#[derive(Debug, Clone)]
pub(super) struct Svg {
    body: String,
    pub(super) width: f64,
    pub(super) height: f64,
}

impl Svg {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self {
            body: String::new(),
            width,
            height,
        }
    }

    pub(super) fn line(&mut self, (x1, y1): (f64, f64), (x2, y2): (f64, f64), class: &str) {
        let (x1, y1, x2, y2) = (short(x1), short(y1), short(x2), short(y2));
        self.element(format_args!(
            "<path class=\"{class}\" d=\"M{x1} {y1}L{x2} {y2}\"/>"
        ));
    }

    pub(super) fn rect(&mut self, (x, y): (f64, f64), width: f64, height: f64, class: &str) {
        let (x, y) = (short(x), short(y));
        let (width, height) = (short(width.max(0.0)), short(height.max(0.0)));
        self.element(format_args!(
            "<rect class=\"{class}\" x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\"/>"
        ));
    }

    /// `data` in the path language of SVG.
    pub(super) fn path(&mut self, data: &str, class: &str) {
        if !data.is_empty() {
            self.element(format_args!("<path class=\"{class}\" d=\"{data}\"/>"));
        }
    }

    /// One line through the points.
    pub(super) fn polyline(&mut self, points: &[(f64, f64)], class: &str) {
        self.path(&through(points), class);
    }

    /// The area between two lines with equally many points.
    pub(super) fn band(&mut self, low: &[(f64, f64)], high: &[(f64, f64)], class: &str) {
        let around: Vec<_> = low.iter().chain(high.iter().rev()).copied().collect();
        if around.len() > 2 {
            self.path(&format!("{}z", through(&around)), class);
        }
    }

    pub(super) fn text(&mut self, (x, y): (f64, f64), anchor: Anchor, class: &str, text: &str) {
        let (x, y, text) = (short(x), short(y), escaped(text));
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let class = if class.is_empty() {
            String::new()
        } else {
            format!(" class=\"{class}\"")
        };
        self.element(format_args!(
            "<text x=\"{x}\" y=\"{y}\"{anchor}{class}>{text}</text>"
        ));
    }

    /// For an HTML page that includes [`STYLE`], with an id that is unique in the page, a title and a description.
    pub(super) fn inline(&self, told: [&str; 3]) -> String {
        self.whole(told, "", "")
    }

    /// A separate file: includes its style, which follows the reader's light or dark mode, and a background,
    /// because the surrounding page may use the other mode.
    pub(super) fn standalone(&self, told: [&str; 3]) -> String {
        let ground = format!(
            "<style>{}</style><rect class=\"ground\" width=\"100%\" height=\"100%\"/>",
            STYLE.replace('\n', " ")
        );
        let (width, height) = (short(self.width), short(self.height));
        let names =
            format!(" xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\"");
        format!("{}\n", self.whole(told, &names, &ground))
    }

    fn whole(&self, [id, title, description]: [&str; 3], attributes: &str, before: &str) -> String {
        let (width, height) = (short(self.width), short(self.height));
        let (title, description) = (escaped(title), escaped(description));
        format!(
            "<svg{attributes} class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" \
             aria-labelledby=\"{id}-t {id}-d\"><title id=\"{id}-t\">{title}</title>\
             <desc id=\"{id}-d\">{description}</desc>{before}{}</svg>",
            self.body
        )
    }

    fn element(&mut self, what: std::fmt::Arguments<'_>) {
        self.body
            .write_fmt(what)
            .expect("writing to a string can't fail");
    }
}

/// The path through some points.
pub(super) fn through(points: &[(f64, f64)]) -> String {
    let mut data = String::new();
    for (index, (x, y)) in points.iter().enumerate() {
        data.push_str(if index == 0 { "M" } else { "L" });
        data.push_str(&short(*x));
        data.push(' ');
        data.push_str(&short(*y));
    }
    data
}

/// To a tenth of a pixel, without trailing zeros.
pub(super) fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").unwrap_or(&text);
    if text == "-0" { "0" } else { text }.to_owned()
}

/// Escapes text for content and attributes. Replaces characters that XML doesn't allow by a question mark.
pub(crate) fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\t' | '\n' => out.push(c),
            _ if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_no_longer_than_they_need_be() {
        assert_eq!(
            [1.0, 1.25, -0.01, 99.96].map(short),
            ["1", "1.2", "0", "100"]
        );
    }

    #[test]
    fn text_cannot_become_markup() {
        assert_eq!(
            escaped("<a b=\"c\">&\u{1b}"),
            "&lt;a b=&quot;c&quot;&gt;&amp;?"
        );
    }

    #[test]
    fn a_drawing_says_what_it_is_in_a_page_and_alone() {
        let mut svg = Svg::new(100.0, 50.0);
        svg.text((1.0, 2.0), Anchor::End, "", "a<b");
        let told = ["x", "Title", "What it shows"];
        let inline = svg.inline(told);
        assert!(inline.contains("aria-labelledby=\"x-t x-d\"><title id=\"x-t\">Title</title>"));
        assert!(
            inline.contains("text-anchor=\"end\">a&lt;b</text>"),
            "{inline}"
        );
        let alone = svg.standalone(told);
        assert!(
            alone.contains("prefers-color-scheme:") && alone.contains("xmlns="),
            "{alone}"
        );
    }
}
