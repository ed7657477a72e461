// SPDX-License-Identifier: GPL-2.0

//! What was measured, as it goes into a mail: plain characters, lines that need not be wrapped.

use crate::{
    crash_case::{Crash, Loader},
    facts::Facts,
    iomem::{ACPI_TABLES, Resource, SYSTEM_RAM},
    span::Span,
    table::{Answers, Row},
};

/// The name of memory that the kernel reserved, below `System RAM`.
const RESERVED: &str = "reserved";
/// The entries that the series is about.
const SHOWN: [&str; 2] = [SYSTEM_RAM, ACPI_TABLES];
/// How wide one column of /proc/iomem is.
const WIDTH: usize = 36;

/// The rows as characters: one for each column and loader.
pub fn table(rows: &[Row]) -> String {
    let options = Loader::ALL.map(Loader::option).join(" ");
    let mut text = format!("{:54} stock   series\n{:54} {options}   {options}\n", "", "");
    for row in rows {
        let marks = |answers: &Answers| {
            Loader::ALL.map(|loader| mark(answers, loader)).map(|mark| format!(" {mark}")).join(" ")
        };
        let name = row.name();
        if row.is_beside_stock() {
            text += &format!("{name:54} {:7}   {}\n", "", marks(row.series()));
            continue;
        }
        text += &format!("{name:54} {}   {}\n", marks(row.stock()), marks(row.series()));
    }
    text
}

fn mark(answers: &Answers, loader: Loader) -> char {
    match answers.get(&loader).and_then(Option::as_ref) {
        Some(answer) if answer.holds => '+',
        Some(_) => '-',
        None => '.',
    }
}

/// Memory in /proc/iomem, of `stock` and of `series`, side by side.
pub fn iomem(stock: &Crash, series: &Crash) -> String {
    let kernels = [
        ("first kernel", &stock.first, &series.first),
        ("crash kernel", &stock.second, &series.second),
    ];
    let mut text = Vec::new();
    for (name, stock, series) in kernels {
        let (left, right) = (shown(stock.as_ref().ok()), shown(series.as_ref().ok()));
        text.push(format!("{name}, stock{:1$}series", "", WIDTH.saturating_sub(name.len() + 7)));
        for at in 0..left.len().max(right.len()) {
            let line = |lines: &[String]| lines.get(at).cloned().unwrap_or_default();
            let both = format!("{:WIDTH$}{}", line(&left), line(&right));
            text.push(format!("  {}", both.trim_end()));
        }
        text.push(String::new());
    }
    text.join("\n").trim_end().into()
}

/// The lines of /proc/iomem that tell memory from tables.
fn shown(facts: Option<&Facts>) -> Vec<String> {
    let Some(facts) = facts else { return vec!["not reached".into()] };
    excerpt(&facts.iomem, &facts.acpi_reclaim())
}

fn excerpt(tree: &[Resource], acpi: &[Span]) -> Vec<String> {
    let mut lines = Vec::new();
    for top in tree.iter().filter(|top| SHOWN.contains(&top.name.as_str())) {
        lines.push(format!("{} : {}", top.span, top.name));
        let of_tables = |child: &&Resource| {
            child.name == RESERVED && acpi.iter().any(|table| child.span.overlaps(*table))
        };
        let children = top.children.iter().filter(of_tables);
        lines.extend(children.map(|child| format!("  {} : {}", child.span, child.name)));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iomem::parse;

    #[test]
    fn memory_and_what_is_reserved_of_the_tables_is_shown() {
        let stock = parse(&[
            "09000000-09000fff : pl011@9000000",
            "40000000-5c43ffff : System RAM",
            "  40200000-4109ffff : Kernel code",
            "  5a000000-5affffff : reserved",
            "  5c430000-5c43ffff : reserved",
        ])
        .unwrap();
        let acpi = [Span::inclusive(0x5c43_0000, 0x5c43_ffff)];
        assert_eq!(
            excerpt(&stock, &acpi),
            ["40000000-5c43ffff : System RAM", "  5c430000-5c43ffff : reserved"]
        );
    }
}
