// SPDX-License-Identifier: GPL-2.0

//! Goals, and whether they are met.

use boot::Counts;
use comfy_table::{CellAlignment, Table, TableComponent, presets::UTF8_HORIZONTAL_ONLY};
use serde::Serialize;

/// A figure, and the most that it may be.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// What is measured.
    pub what: String,
    /// What came out.
    pub measured: f64,
    /// The most that it may be.
    pub most: f64,
    /// How many decimals are of interest.
    pub decimals: usize,
    /// Where it is not met: what it must not get worse than.
    pub held_to: Option<f64>,
}

impl Goal {
    /// A goal for a ratio, which is of interest to four decimals.
    pub fn ratio(what: impl Into<String>, measured: u64, of: u64, most: f64) -> Self {
        // Nothing to compare with is no success. CAST: counts here are far below 2^52.
        let measured = if of == 0 { f64::INFINITY } else { measured as f64 / of as f64 };
        Self { what: what.into(), measured, most, decimals: 4, held_to: None }
    }

    /// A goal for a number.
    pub fn number(what: impl Into<String>, measured: i64, most: i64) -> Self {
        // CAST: As above.
        let (measured, most) = (measured as f64, most as f64);
        Self { what: what.into(), measured, most, decimals: 0, held_to: None }
    }

    /// A goal for seconds.
    pub fn seconds(what: impl Into<String>, measured: f64, most: f64) -> Self {
        Self { what: what.into(), measured, most, decimals: 1, held_to: None }
    }

    /// It is not met, and must not get worse than `bound`.
    pub fn held_to(self, bound: f64) -> Self {
        Self { held_to: Some(bound), ..self }
    }

    /// The goal that a test holds it to.
    pub fn for_test(self) -> Self {
        Self { most: self.held_to.unwrap_or(self.most), held_to: None, ..self }
    }

    /// Whether it is met.
    pub fn is_met(&self) -> bool {
        self.measured <= self.most
    }
}

/// How many goals are met, and how many are not.
pub fn count(goals: &[Goal]) -> Counts {
    let passed = goals.iter().filter(|goal| goal.is_met()).count();
    Counts { passed, failed: goals.len() - passed }
}

/// The goals as text.
pub fn table(goals: &[Goal]) -> String {
    let number = |goal: &Goal, value: f64| format!("{value:.0$}", goal.decimals);
    let rows = goals.iter().map(|goal| {
        let met = if goal.is_met() { "+" } else { "- missed" };
        [goal.what.clone(), number(goal, goal.measured), number(goal, goal.most), met.into()]
    });
    rows_as_table(["goal", "measured", "at most", ""], rows)
}

/// Rows of which all but the first cell are numbers.
pub fn rows_as_table<const N: usize>(
    header: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> String {
    let mut table = Table::new();
    table
        .load_preset(UTF8_HORIZONTAL_ONLY)
        .remove_style(TableComponent::HorizontalLines)
        .remove_style(TableComponent::MiddleIntersections)
        .set_header(header)
        .add_rows(rows);
    for column in table.column_iter_mut().skip(1) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_up_to_its_bound() {
        assert!(Goal::ratio("", 1005, 1000, 1.005).is_met());
        assert!(!Goal::ratio("", 1006, 1000, 1.005).is_met());
        assert!(Goal::number("", -1, 0).is_met());
        assert!(!Goal::number("", 1, 0).is_met());
        assert!(!Goal::ratio("nothing to compare with", 0, 0, 1.0).is_met());
    }

    #[test]
    fn a_test_holds_a_missed_goal_to_what_it_was() {
        let goal = |measured| Goal::ratio("", measured, 1000, 1.0).held_to(1.002);
        assert!(!goal(1002).is_met());
        assert!(goal(1002).for_test().is_met());
        assert!(!goal(1003).for_test().is_met());
        assert!(!Goal::number("", 1, 0).for_test().is_met());
    }

    #[test]
    fn a_missed_goal_is_counted_and_shown() {
        let goals = [Goal::number("bytes", 600, 512), Goal::ratio("boot", 1, 1, 1.0)];
        assert_eq!(count(&goals), Counts { passed: 1, failed: 1 });
        let text = table(&goals);
        assert!(text.contains("- missed") && text.contains("600"), "{text}");
        assert!(text.contains("1.0000"), "{text}");
    }
}
