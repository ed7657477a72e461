// SPDX-License-Identifier: GPL-2.0

//! `make test`

use super::{differential, status};
use crate::{
    cargo::{cargo, cargo_test, tested},
    hostile,
    opt::TestOptions,
};
use anyhow::Result;
use boot::Counts;
use build::kernel::Source;
use std::{process::ExitCode, time::Instant};
use upstream::check;
use util::{command::Cmd, disk, place, setup};
use walkdir::WalkDir;

/// A group of tests.
struct Group {
    name: &'static str,
    run: fn(&Source) -> Result<Counts>,
}

/// The groups, the quick ones first.
fn groups() -> Vec<Group> {
    let mut groups = vec![
        Group { name: "layout of the code", run: |_| layout() },
        Group { name: "tests on the host", run: |_| host_tests() },
        Group { name: "hostile input on the host", run: |_| hostile::test() },
        Group { name: "kernel's own memblock", run: differential::always_the_same },
        Group { name: "upstream's checks", run: |_| upstream_checks() },
    ];
    groups.extend(boot::test::GROUPS.map(|boot::test::Group { name, run }| Group { name, run }));
    groups.push(Group { name: "cost", run: bench::test });
    groups
}

/// Runs the groups that are asked for; the last line has the counts.
pub fn run(options: TestOptions) -> Result<ExitCode> {
    let groups = asked_for(groups(), options.group.as_deref())?;
    build::deps::ensure_for("test")?;
    let source = Source::Default;
    let mut all = Counts::default();
    for group in groups {
        println!("== {}", group.name);
        let started = Instant::now();
        let counts = match (group.run)(&source) {
            Err(error) if disk::is_full(&error) => return Err(error.context(group.name)),
            // What keeps a group from running is one failure of it; the others run all the same.
            Err(error) => {
                println!("failed: {error:#}");
                Counts { passed: 0, failed: 1 }
            }
            Ok(counts) => counts,
        };
        let seconds = started.elapsed().as_secs_f64();
        println!("{}: {} in {seconds:.1} s", group.name, shown(counts));
        all += counts;
    }
    println!("{}", shown(all));
    Ok(status(all))
}

/// The groups whose name has `pattern` in it; all of them without one.
fn asked_for(groups: Vec<Group>, pattern: Option<&str>) -> Result<Vec<Group>> {
    let names: Vec<_> = groups.iter().map(|group| group.name).collect();
    let asked = |group: &Group| pattern.is_none_or(|pattern| group.name.contains(pattern));
    let asked: Vec<_> = groups.into_iter().filter(asked).collect();
    if asked.is_empty() {
        let pattern = pattern.unwrap_or_default();
        return Err(setup!(
            "no group has '{pattern}' in its name; these are: {}",
            names.join("; ")
        ));
    }
    Ok(asked)
}

/// The counts, as the last line has them.
pub fn shown(counts: Counts) -> String {
    format!("{} passed, {} failed", counts.passed, counts.failed)
}

/// Where the kernel's Rust files are, and those that stand for more of it on the host. The kernel's own
/// settings for rustfmt are beside the links to some of them.
const KERNEL_CODE: [&str; 4] = ["arch", "drivers", "rust", "tools/differential/machine"];
const KERNEL_SETTINGS: &str = "tools/pure/rustfmt.toml";

fn layout() -> Result<Counts> {
    let top = place::checkout()?;
    let kernel = KERNEL_CODE.iter().flat_map(|dir| WalkDir::new(top.join(dir)));
    let kernel = kernel.filter_map(|entry| Some(entry.ok()?.into_path()));
    let kernel = kernel.filter(|path| path.extension().is_some_and(|ending| ending == "rs"));
    let checks = [
        cargo()?.args(["fmt", "--all", "--check"]),
        // A workspace of its own.
        cargo()?.args(["fmt", "--check", "--manifest-path", "tools/firmware/Cargo.toml"]),
        cargo()?.args(["fmt", "--all", "--check", "--manifest-path", "tools/fuzz/Cargo.toml"]),
        Cmd::new("rustfmt")
            .args(["--check", "--edition", "2021", "--config-path"])
            .arg(top.join(KERNEL_SETTINGS))
            .args(kernel),
    ];
    let passed = checks.iter().filter(|check| check.run().is_ok()).count();
    Ok(Counts { passed, failed: checks.len() - passed })
}

fn host_tests() -> Result<Counts> {
    // The tests of these two are a group of their own.
    let cmd = cargo_test()?.args(["--workspace", "--locked", "--quiet", "--no-fail-fast"]).args([
        "--exclude",
        "oracle",
        "--exclude",
        "proof",
    ]);
    Ok(tested(&cmd)?.0)
}

/// Those of `make check` that compile nothing.
fn upstream_checks() -> Result<Counts> {
    Ok(check::run(&check::cheap())?.counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_groups_can_be_run_alone() {
        assert_eq!(asked_for(groups(), None).unwrap().len(), groups().len());
        let crashes = asked_for(groups(), Some("crash")).unwrap();
        assert!(crashes.len() > 1 && crashes.len() < groups().len());
        let error = asked_for(groups(), Some("nothing")).err().unwrap();
        assert!(error.to_string().contains("these are: layout of the code;"), "{error}");
    }

    #[test]
    fn the_last_line_is_the_one_that_scripts_read() {
        assert_eq!(shown(Counts { passed: 4, failed: 2 }), "4 passed, 2 failed");
    }
}
