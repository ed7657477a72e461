// SPDX-License-Identifier: GPL-2.0

//! The log of one kernel, as it came over the serial line.
//!
//! The guest's scripts write to /dev/kmsg, so that what they say is whole lines of the kernel's
//! log. `scripts/guest/report.sh` has the format.

use anyhow::{Context, Result, bail};
use regex::Regex;
use std::{collections::BTreeMap, sync::LazyLock};

/// How a kernel's log begins.
pub const FIRST_LINE: &str = "Booting Linux on physical CPU";

/// How the line begins that a panic prints.
pub const PANIC_LINE: &str = "Kernel panic - not syncing: ";

/// What the kernel says before it prints its last line again.
const REPLAYING: &str = "** replaying previous printk message **";

static STAMP: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^\[ *\d+\.\d{6}\](\[ *[TC]\d+\])? ").unwrap());
static SECTION_LINE: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^@(\w+)\| ?(.*)$").unwrap());
static SECTION_END: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^@(\w+)# (\d+)$").unwrap());

/// The lines of one kernel, without time stamps.
#[derive(Clone, Debug, Default)]
pub struct Log {
    lines: Vec<String>,
}

impl Log {
    /// A log of the lines of `text`.
    pub fn new(text: &str) -> Self {
        // A panic in the middle of a line has the console print it once more, and say so.
        let mut lines: Vec<String> = Vec::new();
        let mut replayed = false;
        for line in text.lines().map(unstamped) {
            let again = replayed && lines.last().is_some_and(|last| last == line);
            replayed = line == REPLAYING;
            if !again && !replayed {
                lines.push(line.to_owned());
            }
        }
        Self { lines }
    }

    /// The lines.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(String::as_str)
    }

    /// The lines of each section that the guest has written; a section that lost lines on its
    /// way, or that did not come to its end, is an error.
    pub fn sections(&self) -> Result<BTreeMap<String, Vec<String>>> {
        let mut open: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut whole = BTreeMap::new();
        for line in self.lines() {
            if let Some(parts) = SECTION_LINE.captures(line) {
                open.entry(parts[1].into()).or_default().push(parts[2].into());
            } else if let Some(parts) = SECTION_END.captures(line) {
                let lines = open.remove(&parts[1]).unwrap_or_default();
                let sent: usize = parts[2].parse()?;
                if lines.len() != sent {
                    bail!(
                        "the guest wrote {sent} lines of '{}' and {} came over the serial line",
                        &parts[1],
                        lines.len()
                    );
                }
                whole.insert(parts[1].to_owned(), lines);
            }
        }
        open.remove("phase");
        if let Some(name) = open.keys().next() {
            bail!("the guest stopped in the middle of '{name}'");
        }
        Ok(whole)
    }
}

/// The number that hexadecimal `digits` of a line are; more of them than 64 bits have is an error.
pub fn number(digits: &str) -> Result<u64> {
    u64::from_str_radix(digits, 16).with_context(|| format!("'{digits}' is no number of 64 bits"))
}

/// A line without its time stamp.
pub fn unstamped(line: &str) -> &str {
    let line = line.trim_end_matches('\r');
    STAMP.find(line).map_or(line, |stamp| &line[stamp.end()..])
}

/// The console of a run cut into what stands before the first kernel, and one log per kernel.
pub fn kernels(console: &str) -> (String, Vec<Log>) {
    let mut texts = vec![String::new()];
    for line in console.lines() {
        if line.contains(FIRST_LINE) {
            texts.push(String::new());
        }
        let text = texts.last_mut().expect("there is always one");
        text.push_str(line);
        text.push('\n');
    }
    let firmware = texts.remove(0);
    (firmware, texts.iter().map(|text| Log::new(text)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_stamps_and_carriage_returns_go() {
        assert_eq!(unstamped("[    0.314144] Run /init\r"), "Run /init");
        assert_eq!(unstamped("[    0.314144][    T1] Run /init"), "Run /init");
        assert_eq!(unstamped("[Bds] Booting"), "[Bds] Booting");
    }

    #[test]
    fn a_line_that_is_replayed_is_one() {
        let log =
            Log::new(&format!("[    2.298832] ok 6 a\n{REPLAYING}\n[    2.298832] ok 6 a\nb"));
        assert_eq!(log.lines().collect::<Vec<_>>(), ["ok 6 a", "b"]);
    }

    #[test]
    fn sections_are_read_between_other_lines() {
        let log = Log::new(
            "[    1.000000] @iomem| 40000000-7fffffff : System RAM\n\
             [    1.000001] random: crng init done\n\
             [    1.000002] @iomem|   40000000-400fffff : reserved\n\
             [    1.000003] @iomem# 2\n",
        );
        assert_eq!(
            log.sections().unwrap()["iomem"],
            ["40000000-7fffffff : System RAM", "  40000000-400fffff : reserved"]
        );
    }

    #[test]
    fn a_lost_line_is_an_error() {
        let error = Log::new("@a| 1\n@a# 2\n").sections().unwrap_err();
        assert!(error.to_string().contains("2 lines of 'a' and 1 came"), "{error}");
        let error = Log::new("@a| 1\n").sections().unwrap_err();
        assert!(error.to_string().contains("in the middle of 'a'"), "{error}");
    }

    #[test]
    fn each_kernel_has_its_own_log() {
        let console = "UEFI\n[ 0.000000] Booting Linux on physical CPU 0x0\nfirst\n\
                       [ 0.000000] Booting Linux on physical CPU 0x0\nsecond\n";
        let (firmware, kernels) = kernels(console);
        assert_eq!(firmware, "UEFI\n");
        assert_eq!(kernels.len(), 2);
        assert_eq!(kernels[1].lines().last(), Some("second"));
    }
}
