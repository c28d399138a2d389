//! `report.html`: one self-contained file for screen, phone and paper.
//!
//! | file | contents |
//! |---|---|
//! | `verdict` | the summary at the top, and the warnings before it |
//! | `tables` | the table of each workload, and that of all workloads |
//! | `cost` | what a request costs, and what parts take by themselves |
//! | `servers` | the servers, and what the referee found |
//! | `protocol` | how the servers respond to unusual clients |
//! | `about` | the machine, the method, the definitions, how to repeat it |
//!
//! The charts are in [`super::chart`], the page in `harness/crates/report/templates/report.html`. To add a section, add a
//! member to [`Page`] and a few lines there.

mod about;
mod cost;
mod history;
mod protocol;
mod servers;
mod tables;
mod verdict;

use minijinja::value::Serde;
use minijinja::{Environment, Value};
use serde::Serialize;

use record::{Record, Summary};
use words::counted;

use super::chart::{self, Chart, STYLE, Valid, escaped};
use super::notes::Notes;

pub(super) use history::page as history;

const TEMPLATE: &str = include_str!("../../templates/report.html");
const HISTORY_TEMPLATE: &str = include_str!("../../templates/history.html");
const PARTS: &str = include_str!("../../templates/parts.html");
const PAGE_STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

/// The data for the template, in the order of the page.
#[derive(Debug, Serialize)]
struct Page {
    title: String,
    facts: Vec<String>,
    banners: Vec<verdict::Banner>,
    verdicts: verdict::Verdicts,
    overview: Option<tables::Overview>,
    workloads: Vec<Section>,
    /// Notes on rows and workloads.
    notes: Vec<String>,
    servers: servers::Servers,
    costs: Vec<cost::Part>,
    micro: Vec<cost::Part>,
    protocol: Option<protocol::Matrix>,
    about: about::About,
    style: String,
    code: &'static str,
}

/// A workload: its table, then its charts.
#[derive(Debug, Serialize)]
struct Section {
    id: String,
    table: tables::Table,
    figures: Vec<Figure>,
}

/// A chart; `svg` and `data` are markup.
#[derive(Debug, Serialize)]
struct Figure {
    /// Unique in the page.
    name: String,
    title: String,
    caption: String,
    svg: String,
    data: String,
}

/// The text of `report.html`.
pub(super) fn html(record: &Record, summary: &Summary) -> String {
    let valid = Valid::of(record);
    let fields = chart::fields(summary, &valid);
    let overview = tables::overview(record, summary, &fields);
    let mut notes = Notes::default();
    let section = |field: &chart::Field<'_>| Section {
        id: anchor(field.workload),
        table: tables::of_workload(record, summary, field, &mut notes),
        figures: figures(chart::of_workload(field, record.run.seed)),
    };
    let workloads = fields.iter().map(section).collect();
    let page = Page {
        title: title(summary),
        facts: about::facts(record),
        banners: verdict::banners(record, summary),
        verdicts: verdict::verdicts(&fields),
        overview,
        workloads,
        notes: notes.texts(fields.len()),
        servers: servers::section(record, summary, &valid),
        costs: cost::section(record, summary),
        micro: cost::microbenches(record),
        protocol: protocol::section(record, summary),
        about: about::about(record),
        style: style(),
        code: SCRIPT,
    };
    rendered(TEMPLATE, &page)
}

/// Fills a template in.
fn rendered<T: Serialize>(template: &str, page: &T) -> String {
    let mut environment = Environment::new();
    environment
        .add_template("parts.html", PARTS)
        .expect("the template is built in");
    environment
        .add_template("page.html", template)
        .expect("the template is built in");
    let template = environment
        .get_template("page.html")
        .expect("the template was added");
    let text = template
        .render(Value::from(Serde(page)))
        .expect("every name in the template is a member of the page");
    printable(text)
}

/// Logs and reasons may contain control characters.
fn printable(text: String) -> String {
    let bad = |c: char| c.is_control() && c != '\n' && c != '\t';
    if text.contains(bad) {
        text.replace(bad, "?")
    } else {
        text
    }
}

fn title(summary: &Summary) -> String {
    let servers = summary
        .servers
        .iter()
        .filter(|row| !record::is_control(&row.server));
    let workloads = super::workload_table::workloads(summary).len();
    format!(
        "{} compared on {}",
        counted(servers.count(), "web server"),
        counted(workloads, "workload")
    )
}

fn style() -> String {
    format!("{STYLE}{PAGE_STYLE}")
}

fn figures(charts: Vec<Chart>) -> Vec<Figure> {
    charts.into_iter().map(figure).collect()
}

fn figure(chart: Chart) -> Figure {
    Figure {
        svg: chart.drawing.inline(),
        data: data_table(&chart),
        name: format!("{} ({})", chart.title, chart.of),
        title: chart.title,
        caption: chart.caption,
    }
}

/// The figures of a chart, as numbers that can be copied. Not made by the template, because a report has about
/// ten thousand of these cells.
fn data_table(chart: &Chart) -> String {
    let mut out = format!(
        "<table class=\"data\" data-name=\"{}\"><caption>{}: the figures</caption><thead><tr>",
        escaped(&chart.id),
        escaped(&chart.title)
    );
    for head in &chart.data.head {
        out += &format!("<th scope=\"col\">{}</th>", escaped(head));
    }
    out += "</tr></thead><tbody>";
    for row in &chart.data.rows {
        out += "<tr>";
        for (index, cell) in row.iter().enumerate() {
            let cell = escaped(cell);
            out += &match index {
                0 => format!("<th scope=\"row\">{cell}</th>"),
                _ => format!("<td>{cell}</td>"),
            };
        }
        out += "</tr>\n";
    }
    out + "</tbody></table>"
}

/// A name that can follow `#` in a URL.
fn anchor(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    format!("w-{}", name.chars().map(fit).collect::<String>())
}
