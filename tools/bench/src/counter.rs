// SPDX-License-Identifier: GPL-2.0

//! Counts instructions: what the plugin of QEMU in `tools/counter` is told, and what it wrote.

use crate::{machine::option_value, symbols::Symbols};
use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};
use util::{command::Cmd, place};

/// The plugin, built when something in it changed.
pub fn plugin() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Cmd::new(cargo)
        .dir(place::checkout()?)
        .env("MAKEFLAGS", "")
        .env("MAKELEVEL", "")
        .args(["build", "--quiet", "--locked", "--package", "counter"])
        .args(["--message-format", "json"])
        .read()?;
    // One line for each artifact.
    let artifacts = built.lines().filter_map(|line| serde_json::from_str(line).ok());
    let mut files = artifacts.filter_map(|artifact: serde_json::Value| {
        let counter = artifact["target"]["name"] == "counter";
        artifact["filenames"][0].as_str().filter(|_| counter).map(PathBuf::from)
    });
    files.next_back().context("cargo built no plugin of QEMU")
}

/// What is counted.
#[derive(Debug)]
pub struct Plan {
    text: String,
    names: Vec<String>,
}

impl Plan {
    /// Counts by these symbols.
    pub fn new(symbols: &Symbols) -> Self {
        let mut text = String::new();
        for address in symbols.addresses() {
            writeln!(text, "symbol {address:x}").expect("a string takes all");
        }
        Self { text, names: symbols.names().map(str::to_owned).collect() }
    }

    /// Writes the counts down at `address`.
    pub fn mark(self, address: u64, name: &str) -> Self {
        self.line(format_args!("mark {address:x} {name}"))
    }

    /// The same, and ends the machine the `times`th time.
    pub fn end(self, address: u64, name: &str, times: u32) -> Self {
        self.line(format_args!("end {address:x} {times:x} {name}"))
    }

    /// Writes the counts down at the symbol `name`, before the MMU is on.
    pub fn entry(self, symbols: &Symbols, name: &str) -> Result<Self> {
        let address = symbols.address(name)?;
        let word = symbols.word(address).with_context(|| format!("{name} is no code"))?;
        Ok(self.line(format_args!("entry {address:x} {word:x} {name}")))
    }

    fn line(mut self, line: std::fmt::Arguments<'_>) -> Self {
        writeln!(self.text, "{line}").expect("a string takes all");
        self
    }

    /// Options that have QEMU count, with the plan and the counts in `dir`. The machine has to have
    /// one processor.
    pub fn options(&self, plugin: &Path, dir: &Path) -> Result<[String; 2]> {
        let (plan, counts) = (dir.join("plan"), counts_file(dir));
        fs::write(&plan, &self.text).with_context(|| format!("cannot write {}", plan.display()))?;
        // What a run before has left is no result of this one.
        if counts.exists() {
            fs::remove_file(&counts)?;
        }

        let option = format!(
            "{},plan={},counts={}",
            option_value(plugin),
            option_value(&plan),
            option_value(&counts)
        );
        Ok(["-plugin".into(), option])
    }

    /// What was written down in `dir`, in the order of time.
    pub fn counts(&self, dir: &Path) -> Result<Vec<Counts>> {
        let file = counts_file(dir);
        let context = || format!("{} has no counts", file.display());
        let text = fs::read_to_string(&file).with_context(context)?;
        let counts: Vec<_> = text.lines().map(|line| self.take(line)).collect::<Result<_>>()?;
        ensure!(!counts.is_empty(), "{}: the machine came to no mark", file.display());
        Ok(counts)
    }

    fn take(&self, line: &str) -> Result<Counts> {
        let context = || format!("the plugin wrote '{line:.100}'");
        let mut words = line.split(' ');
        let mark = words.next().with_context(context)?.to_owned();
        let total = words.next().with_context(context)?.parse().with_context(context)?;
        let mut by_symbol = vec![0; self.names.len()];
        for word in words {
            let (at, count) = word.split_once('=').with_context(context)?;
            let at: usize = at.parse().with_context(context)?;
            *by_symbol.get_mut(at).with_context(context)? = count.parse().with_context(context)?;
        }
        Ok(Counts { mark, total, by_symbol })
    }

