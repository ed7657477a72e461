// SPDX-License-Identifier: GPL-2.0

//! What the harness says of its own tests: KTAP, as kernels do.

use anyhow::{Error, Result};
use std::sync::Mutex;
use util::disk;

/// A list of tests, of which each result is printed when it is there; they are numbered as they come.
pub struct Report {
    number: Mutex<usize>,
}

impl Report {
    /// Says that so many tests follow.
    pub fn begin(tests: usize) -> Self {
        println!("KTAP version 1\n1..{tests}");
        Self { number: Mutex::new(0) }
    }

    /// Says something that is about no single test.
    pub fn comment(&self, text: &str) {
        println!("# {text}");
    }

    /// Prints what there is to say of a test, and whether it passed.
    pub fn result(&self, name: &str, said: &str, passed: bool) {
        let mut number = self.number.lock().expect("nothing panics with the lock");
        *number += 1;
        println!("{}", text(*number, name, said, passed));
    }

    /// Says that a test has failed with `error`, or could not be run. Where the disk is full the rest would
    /// fail as well: the error is handed on then, and ends the run.
    pub fn failed(&self, name: &str, error: Error) -> Result<()> {
        self.result(name, &format!("{error:#}"), false);
        if disk::is_full(&error) { Err(error) } else { Ok(()) }
    }
}

fn text(number: usize, name: &str, said: &str, passed: bool) -> String {
    let comments: String = said.lines().map(|line| format!("# {line}\n")).collect();
    format!("{comments}{} {number} {name}", if passed { "ok" } else { "not ok" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_full_disk_ends_the_run_and_no_other_failure_does() {
        let report = Report::begin(2);
        report.failed("a", anyhow!("not as expected")).unwrap();
        report.failed("b", std::io::Error::from_raw_os_error(28).into()).unwrap_err();
    }

    #[test]
    fn each_line_that_is_said_is_a_comment() {
        assert_eq!(text(1, "a", "b\nc", true), "# b\n# c\nok 1 a");
        assert_eq!(text(2, "a", "", false), "not ok 2 a");
    }
}
