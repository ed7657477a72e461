// SPDX-License-Identifier: GPL-2.0

//! Which lines of the pure files the tests on the host and the kept corpus reach.

use super::{corpus, fuzz};
use crate::cargo::cargo;
use anyhow::{Context, Result, bail};
use boot::Counts;
use build::deps;
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use util::{command::Cmd, place};
use walkdir::WalkDir;

/// What is instrumented.
const FLAGS: &str = "-Cinstrument-coverage";

/// The lines of one file: which were executed, by number.
type Lines = BTreeMap<usize, bool>;

/// Measures; fails if a line was not reached.
pub fn run() -> Result<Counts> {
    let dir = place::out("coverage")?;
    let profiles = dir.join("profiles");
    corpus::empty(&profiles)?;
    let programs = [tests(&profiles)?, replays(&profiles)?].concat();
    let (mut reached, mut missed) = (0, Vec::new());
    for (file, lines) in lines_of(&dir, &profiles, &programs)? {
        let text = fs::read_to_string(&file)?;
        let (some, others) = judged(&text, &lines);
        if some + others.len() == 0 {
            bail!("no line of {} was measured", file.display());
        }
        reached += some;
        let shown =
            file.strip_prefix(place::checkout()?.canonicalize()?).unwrap_or(&file).display();
        missed.extend(others.iter().map(|(line, text)| format!("{shown}:{line}: {text}")));
    }
    let all = reached + missed.len();
    println!("coverage: {reached} of {all} lines of the pure files");
    missed.iter().for_each(|line| println!("not reached: {line}"));
    Ok(Counts { passed: usize::from(missed.is_empty()), failed: usize::from(!missed.is_empty()) })
}

/// How many lines of a file were reached, and those that were not. Its own tests do not count.
fn judged<'a>(text: &'a str, lines: &Lines) -> (usize, Vec<(usize, &'a str)>) {
    let end = text.lines().position(|line| line == "mod tests {").unwrap_or(usize::MAX);
    let code = lines.iter().filter(|(line, _)| **line <= end);
    let (reached, missed): (Vec<_>, Vec<_>) = code.partition(|(_, reached)| **reached);
    let text_of = |line: usize| text.lines().nth(line - 1).unwrap_or_default().trim();
    (reached.len(), missed.into_iter().map(|(line, _)| (*line, text_of(*line))).collect())
}

/// Runs the tests of the pure files, but for those that take a small scope as a whole: what they
/// reach the others reach, too. Returns the programs.
fn tests(profiles: &Path) -> Result<Vec<PathBuf>> {
    let checkout = place::checkout()?;
    let cmd = |more: &[&str]| -> Result<Cmd> {
        Ok(cargo()?
            .args(["test", "--locked", "--quiet", "--package", "pure", "--package", "proof"])
            .args(["--lib", "--tests", "--target-dir"])
            .arg(checkout.join("target/coverage"))
            .args(more)
            .env("RUSTFLAGS", FLAGS))
    };
    let built = cmd(&["--no-run", "--message-format=json"])?
        .env("LLVM_PROFILE_FILE", profiles.join("build-%p.profraw"))
        .read()?;
    let program = |line: &str| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(PathBuf::from(message.get("executable")?.as_str()?))
    };
    let programs: Vec<_> = built.lines().filter_map(program).collect();
    cmd(&["--", "--skip", "every_"])?
        .env("LLVM_PROFILE_FILE", profiles.join("test-%p-%m.profraw"))
        .run_logged(&profiles.with_file_name("tests.log"))?;
    Ok(programs)
}

/// Runs the kept corpus. Returns the programs.
fn replays(profiles: &Path) -> Result<Vec<PathBuf>> {
    let built = fuzz::build("coverage-fuzz", FLAGS)?;
    let mut programs = Vec::new();
    for target in fuzz::targets()? {
        let kept = place::out(Path::new("coverage/kept").join(&target))?;
        corpus::unpack(&target, &kept)?;
        let files = WalkDir::new(&kept).min_depth(1);
        let files = files.into_iter().filter_map(|file| Some(file.ok()?.into_path()));
        let program = built.join(&target);
        Cmd::new(&program)
            .arg("-detect_leaks=0")
            .args(files)
            .env("LLVM_PROFILE_FILE", profiles.join("replay-%p.profraw"))
            .run_logged(&profiles.with_file_name(format!("{target}.log")))?;
        programs.push(program);
    }
    Ok(programs)
}

/// The lines of each pure file that have code.
fn lines_of(dir: &Path, profiles: &Path, programs: &[PathBuf]) -> Result<BTreeMap<PathBuf, Lines>> {
    let [cov, profdata] = &deps::need("llvm-cov")?.paths[..] else {
        bail!("packages.toml names two programs of llvm-cov");
    };
    let raw = WalkDir::new(profiles).into_iter().filter_map(|file| Some(file.ok()?.into_path()));
    let raw = raw.filter(|path| path.extension().is_some_and(|ending| ending == "profraw"));
    let profile = dir.join("profile");
    Cmd::new(profdata).args(["merge", "-sparse", "-o"]).arg(&profile).args(raw).read()?;
    let files = pure_files()?;
    let objects = programs.iter().flat_map(|program| ["-object".into(), program.clone()]);
    let report = Cmd::new(cov)
        .args(["export", "-format=lcov", "-instr-profile"])
        .arg(&profile)
        .args(objects)
        .arg("-sources")
        .args(files.keys())
        .read()?;
    let lines = lcov(&report);
    let mut found = BTreeMap::new();
    for (link, file) in files {
        let lines =
            lines.get(&link).with_context(|| format!("{} is in no report", link.display()))?;
        found.insert(file, lines.clone());
    }
    Ok(found)
}

/// The links of tools/pure, and the files that they lead to.
fn pure_files() -> Result<BTreeMap<PathBuf, PathBuf>> {
    let dir = place::checkout()?.join("tools/pure/src");
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(&dir).follow_links(true) {
        let path = entry?.into_path();
        let file = path.canonicalize()?;
        let is_code = path.extension().is_some_and(|ending| ending == "rs");
        if is_code && !file.starts_with(dir.canonicalize()?) {
            files.insert(path, file);
        }
    }
    Ok(files)
}

/// What lcov's format says: a line that is in several records was reached if one of them says so.
fn lcov(report: &str) -> BTreeMap<PathBuf, Lines> {
    let mut files: BTreeMap<PathBuf, Lines> = BTreeMap::new();
    let mut file = PathBuf::new();
    for record in report.lines() {
        if let Some(path) = record.strip_prefix("SF:") {
            file = path.into();
        }
        let data = record.strip_prefix("DA:").and_then(|data| data.split_once(','));
        if let Some((line, count)) =
            data.and_then(|(line, count)| Some((line.parse().ok()?, count)))
        {
            *files.entry(file.clone()).or_default().entry(line).or_default() |= count != "0";
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_no_record_reaches_is_named() {
        let report =
            "SF:/a.rs\nDA:1,0\nDA:2,7\nDA:5,0\nend_of_record\nSF:/a.rs\nDA:1,1\nend_of_record\n";
        let lines = &lcov(report)[Path::new("/a.rs")];
        assert_eq!(*lines, Lines::from([(1, true), (2, true), (5, false)]));
        let text = "one\ntwo\nthree\nfour\n  five\nmod tests {\nseven\n";
        assert_eq!(judged(text, lines), (2, vec![(5, "five")]));
        let own = Lines::from([(7, false)]);
        assert_eq!(judged(text, &own), (0, vec![]));
    }
}