    /// What was executed between two marks.
    pub fn between(&self, from: &Counts, to: &Counts) -> Spent {
        let pairs = self.names.iter().zip(from.by_symbol.iter().zip(&to.by_symbol));
        Spent {
            total: to.total - from.total,
            by_symbol: pairs
                .filter(|(_, (from, to))| to > from)
                .map(|(name, (from, to))| (name.clone(), to - from))
                .collect(),
        }
    }
}

fn counts_file(dir: &Path) -> PathBuf {
    dir.join("counts")
}

/// What was executed up to a mark.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The mark.
    pub mark: String,
    /// Instructions since the machine was switched on.
    pub total: u64,
    by_symbol: Vec<u64>,
}

/// The counts at the `nth` time, from zero on, that the machine came to `mark`.
pub fn nth<'a>(counts: &'a [Counts], mark: &str, nth: usize) -> Result<&'a Counts> {
    let mut found = counts.iter().filter(|counts| counts.mark == mark);
    let Some(counts) = found.nth(nth) else {
        let times = counts.iter().filter(|counts| counts.mark == mark).count();
        bail!("the machine came to {mark} {times} times, and not {} times", nth + 1);
    };
    Ok(counts)
}

/// What was executed between two marks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Instructions, all of them.
    pub total: u64,
    /// Those in symbols of the kernel.
    pub by_symbol: Vec<(String, u64)>,
}

#[cfg(test)]
#[path = "../../counter/src/plan.rs"]
mod plan;

#[cfg(test)]
mod tests {
    use super::*;

    fn symbols() -> Symbols {
        Symbols::read(&std::env::current_exe().unwrap()).unwrap()
    }

    // Expect the plugin to find in the plan what was put into it.
    #[test]
    fn the_plugin_reads_what_is_written() {
        let symbols = symbols();
        let main = symbols.address("main").unwrap();
        let plan = Plan::new(&symbols)
            .mark(0xffff_0000_0000_1000, "one")
            .end(0xffff_0000_0000_2000, "two", 2)
            .entry(&symbols, "main")
            .unwrap();
        let read: plan::Plan = plan.text.parse().unwrap();
        assert_eq!(read.symbols(), plan.names.len());
        let at = read.symbol_at(main + 1).unwrap();
        assert_eq!(plan.names[at], "main");
        let nothing = || Vec::new();
        let name = |mark: Option<&plan::Mark>| mark.map(|mark| (mark.name.clone(), mark.ends_at));
        assert_eq!(name(read.mark_at(0xffff_0000_0000_1000, nothing)), Some(("one".into(), None)));
        assert_eq!(
            name(read.mark_at(0xffff_0000_0000_2000, nothing)),
            Some(("two".into(), Some(2)))
        );
        assert_eq!(read.mark_at(0xffff_0000_0000_3000, nothing), None);
        // The kernel may be loaded anywhere; other code may be at the same place.
        let word = symbols.word(main).unwrap();
        let physical = 0x4000_0000 + main % 0x1_0000;
        let is_main = read.mark_at(physical, || word.to_le_bytes().into());
        assert_eq!(name(is_main), Some(("main".into(), None)));
        assert_eq!(read.mark_at(physical, || vec![0; 4]), None);
        assert_eq!(read.mark_at(physical + 4, || word.to_le_bytes().into()), None);
    }

    #[test]
    fn a_plan_that_is_wrong_is_refused() {
        for text in ["symbol", "symbol 2\nsymbol 1", "mark x a", "entry 1 a", "nothing 1 2"] {
            assert!(text.parse::<plan::Plan>().is_err(), "{text}");
        }
    }

    #[test]
    fn counts_are_differences() {
        let plan = Plan { text: String::new(), names: ["a", "b", "c"].map(String::from).into() };
        let counts = ["start 100 0=40 1=60", "stop 175 0=40 1=90 2=5", "start 200"];
        let counts: Vec<_> = counts.iter().map(|line| plan.take(line).unwrap()).collect();
        let spent =
            plan.between(nth(&counts, "start", 0).unwrap(), nth(&counts, "stop", 0).unwrap());
        assert_eq!(spent.total, 75);
        assert_eq!(spent.by_symbol, [("b".into(), 30), ("c".into(), 5)]);
        let error = nth(&counts, "stop", 1).unwrap_err();
        assert!(error.to_string().contains("came to stop 1 times, and not 2"), "{error}");
        assert!(plan.take("start 1 3=1").is_err());
    }
}
