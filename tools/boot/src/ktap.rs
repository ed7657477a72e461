// SPDX-License-Identifier: GPL-2.0

//! Results in KTAP, from the guest's scripts and from KUnit.

use crate::log::Log;
use anyhow::{Context, Result, bail};
use regex::Regex;
use std::sync::LazyLock;

/// How one test ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// `ok`.
    Passed,
    /// `not ok`.
    Failed,
    /// `ok` with the directive SKIP.
    Skipped,
}

/// One result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// The name; a subtest has the names of its parents before it, with a dot between.
    pub name: String,
    /// How it ended.
    pub ending: Ending,
    /// The diagnostic lines that came before it.
    pub why: Vec<String>,
}

/// What is said of the first of the guest's checks that did not pass, if there is one.
pub fn failed(checks: &[Test]) -> Option<String> {
    let check = checks.iter().find(|check| check.ending != Ending::Passed)?;
    Some(format!("the guest's check {} failed: {}", check.name, check.why.join(" ")))
}

static RESULT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^( *)(not ok|ok) (\d+) ?-? ?([^#]*)(?:# ?(\w+).*)?$").unwrap());
static PLAN: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^( *)1\.\.(\d+)$").unwrap());
static VERSION: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^( *)K?TAP version \d+$").unwrap());

/// A group that is still open: its plan, and the tests that it has got so far.
struct Group {
    indent: usize,
    planned: Option<usize>,
    results: usize,
    tests: Vec<Test>,
}

/// The leaves of all results in the log: a test that has subtests counts by these.
///
/// A group with fewer or more results than its plan announces is an error.
pub fn parse(log: &Log) -> Result<Vec<Test>> {
    let mut done = Vec::new();
    let mut open: Vec<Group> = Vec::new();
    let mut why = Vec::new();
    for line in log.lines() {
        if let Some(parts) = VERSION.captures(line) {
            let indent = parts[1].len();
            if indent == 0 {
                close_all(&mut open, &mut done)?;
            }
            open.push(Group { indent, planned: None, results: 0, tests: Vec::new() });
            why.clear();
        } else if let (Some(parts), Some(group)) = (PLAN.captures(line), open.last_mut()) {
            if parts[1].len() == group.indent {
                group.planned = Some(parts[2].parse()?);
            }
        } else if let (Some(parts), Some(group)) = (RESULT.captures(line), open.last()) {
            let (indent, name) = (parts[1].len(), parts[4].trim());
            let mut below = Vec::new();
            // The result of a group comes with the indentation of the group around it.
            if indent < group.indent {
                let group = open.pop().expect("it was just looked at");
                check_plan(&group, name)?;
                below = group.tests;
            }
            let group = open
                .last_mut()
                .filter(|group| group.indent == indent)
                .with_context(|| format!("KTAP: '{line}' belongs to no group"))?;
            group.results += 1;
            let ending = match (&parts[2], parts.get(5).map(|directive| directive.as_str())) {
                ("ok", Some("SKIP")) => Ending::Skipped,
                ("ok", _) => Ending::Passed,
                _ => Ending::Failed,
            };
            let failed_below = below.iter().any(|test: &Test| test.ending == Ending::Failed);
            if below.is_empty() || (ending == Ending::Failed && !failed_below) {
                below.push(Test { name: String::new(), ending, why: std::mem::take(&mut why) });
            }
            group.tests.extend(below.into_iter().map(|test| Test {
                name: if test.name.is_empty() {
                    name.into()
                } else {
                    format!("{name}.{}", test.name)
                },
                ..test
            }));
        } else if let Some(said) = line.trim_start().strip_prefix("# ") {
            why.push(said.into());
        }
    }
    close_all(&mut open, &mut done)?;
    Ok(done)
}

fn close_all(open: &mut Vec<Group>, done: &mut Vec<Test>) -> Result<()> {
    if open.len() > 1 {
        bail!("KTAP: a group of subtests did not come to its result");
    }
    for group in open.drain(..) {
        check_plan(&group, "the outermost group")?;
        done.extend(group.tests);
    }
    Ok(())
}

fn check_plan(group: &Group, name: &str) -> Result<()> {
    match group.planned {
        Some(planned) if planned != group.results => {
            bail!("KTAP: {name} planned {planned} tests and has {} results", group.results)
        }
        // Without a plan the results speak for themselves.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUNIT: &str = "\
[    0.100000] KTAP version 1
[    0.100001] 1..2
[    0.100002]     KTAP version 1
[    0.100003]     # Subtest: rust_kernel_bitmap
[    0.100004]     # module: kernel
[    0.100005]     1..3
[    0.100006]     ok 1 bitmap_borrow
[    0.100007]     # bitmap_vec_new: ASSERTION FAILED at rust/kernel/bitmap.rs:523
[    0.100008]     not ok 2 bitmap_vec_new
[    0.100009]     ok 3 slow # SKIP no memory
[    0.100010] # rust_kernel_bitmap: pass:1 fail:1 skip:1 total:3
[    0.100011] not ok 1 rust_kernel_bitmap
[    0.100012] ok 2 alone
[    0.200000] Run /init as init process
";

    #[test]
    fn subtests_count_by_their_full_name() {
        let tests = parse(&Log::new(KUNIT)).unwrap();
        let names: Vec<_> = tests.iter().map(|test| (test.name.as_str(), test.ending)).collect();
        assert_eq!(
            names,
            [
                ("rust_kernel_bitmap.bitmap_borrow", Ending::Passed),
                ("rust_kernel_bitmap.bitmap_vec_new", Ending::Failed),
                ("rust_kernel_bitmap.slow", Ending::Skipped),
                ("alone", Ending::Passed),
            ]
        );
        assert!(tests[1].why.last().unwrap().contains("ASSERTION FAILED"));
    }

    #[test]
    fn a_group_that_lost_a_test_is_an_error() {
        let text = KUNIT.replace("[    0.100006]     ok 1 bitmap_borrow\n", "");
        let error = parse(&Log::new(&text)).unwrap_err();
        assert!(error.to_string().contains("planned 3 tests and has 2"), "{error}");
    }

    #[test]
    fn a_group_that_was_cut_off_is_an_error() {
        let error = parse(&Log::new("KTAP version 1\n1..2\nok 1 a\n")).unwrap_err();
        assert!(error.to_string().contains("planned 2 tests and has 1"), "{error}");
    }

    #[test]
    fn a_failed_group_without_failed_subtests_is_a_failure() {
        let text =
            "KTAP version 1\n1..1\n    KTAP version 1\n    1..1\n    ok 1 a\nnot ok 1 init\n";
        let tests = parse(&Log::new(text)).unwrap();
        assert_eq!(tests.last().unwrap().ending, Ending::Failed);
        assert_eq!(tests.last().unwrap().name, "init");
    }

    #[test]
    fn a_check_that_is_skipped_has_not_passed() {
        let check =
            |name: &str, ending| Test { name: name.into(), ending, why: vec!["why".into()] };
        let (passed, skipped) = (check("a", Ending::Passed), check("b", Ending::Skipped));
        assert_eq!(failed(&[passed.clone(), passed.clone()]), None);
        let said = failed(&[passed, skipped, check("c", Ending::Failed)]);
        assert_eq!(said.unwrap(), "the guest's check b failed: why");
    }

    #[test]
    fn other_lines_are_no_results() {
        assert_eq!(
            parse(&Log::new("look ok 1 not a test\nok 1 before any version\n")).unwrap(),
            []
        );
    }
}
