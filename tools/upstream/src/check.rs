// SPDX-License-Identifier: GPL-2.0

//! `make check`: what upstream's bots and maintainers would run on the series.
//!
//! Each gate stands for one question that a reviewer asks, has logs of its own, and ends with a
//! status of its own: 0 passed, 1 failed, 2 something it needs is missing.

mod arches;
mod bisect;
mod build_on;
mod c_files;
mod cargo;
mod checkpatch;
mod code;
mod configs;
mod context;
mod docs;
mod farm;
mod hooks;
mod no_rust;
mod objects;
mod output;
mod round_trip;
mod rustfmt;
mod suites;
mod tree;

use anyhow::Result;
use boot::Counts;
use context::Context;
use std::{fs, path::Path, time::Instant};
use util::{disk, failure::Setup, place, setup};

/// One question, and how it is answered.
pub struct Gate {
    /// What `GATE=` takes.
    pub name: &'static str,
    /// What is true when it passes.
    pub shows: &'static str,
    /// Whether `make test` asks it as well.
    pub cheap: bool,
    run: fn(&Context, &Path) -> Result<Verdict>,
}

/// What a gate found.
#[derive(Debug, Default)]
pub struct Verdict {
    /// In a few words, with figures, what was looked at.
    pub figures: String,
    /// What is wrong; nothing means that the gate passed.
    pub findings: Vec<String>,
    /// What could not be looked at on this machine, and why.
    pub not_checked: Vec<String>,
}

/// All gates, in the order in which they are run: the quick ones first, and those that leave a tree
/// as the next one needs it before that one.
pub const GATES: &[Gate] = &[
    Gate {
        name: "checkpatch",
        shows: "scripts/checkpatch.pl --strict has no error, warning or check for a patch",
        cheap: true,
        run: checkpatch::run,
    },
    Gate {
        name: "round-trip",
        shows: "git am of the patches gives, byte for byte, what make apply gives",
        cheap: true,
        run: round_trip::git,
    },
    Gate {
        name: "rustfmt",
        shows: "the Rust files are laid out as the tree's own configuration has it",
        cheap: true,
        run: rustfmt::run,
    },
    Gate {
        name: "hooks",
        shows: "the semantic patches parse, and the series applies to every base that is here",
        cheap: true,
        run: hooks::run,
    },
    Gate {
        name: "b4",
        shows: "b4 takes the mails, and what it makes of them gives the same",
        cheap: false,
        run: round_trip::b4,
    },
    Gate {
        name: "cargo-deny",
        shows: "licences, sources and versions of the harness's dependencies are fine",
        cheap: false,
        run: cargo::run,
    },
    Gate {
        name: "bisect",
        shows: "after each patch the touched directories compile, option on and off",
        cheap: false,
        run: bisect::run,
    },
    Gate {
        name: "clippy",
        shows: "make CLIPPY=1 has no warning for a file of the series",
        cheap: false,
        run: build_on::clippy,
    },
    Gate {
        name: "rustc",
        shows: "rustc has no warning for a file of the series",
        cheap: false,
        run: build_on::rustc,
    },
    Gate {
        name: "modpost",
        shows: "the kernel links, and modpost finds no section mismatch",
        cheap: false,
        run: build_on::modpost,
    },
    Gate {
        name: "rustdoc",
        shows: "make rustdoc has no warning for a file of the series",
        cheap: false,
        run: build_on::rustdoc,
    },
    Gate {
        name: "w1",
        shows: "make W=1 says nothing new about the touched C files",
        cheap: false,
        run: c_files::w1,
    },
    Gate {
        name: "sparse",
        shows: "sparse (make C=2) says nothing new about the touched C files",
        cheap: false,
        run: c_files::sparse,
    },
    Gate {
        name: "same-code",
        shows: "with the option off, the touched C files make the same code as before",
        cheap: false,
        run: code::run,
    },
    Gate {
        name: "no-rust",
        shows: "with CONFIG_RUST=n the kernel configures and builds",
        cheap: false,
        run: no_rust::run,
    },
    Gate {
        name: "configs",
        shows: "with LPA2, other page sizes and KASAN it compiles, and all of it is init memory",
        cheap: false,
        run: configs::run,
    },
    Gate {
        name: "arches",
        shows: "what other architectures share compiles for arm, riscv and x86_64",
        cheap: false,
        run: arches::run,
    },
    Gate {
        name: "htmldocs",
        shows: "make htmldocs has no warning for the page of the series",
        cheap: false,
        run: docs::run,
    },
    Gate {
        name: "memblock",
        shows: "the kernel's own memblock suite passes on the patched tree",
        cheap: false,
        run: suites::memblock,
    },
    Gate {
        name: "kunit",
        shows: "the kernel's own tests pass at boot, with those of the series among them",
        cheap: false,
        run: suites::kunit,
    },
];

/// How a gate ended, as an exit status has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Status {
    /// It passed.
    Passed,
    /// It could not be run: something is missing on this machine.
    Missing,
    /// It failed.
    Failed,
}

impl Status {
    /// The exit status of a run of nothing but this gate.
    pub fn code(self) -> u8 {
        match self {
            Self::Passed => 0,
            Self::Failed => 1,
            Self::Missing => 2,
        }
    }
}

