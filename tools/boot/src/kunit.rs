// SPDX-License-Identifier: GPL-2.0

//! The tests that are part of the kernel: KUnit runs them while the kernel boots.

use crate::{
    Counts, boots,
    cause::Cause,
    crash_case::command_line,
    guest::Guest,
    ktap::{self, Ending, Test},
    log,
    machine::{self, Machine},
    run::{self, End, Phase},
    trouble,
};
use anyhow::{Context, Result, bail};
use build::{deps::Qemu, kernel::Kernel};
use machines::Hardware;
use regex::Regex;
use std::{collections::BTreeMap, fs, path::Path};
use util::place;
use walkdir::WalkDir;

/// Where the kernel's Rust code is in the checkout.
const KERNEL_CODE: [&str; 3] = ["arch", "drivers", "rust"];

/// The suite of the examples in the documentation of the kernel crate.
const DOCTESTS: &str = "rust_doctests_kernel";

/// The name of the boot, and that of its directory below out/boots.
pub(crate) const NAME: &str = "kunit";

const PHASES: [Phase; 2] = [
    Phase { name: "firmware", ends_with: log::FIRST_LINE, seconds: 60 },
    Phase { name: "tests at boot", ends_with: "@phase| end", seconds: 300 },
];

/// Boots `kernel` and counts its tests; every suite of the checkout has to be among them.
pub fn run(kernel: &Kernel, qemu: &Qemu, guest: &Guest) -> Result<Counts> {
    let machine = Machine {
        qemu,
        dir: boots::dir(NAME)?,
        kernel: kernel.image.clone(),
        // The configuration may leave KUnit off until it is asked for.
        command_line: format!("{} kunit.enable=1 kunit.autorun=1", command_line()),
        hardware: Hardware::of(1024),
        files: Vec::new(),
    };
    machine.prepare()?;
    guest.boot_only()?.save(&machine.initramfs())?;

    let run = run::run(&machine.cmd(), &machine.dir, &PHASES, &|_| {})?;
    machine::clean(&machine.dir)?;
    let console = machine.dir.join(crate::run::CONSOLE);
    if run.end != End::Complete {
        bail!("kunit: {}; see {}", run.end, console.display());
    }
    let (firmware, kernels) = log::kernels(&run.console);
    let trouble = trouble::scan(&firmware, &kernels, Cause::default());
    if let Some(line) = trouble.first() {
        bail!("kunit: the console says '{line}'; see {}", console.display());
    }
    let tests = ktap::parse(kernels.first().context("kunit: no kernel has come up")?)
        .with_context(|| format!("kunit: cannot read its tests in {}", console.display()))?;
    count(&tests, &wanted_suites(&place::checkout()?)?)
}

/// Prints one line per suite and counts the tests. A wanted suite that has not run is a failure,
/// and so is each wanted suite of which nothing but skipped tests is left.
fn count(tests: &[Test], wanted: &[String]) -> Result<Counts> {
    let mut suites: BTreeMap<&str, Counts> = BTreeMap::new();
    for test in tests {
        let suite = test.name.split('.').next().unwrap_or_default();
        let counts = suites.entry(suite).or_default();
        match test.ending {
            Ending::Passed => counts.passed += 1,
            Ending::Failed => {
                counts.failed += 1;
                println!("kunit: {} failed\n  {}", test.name, test.why.join("\n  "));
            }
            Ending::Skipped => println!("kunit: {} skipped: {}", test.name, test.why.join(" ")),
        }
    }
    let mut all = Counts::default();
    for (suite, counts) in &suites {
        println!("kunit: {suite}: {} passed, {} failed", counts.passed, counts.failed);
        all += *counts;
    }
    for suite in wanted {
        let ran = suites.get(suite.as_str()).is_some_and(|ran| ran.passed + ran.failed > 0);
        if !ran {
            println!("kunit: {suite} has not run");
            all.failed += 1;
        }
    }
    Ok(all)
}

/// The suites that the checkout's kernel code declares, and the examples of its documentation.
fn wanted_suites(checkout: &Path) -> Result<Vec<String>> {
    let declared = Regex::new(r"\bkunit_tests\((\w+)\)")?;
    let mut suites = vec![DOCTESTS.to_owned()];
    for top in KERNEL_CODE {
        for entry in WalkDir::new(checkout.join(top)).sort_by_file_name() {
            let entry = entry?;
            if entry.path().extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(entry.path())?;
                suites.extend(declared.captures_iter(&text).map(|suite| suite[1].to_owned()));
            }
        }
    }
    if suites.len() == 1 {
        bail!("no file below {} declares a KUnit suite", KERNEL_CODE.join(", "));
    }
    Ok(suites)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn test(name: &str, ending: Ending) -> Test {
        Test { name: name.into(), ending, why: Vec::new() }
    }

    #[test]
    fn a_suite_that_did_not_run_fails() {
        let tests = [test("a.one", Ending::Passed), test("b.two", Ending::Skipped)];
        let wanted = ["a", "b", "c"].map(str::to_owned);
        assert_eq!(count(&tests, &wanted).unwrap(), Counts { passed: 1, failed: 2 });
    }

    #[test]
    fn suites_are_found_where_they_are_declared() {
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in [
            (
                "rust/kernel/a.rs",
                "#[cfg_attr(not(test), macros::kunit_tests(rust_a))]\nmod tests {}",
            ),
            ("arch/arm64/mm/b.rs", "#[macros::kunit_tests(mm_b)]"),
            ("drivers/firmware/c.rs", "fn no_tests() {}"),
        ] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        assert_eq!(wanted_suites(dir.path()).unwrap(), [DOCTESTS, "mm_b", "rust_a"]);
    }
}
