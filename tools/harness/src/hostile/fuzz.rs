// SPDX-License-Identifier: GPL-2.0

//! libFuzzer on the targets of tools/fuzz.

use super::corpus;
use crate::cargo::cargo;
use anyhow::{Context, Result, bail};
use boot::Counts;
use regex::Regex;
use std::{
    env, fs,
    path::{Path, PathBuf},
    thread,
};
use util::{command::Cmd, place, setup};

/// What makes libFuzzer see where a program goes, and what it compares. cargo-fuzz sets the same.
const COVERAGE: &str = "--cfg fuzzing -Cpasses=sancov-module -Ccodegen-units=1 \
    -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
    -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares";

/// The longest input in bytes; longer ones find nothing else, and are slow.
const LONGEST: u32 = 600;

/// Which inputs a run starts from.
#[derive(Clone, Copy, PartialEq)]
pub enum Start {
    /// Those that are kept.
    Kept,
    /// Those that are kept, and all that earlier runs have found.
    Found,
}

/// The names of all targets.
pub fn targets() -> Result<Vec<String>> {
    let dir = place::checkout()?.join("tools/fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in fs::read_dir(&dir).with_context(|| format!("cannot read {}", dir.display()))? {
        let path = entry?.path();
        names.extend(path.file_stem().map(|name| name.to_string_lossy().into_owned()));
    }
    names.sort();
    Ok(names)
}

/// The targets with `pattern` in their name.
pub fn asked_for(pattern: Option<&str>) -> Result<Vec<String>> {
    let all = targets()?;
    let asked = |name: &&String| pattern.is_none_or(|pattern| name.contains(pattern));
    let asked: Vec<_> = all.iter().filter(asked).cloned().collect();
    if asked.is_empty() {
        let pattern = pattern.unwrap_or_default();
        return Err(setup!("no target has '{pattern}' in its name; these are: {}", all.join(", ")));
    }
    Ok(asked)
}

/// The name of the machine that programs are built for here, and whether they can be built with
/// AddressSanitizer.
fn toolchain() -> Result<(String, bool)> {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let host = Cmd::new(&rustc).args(["--print", "host-tuple"]).read()?.trim().to_string();
    let sysroot = Cmd::new(&rustc).args(["--print", "sysroot"]).read()?;
    let libraries = Path::new(sysroot.trim()).join("lib/rustlib").join(&host).join("lib");
    let runtime = fs::read_dir(&libraries).is_ok_and(|mut files| {
        files.any(|file| {
            file.is_ok_and(|file| file.file_name().to_string_lossy().ends_with("_rt.asan.a"))
        })
    });
    Ok((host, runtime))
}

/// Builds all targets with `flags` for rustc, in a target directory of its own called `name`.
pub fn build(name: &str, flags: &str) -> Result<PathBuf> {
    let (host, _) = toolchain()?;
    let dir = place::checkout()?.join("target").join(name);
    cargo()?
        .args(["build", "--release", "--locked", "--quiet", "--target", &host, "--manifest-path"])
        .arg(place::checkout()?.join("tools/fuzz/Cargo.toml"))
        .arg("--target-dir")
        .arg(&dir)
        .env("RUSTFLAGS", flags)
        // -Zsanitizer is no stable flag, and does not depend on anything that is not.
        .env("RUSTC_BOOTSTRAP", "1")
        .run()?;
    Ok(dir.join(host).join("release"))
}

/// Fuzzes `targets` for `seconds` each, as many side by side as there are processors. What is kept is
/// run before anything else.
pub fn run(targets: &[String], seconds: u32, start: Start) -> Result<Counts> {
    let (_, sanitizer) = toolchain()?;
    let (flags, with) = match sanitizer {
        true => (format!("{COVERAGE} -Zsanitizer=address"), "AddressSanitizer"),
        false => (COVERAGE.into(), "no AddressSanitizer, for which this rustc has no runtime"),
    };
    let programs = build("fuzz", &flags)?;
    println!("fuzz: with overflow checks, debug assertions and {with}");
    let side_by_side = thread::available_parallelism().map_or(1, |number| number.get());
    let mut counts = Counts::default();
    for some in targets.chunks(side_by_side) {
        let results: Vec<Result<String>> = thread::scope(|scope| {
            let programs = &programs;
            let one = |target| scope.spawn(move || fuzz(programs, target, seconds, start));
            let running: Vec<_> = some.iter().map(String::as_str).map(one).collect();
            let join = |thread: thread::ScopedJoinHandle<'_, _>| thread.join().expect("no panic");
            running.into_iter().map(join).collect()
        });
        for (target, result) in some.iter().zip(results) {
            match result {
                Ok(figures) => {
                    println!("fuzz, {target}: {figures}");
                    counts.passed += 1;
                }
                Err(error) => {
                    println!("fuzz, {target}: failed: {error:#}");
                    counts.failed += 1;
                }
            }
        }
    }
    Ok(counts)
}

