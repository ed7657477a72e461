// SPDX-License-Identifier: GPL-2.0

//! The table that `make crash` prints: one row per property, stock beside the series.

use crate::{
    Counts,
    asked::Asked,
    crash_case::Loader,
    properties::{Answer, Expected, Of, PROPERTIES, Property},
};
use comfy_table::{
    Cell, Color, ColumnConstraint, ContentArrangement, Table, TableComponent,
    presets::UTF8_HORIZONTAL_ONLY,
};
use std::collections::BTreeMap;

/// The answers of one column to one property, by loader.
pub type Answers = BTreeMap<Loader, Option<Answer>>;

/// One property with its answers.
pub struct Row {
    property: &'static Property,
    stock: Answers,
    series: Answers,
    /// What stock must answer; [`None`] where it is what the series is compared with.
    stock_expected: Option<Expected>,
}

impl Row {
    /// A row; on a kernel with the mapping of 2017, stock's crash kernel does not come up.
    pub fn new(
        property: &'static Property,
        mapping_2017: bool,
        stock: Answers,
        series: Answers,
    ) -> Self {
        let of_stock =
            if mapping_2017 { property.of_dying(property.stock) } else { property.stock };
        let stock_expected = (!property.is_beside_stock()).then_some(of_stock);
        Self { property, stock, series, stock_expected }
    }

    /// The property's name.
    pub fn name(&self) -> &'static str {
        self.property.name
    }

    /// Whether stock is what the series is compared with, and is not judged.
    pub fn is_beside_stock(&self) -> bool {
        self.stock_expected.is_none()
    }

    /// What stock answered.
    pub fn stock(&self) -> &Answers {
        &self.stock
    }

    /// What the series answered.
    pub fn series(&self) -> &Answers {
        &self.series
    }

    fn as_expected(&self) -> bool {
        self.stock_expected.is_none_or(|expected| met(expected, &self.stock))
            && met(Expected::Holds, &self.series)
    }

    /// What is not as expected, for the verdict.
    fn complaints(&self) -> Vec<String> {
        let columns = [
            ("stock", &self.stock, self.stock_expected),
            ("series", &self.series, Some(Expected::Holds)),
        ];
        let mut complaints = Vec::new();
        for (column, answers, expected) in columns {
            let Some(expected) = expected else { continue };
            for (loader, answer) in answers {
                if !expected.met_by(*loader, answer.as_ref()) {
                    complaints.push(format!(
                        "{column}, kexec {}: {} ({}): {} ({})",
                        loader.option(),
                        self.property.key,
                        self.property.name.trim(),
                        said(answer.as_ref()),
                        match expected.with(*loader) {
                            Expected::Holds => "it should hold",
                            Expected::Fails | Expected::FailsWith(_) => {
                                "stock should fail it, or the check proves nothing"
                            }
                            Expected::NotReached => "stock should not have come that far",
                        }
                    ));
                }
            }
        }
        complaints
    }
}

fn met(expected: Expected, answers: &Answers) -> bool {
    !answers.is_empty()
        && answers.iter().all(|(loader, answer)| expected.met_by(*loader, answer.as_ref()))
}

fn said(answer: Option<&Answer>) -> String {
    answer.map_or("not reached".into(), |answer| answer.says.replace('\n', ", "))
}

/// One cell: the loaders' answers, or one when they agree.
fn cell(answers: &Answers, expected: Option<Expected>) -> Cell {
    let text = |answer: &Option<Answer>| match answer {
        Some(answer) if expected.is_none() => format!("  {}", answer.says),
        Some(answer) => format!("{} {}", if answer.holds { "+" } else { "-" }, answer.says),
        None => "  not reached".into(),
    };
    let mut texts: Vec<_> = answers.iter().map(|(loader, answer)| (loader, text(answer))).collect();
    texts.dedup_by(|one, other| one.1 == other.1);
    let text = match &texts[..] {
        [(_, one)] => one.clone(),
        several => several
            .iter()
            .map(|(loader, text)| format!("{text} ({})", loader.option()))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    let cell = Cell::new(text);
    match expected {
        None => cell,
        Some(expected) if !met(expected, answers) => cell.fg(Color::Red),
        Some(Expected::Holds) => cell.fg(Color::Green),
        Some(_) => cell,
    }
}

/// The rows as text.
pub fn render(rows: &[Row]) -> String {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(["", "stock", "series"]);
    if table.width().is_none() {
        table.set_width(110);
    }
    for row in rows {
        table.add_row([
            Cell::new(row.property.name),
            cell(&row.stock, row.stock_expected),
            cell(&row.series, Some(Expected::Holds)),
        ]);
    }
    // Names are read as one line; values may wrap.
    if let Some(names) = table.column_mut(0) {
        names.set_constraint(ColumnConstraint::ContentWidth);
    }
    table.trim_fmt()
}

/// How many rows are as expected, and what is not.
pub fn judge(rows: &[Row]) -> (Counts, Vec<String>) {
    let passed = rows.iter().filter(|row| row.as_expected()).count();
    let complaints = rows.iter().flat_map(Row::complaints).collect();
    (Counts { passed, failed: rows.len() - passed }, complaints)
}

/// The properties of the table: what only the first kernel has does not depend on the mapping of
/// 2017, and with that there is no crash kernel of stock to compare with.
pub fn properties(mapping_2017: bool) -> impl Iterator<Item = &'static Property> {
    let asked = Asked::default();
    PROPERTIES.iter().filter(move |property| {
        property.is_asked(&asked, !mapping_2017) && (!mapping_2017 || property.of != Of::First)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(holds: bool, says: &str) -> Answers {
        Loader::ALL.map(|loader| (loader, Some(Answer::new(holds, says)))).into()
    }

    fn failing_on_stock() -> &'static Property {
        PROPERTIES.iter().find(|property| property.stock == Expected::Fails).unwrap()
    }

    #[test]
    fn a_row_is_as_expected_when_both_columns_are() {
        let property = failing_on_stock();
        let good = Row::new(property, false, answers(false, "none"), answers(true, "7c430000"));
        let vacuous = Row::new(property, false, answers(true, "yes"), answers(true, "yes"));
        let broken = Row::new(property, false, answers(false, "none"), answers(false, "none"));
        let (counts, complaints) = judge(&[good, vacuous, broken]);
        assert_eq!((counts.passed, counts.failed), (1, 2));
        assert!(complaints[0].contains("stock, kexec -s"), "{complaints:?}");
        assert!(complaints[0].contains("proves nothing"), "{complaints:?}");
        // Some properties of the two kernels share a name.
        assert!(complaints[0].contains(&format!(": {} (", property.key)), "{complaints:?}");
        assert!(complaints.last().unwrap().contains("series, kexec -c"), "{complaints:?}");
    }

    #[test]
    fn nothing_measured_is_not_as_expected() {
        let property = failing_on_stock();
        let nothing = || Loader::ALL.map(|loader| (loader, None)).into();
        assert_eq!(judge(&[Row::new(property, false, nothing(), nothing())]).0.failed, 1);
        assert_eq!(judge(&[Row::new(property, false, [].into(), [].into())]).0.failed, 1);
    }

    #[test]
    fn loaders_that_agree_share_a_line() {
        let property = failing_on_stock();
        let mut series = answers(true, "751 MiB");
        series.insert(Loader::Load, Some(Answer::new(true, "750 MiB")));
        let text = render(&[Row::new(property, false, answers(false, "none"), series)]);
        assert_eq!(text.matches("none").count(), 1, "{text}");
        assert!(text.contains("751 MiB (-s)") && text.contains("750 MiB (-c)"), "{text}");
    }
}
