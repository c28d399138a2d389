//! `report.html`: one self-contained file for screen, phone and paper.
//!
//! | file | contents |
//! |---|---|
//! | `verdict` | the summary at the top, and the warnings before it |
//! | `tables` | the table of each workload, and that of all workloads |
//! | `cost` | what a request costs, what parts take by themselves, and what other commands measured |
//! | `servers` | the servers, and what the referee found |
//! | `protocol` | how the servers respond to unusual clients |
//! | `about` | the machine, the method, the definitions, how to repeat it |
//!
//! The charts are in [`super::chart`], the page in `harness/crates/report/templates/report.html`. To add a section, add a
//! value to [`html`] and a few lines there.

mod about;
mod cost;
mod history;
mod protocol;
mod servers;
mod tables;
mod verdict;

use minijinja::{Environment, Value, context};

use record::{EntryKind, Record, Summary};
use words::counted;

use super::chart::{self, Chart, Field, STYLE, Valid, escaped};
use super::notes::Notes;

pub(super) use history::page as history;

const TEMPLATE: &str = include_str!("../../templates/report.html");
const HISTORY_TEMPLATE: &str = include_str!("../../templates/history.html");
const PARTS: &str = include_str!("../../templates/parts.html");
const PAGE_STYLE: &str = include_str!("../../templates/report.css");
const SCRIPT: &str = include_str!("../../templates/report.js");

/// The text of `report.html`.
pub(super) fn html(record: &Record, summary: &Summary) -> String {
    let valid = Valid::of(record);
    let fields = chart::fields(summary, &valid);
    let mut notes = Notes::default();
    // A workload: its table, then its charts.
    let workload = |field: &Field<'_>| {
        context! {
            id => anchor(field.workload),
            table => tables::of_workload(record, field, &mut notes),
            figures => figures(chart::of_workload(field, record.run.seed)),
        }
    };
    let workloads: Value = fields.iter().map(workload).collect();
    // In the order of the page.
    let page = context! {
        title => title(summary),
        facts => list(about::facts(record)),
        banners => verdict::banners(record, summary),
        verdicts => verdict::verdicts(&fields),
        overview => tables::overview(record, summary, &fields),
        workloads,
        notes => list(notes.texts(fields.len())),
        servers => servers::section(record, summary, &valid),
        costs => cost::section(record, summary),
        added => cost::added(record),
        added_figures => figures(crate::added::charts(&record.added)),
        micro => cost::microbenches(record),
        protocol => protocol::section(record, summary),
        about => about::about(record),
    };
    rendered(TEMPLATE, page)
}

/// Fills a template in.
fn rendered(template: &str, page: Value) -> String {
    let mut environment = Environment::new();
    environment
        .add_template("parts.html", PARTS)
        .expect("the template is built in");
    let page = context! { style => format!("{STYLE}{PAGE_STYLE}"), code => SCRIPT, ..page };
    let text = environment
        .render_named_str("page.html", template, page)
        .expect("the template is built in");
    // Logs and reasons may contain control characters.
    text.replace(|c: char| c.is_control() && c != '\n' && c != '\t', "?")
}

fn list<T: Into<Value>>(items: impl IntoIterator<Item = T>) -> Value {
    items.into_iter().collect()
}

fn title(summary: &Summary) -> String {
    let count = |wanted: fn(EntryKind<'_>) -> bool| {
        let kinds = summary.servers.iter();
        kinds
            .filter(|row| wanted(EntryKind::of(&row.server)))
            .count()
    };
    let servers = count(|kind| kind == EntryKind::Server);
    let builds = count(|kind| matches!(kind, EntryKind::Build(_)));
    let workloads = super::workload_table::workloads(summary).len();
    let mut compared = counted(servers, "web server");
    if builds > 0 {
        compared = format!("{compared} and {}", counted(builds, "other build"));
    }
    format!("{compared} compared on {}", counted(workloads, "workload"))
}

fn figures(charts: impl IntoIterator<Item = Chart>) -> Value {
    charts.into_iter().map(figure).collect()
}

/// A chart; `svg` and `data` are markup, `name` is unique in the page.
fn figure(chart: Chart) -> Value {
    context! {
        svg => chart.inline(),
        data => data_table(&chart),
        name => format!("{} ({})", chart.title, chart.of),
        title => chart.title,
        caption => chart.caption,
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
    format!("w-{}", chart::anchor(name))
}