/// Where a target works.
fn place_of(target: &str) -> Result<PathBuf> {
    place::out(Path::new("fuzz").join(target))
}

fn fuzz(programs: &Path, target: &str, seconds: u32, start: Start) -> Result<String> {
    let dir = place_of(target)?;
    let (kept, found) = (dir.join("kept"), dir.join("found"));
    let inputs = corpus::unpack(target, &kept)?;
    if start == Start::Kept || !found.exists() {
        corpus::empty(&found)?;
    }
    let log = dir.join("log");
    let ran = Cmd::new(programs.join(target))
        .arg(format!("-max_total_time={seconds}"))
        .arg(format!("-max_len={LONGEST}"))
        .arg(format!("-artifact_prefix={}/", dir.display()))
        .args(["-print_final_stats=1", "-timeout=20", "-detect_leaks=0"])
        .args([&found, &kept])
        .run_logged(&log);
    let said = fs::read_to_string(&log).unwrap_or_default();
    if ran.is_err() {
        let why = said.lines().find(|line| line.contains("panicked at") || line.contains("ERROR:"));
        let next = said.lines().skip_while(|line| Some(*line) != why).nth(1).unwrap_or_default();
        bail!(
            "{}\n  {next}\n  the input, and what to run it with: {}",
            why.unwrap_or("it ended before its time"),
            replay(&said, &programs.join(target)).unwrap_or_else(|| log.display().to_string())
        );
    }
    let executions = number(&said, r"stat::number_of_executed_units: +(\d+)")?;
    if executions < inputs as u64 {
        bail!("{executions} executions of {inputs} inputs that are kept; {}", log.display());
    }
    let edges = number(&said, r"DONE +cov: (\d+)")?;
    Ok(format!("{executions} executions, {inputs} inputs kept, {edges} edges"))
}

/// The command that runs the input again that `said` names.
fn replay(said: &str, program: &Path) -> Option<String> {
    let written = said.lines().find_map(|line| line.split("Test unit written to ").nth(1))?;
    Some(format!("{} {written}", program.display()))
}

fn number(said: &str, pattern: &str) -> Result<u64> {
    let found = Regex::new(pattern)?.captures(said).context("libFuzzer printed no figures")?;
    Ok(found[1].parse()?)
}

/// Adds to what is kept of `targets` what was found, and minimises it.
pub fn keep(targets: &[String]) -> Result<()> {
    let programs = place::checkout()?.join("target/fuzz").join(toolchain()?.0).join("release");
    for target in targets {
        let dir = place_of(target)?;
        let merged = dir.join("merged");
        corpus::empty(&merged)?;
        Cmd::new(programs.join(target))
            // What reaches the same as often is no reason to keep it: a few hundred small inputs stay.
            .args(["-merge=1", "-use_counters=0", "-detect_leaks=0"])
            .arg(format!("-max_len={LONGEST}"))
            .args([&merged, &dir.join("kept"), &dir.join("found")])
            .run_logged(&dir.join("merge.log"))?;
        let inputs = corpus::pack(target, &merged)?;
        println!("fuzz, {target}: {inputs} inputs are kept: {}", corpus::file(target)?.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_figures_of_a_run_are_read() {
        let said = "#852642\tDONE   cov: 169 ft: 653 corp: 124/17Kb\n\
                    stat::number_of_executed_units: 852642\n";
        assert_eq!(number(said, r"DONE +cov: (\d+)").unwrap(), 169);
        assert!(number("", r"DONE +cov: (\d+)").is_err());
    }

    #[test]
    fn a_crash_says_how_to_run_it_again() {
        let said = "artifact_prefix='out/'; Test unit written to out/crash-1\nBase64: AA==\n";
        assert_eq!(replay(said, Path::new("/x/boot")).unwrap(), "/x/boot out/crash-1");
        assert_eq!(replay("", Path::new("/x/boot")), None);
    }
}
