// SPDX-License-Identifier: GPL-2.0

//! Shows how far a kernel build is.

use indicatif::{ProgressBar, ProgressStyle};
use std::{
    io::{IsTerminal, stderr},
    time::{Duration, Instant},
};

/// How often a line is printed where there is no terminal.
const PERIOD: Duration = Duration::from_secs(20);

/// A bar on a terminal, a line now and then elsewhere.
pub struct Progress {
    what: String,
    total: Option<u64>,
    steps: u64,
    started: Instant,
    printed: Instant,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// Starts to show the build of `what`; `total` is how many steps one like it took before.
    pub fn start(what: &str, total: Option<u64>) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let (bar, template) = match total {
                Some(total) => (
                    ProgressBar::new(total),
                    "{prefix} [{bar:30}] {pos}/{len} {elapsed_precise} {wide_msg}",
                ),
                None => (ProgressBar::no_length(), "{prefix} {pos} {elapsed_precise} {wide_msg}"),
            };
            let style =
                ProgressStyle::with_template(template).expect("the template is well formed");
            bar.set_style(style.progress_chars("=> "));
            bar.set_prefix(what.to_string());
            bar.enable_steady_tick(Duration::from_millis(500));
            bar
        });
        if bar.is_none() {
            eprintln!("{what}: started");
        }
        let now = Instant::now();
        Self { what: what.into(), total, steps: 0, started: now, printed: now, bar }
    }

    /// Takes one line of make's output.
    pub fn line(&mut self, line: &str) {
        let Some(step) = step(line) else { return };
        self.steps += 1;
        match &self.bar {
            Some(bar) => {
                // The estimate may fall short, and a full bar would look like an end.
                if self.total.is_some_and(|total| self.steps > total) {
                    bar.set_length(self.steps + 1);
                }
                bar.set_position(self.steps);
                bar.set_message(step.to_string());
            }
            None if self.printed.elapsed() >= PERIOD => {
                self.printed = Instant::now();
                eprintln!("{}: {}, {step}", self.what, self.state());
            }
            None => {}
        }
    }

    fn state(&self) -> String {
        let of = self.total.map(|total| format!(" of about {total}")).unwrap_or_default();
        format!("{} steps{of} in {} s", self.steps, self.started.elapsed().as_secs())
    }

    /// Ends the display; returns the number of steps.
    pub fn finish(self) -> u64 {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let seconds = self.started.elapsed().as_secs_f64();
        eprintln!("{}: {} steps in {seconds:.1} s", self.what, self.steps);
        self.steps
    }
}

/// What make is doing, if `line` says that: `  CC      kernel/fork.o`.
fn step(line: &str) -> Option<&str> {
    let step = line.strip_prefix("  ")?;
    let (verb, object) = step.split_once(' ')?;
    let upper = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || "_[]".contains(c);
    let is_step = verb.len() > 1 && verb.chars().all(upper) && !object.trim().is_empty();
    is_step.then_some(step.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_told_from_other_output() {
        assert_eq!(step("  CC      kernel/fork.o"), Some("CC      kernel/fork.o"));
        assert!(step("  RUSTC L rust/core.o").is_some());
        assert!(step("  BINDGEN rust/bindings/bindings_generated.rs").is_some());
        for other in ["make[1]: Entering", "    note: because", "  --> rust/x.rs:1:2", "  ", ""] {
            assert_eq!(step(other), None, "{other}");
        }
    }

    #[test]
    fn steps_are_counted() {
        let mut progress = Progress::start("test", Some(1));
        for line in ["  CC      a.o", "warning: x", "  LD      b.o"] {
            progress.line(line);
        }
        assert_eq!(progress.finish(), 2);
    }
}