/// What a run of gates came to.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// How many gates passed and how many did not.
    pub counts: Counts,
    /// The worst of them.
    pub worst: Status,
}

/// The gates that `pattern` asks for: the one of that name, or all that have it in their name.
pub fn select(pattern: Option<&str>) -> Result<Vec<&'static Gate>> {
    let Some(pattern) = pattern else { return Ok(GATES.iter().collect()) };
    if let Some(gate) = GATES.iter().find(|gate| gate.name == pattern) {
        return Ok(vec![gate]);
    }
    let found: Vec<_> = GATES.iter().filter(|gate| gate.name.contains(pattern)).collect();
    if found.is_empty() {
        let names: Vec<_> = GATES.iter().map(|gate| gate.name).collect();
        return Err(setup!("there is no GATE={pattern}; these are: {}", names.join(", ")));
    }
    Ok(found)
}

/// The gates that `make test` asks as well.
pub fn cheap() -> Vec<&'static Gate> {
    GATES.iter().filter(|gate| gate.cheap).collect()
}

/// Runs `gates`, each to its end; prints the verdict of each.
pub fn run(gates: &[&Gate]) -> Result<Outcome> {
    let context = Context::new()?;
    println!("base: {}", context.pristine.described);
    let mut outcome = Outcome { counts: Counts::default(), worst: Status::Passed };
    for gate in gates {
        let status = run_one(gate, &context)?;
        match status {
            Status::Passed => outcome.counts.passed += 1,
            _ => outcome.counts.failed += 1,
        }
        outcome.worst = outcome.worst.max(status);
    }
    Ok(outcome)
}

fn run_one(gate: &Gate, context: &Context) -> Result<Status> {
    println!("== {}: {}", gate.name, gate.shows);
    let logs = place::out("check")?.join(gate.name);
    if logs.exists() {
        fs::remove_dir_all(&logs)?;
    }
    fs::create_dir_all(&logs)?;
    let started = Instant::now();
    let (status, verdict) = match (gate.run)(context, &logs) {
        Err(error) if disk::is_full(&error) => return Err(error.context(gate.name)),
        came => judged(came),
    };
    let seconds = started.elapsed().as_secs_f64();
    for finding in verdict.findings.iter().take(QUOTED) {
        println!("  {}", finding.replace('\n', "\n  "));
    }
    if verdict.findings.len() > QUOTED {
        println!("  and {} more", verdict.findings.len() - QUOTED);
    }
    for what in &verdict.not_checked {
        println!("  not checked: {what}");
    }
    if status != Status::Passed {
        println!("  the logs: {}", logs.display());
    }
    println!("{}", verdict_line(gate.name, status, &verdict.figures, seconds));
    Ok(status)
}

/// How many findings of one gate are printed.
const QUOTED: usize = 20;

fn judged(result: Result<Verdict>) -> (Status, Verdict) {
    match result {
        Ok(verdict) if verdict.findings.is_empty() => (Status::Passed, verdict),
        Ok(verdict) => (Status::Failed, verdict),
        Err(error) => {
            let missing = error.downcast_ref::<Setup>().is_some();
            let status = if missing { Status::Missing } else { Status::Failed };
            (status, Verdict { findings: vec![format!("{error:#}")], ..Verdict::default() })
        }
    }
}

fn verdict_line(name: &str, status: Status, figures: &str, seconds: f64) -> String {
    let word = match status {
        Status::Passed => "passed",
        Status::Failed => "FAILED",
        Status::Missing => "COULD NOT RUN",
    };
    let figures = if figures.is_empty() { String::new() } else { format!("; {figures}") };
    format!("{name}: {word} (status {}) in {seconds:.1} s{figures}", status.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::anyhow;

    #[test]
    fn a_name_selects_its_gate_alone_and_a_part_of_it_all_that_have_it() {
        let names = |pattern| select(pattern).unwrap().iter().map(|g| g.name).collect::<Vec<_>>();
        assert_eq!(names(Some("rustc")), ["rustc"]);
        assert_eq!(names(Some("rust")), ["rustfmt", "rustc", "rustdoc", "no-rust"]);
        assert_eq!(names(None).len(), GATES.len());
        let error = select(Some("nosuch")).err().unwrap();
        assert!(error.to_string().contains("these are: checkpatch, round-trip"), "{error}");
    }

    #[test]
    fn one_finding_fails_a_gate() {
        let finding = Verdict { findings: vec!["x".into()], ..Verdict::default() };
        assert_eq!(judged(Ok(finding)).0, Status::Failed);
        assert_eq!(judged(Ok(Verdict::default())).0, Status::Passed);
        assert_eq!(judged(Err(anyhow!("x"))).0, Status::Failed);
        assert_eq!(judged(Err(setup!("x"))).0, Status::Missing);
        assert_eq!(Status::Missing.max(Status::Failed).code(), 1);
    }

    #[test]
    fn the_verdict_has_the_status() {
        let line = verdict_line("w1", Status::Failed, "2 files", 1.25);
        assert_eq!(line, "w1: FAILED (status 1) in 1.2 s; 2 files");
    }
}
