// SPDX-License-Identifier: GPL-2.0

//! What Documentation says of kernels with the option and without it, held against what was seen.

use crate::crash_case::Loader;
use anyhow::{Context, Result, bail, ensure};
use machines::Column;

/// The page that has the table.
const PAGE: &str = include_str!("../../../Documentation/arch/arm64/acpi-tables.rst");
/// How its first line begins.
const HEAD: &str = "First kernel  Crash kernel ";

/// One row: what comes of a pair of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    column: Column,
    /// Whether the tables are memory of the crash kernel, and reserved.
    pub in_memory: bool,
    /// Whether they are in a dump by kexec_file_load().
    by_file: bool,
    /// Whether they are in a dump by kexec_load().
    by_load: bool,
}

impl Row {
    /// Whether the tables are in a dump by `loader`.
    pub fn in_dump(self, loader: Loader) -> bool {
        match loader {
            Loader::File => self.by_file,
            Loader::Load => self.by_load,
        }
    }
}

/// The row of the table for these kernels.
pub fn row(column: Column) -> Result<Row> {
    of(PAGE, column).context("in Documentation/arch/arm64/acpi-tables.rst")
}

fn of(page: &str, column: Column) -> Result<Row> {
    let rows = parse(page)?;
    let mut rows = rows.into_iter().filter(|row| row.column == column);
    let row = rows.next().with_context(|| format!("the table has no row for {}", column.name()))?;
    ensure!(rows.next().is_none(), "the table has two rows for {}", column.name());
    Ok(row)
}

/// The rows of the table: a simple one of reStructuredText, whose columns are two blanks apart.
fn parse(page: &str) -> Result<Vec<Row>> {
    let is_border = |line: &&str| line.starts_with("====") && line.contains("=  =");
    let mut lines = page.lines().skip_while(|line| !line.starts_with(HEAD));
    lines.find(is_border).with_context(|| format!("no table begins with '{HEAD}'"))?;
    lines.take_while(|line| !is_border(line)).map(parse_row).collect()
}

fn parse_row(line: &str) -> Result<Row> {
    let cells: Vec<_> = line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    let [first, crash, memory, by_file, by_load] = cells[..] else {
        bail!("the row '{line}' has {} cells", cells.len());
    };
    let either = |cell: &str, yes: &str, no: &str| match cell {
        _ if cell == yes => Ok(true),
        _ if cell == no => Ok(false),
        _ => bail!("'{cell}' is neither '{yes}' nor '{no}'"),
    };
    let with = |cell| either(cell, "with", "without");
    let column = match (with(first)?, with(crash)?) {
        (false, false) => Column::Stock,
        (true, true) => Column::Series,
        (false, true) => Column::StockSeries,
        (true, false) => Column::SeriesStock,
    };
    Ok(Row {
        column,
        in_memory: either(memory, "memory, reserved", "mapped when read")?,
        by_file: either(by_file, "yes", "no")?,
        by_load: either(by_load, "yes", "no")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_pair_of_kernels() {
        for column in [Column::Stock, Column::Series, Column::StockSeries, Column::SeriesStock] {
            let row = of(PAGE, column).unwrap();
            assert_eq!(row.in_memory, column.crash(), "{row:?}");
            assert!(row.in_dump(Loader::File));
            assert_eq!(row.in_dump(Loader::Load), !column.first(), "{row:?}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (right, wrong, said) in [
            ("memory, reserved", "memory", "'memory' is neither"),
            ("First kernel  Crash", "First kernel Crash", "no table begins"),
        ] {
            let error = of(&PAGE.replace(right, wrong), Column::Series).unwrap_err();
            assert!(error.to_string().contains(said), "{error}");
        }
    }
}
