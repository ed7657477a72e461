// SPDX-License-Identifier: GPL-2.0

//! The kernel's own tests: KUnit at boot, and the memblock suite on the host.

use super::{
    Verdict,
    context::{self, Context},
    tree::{Kind, Tree, made},
};
use anyhow::Result;
use boot::guest::Guest;
use build::{
    deps,
    kernel::{Spec, Variant, obtain},
};
use regex::Regex;
use std::{fs, path::Path};
use util::command::Cmd;

/// Boots a kernel with all tests of the series and of the kernel crate.
pub fn kunit(_: &Context, logs: &Path) -> Result<Verdict> {
    let kernel = obtain(&Spec {
        source: context::SOURCE,
        variant: Variant { series: true, ..Variant::STOCK },
        flavour: "kunit".into(),
    })?;
    let counts = boot::kunit::run(&kernel, &deps::qemu()?, &Guest::find()?)?;
    let console = util::place::out("boots")?.join("kunit/console.log");
    fs::copy(console, logs.join("console.log"))?;
    let figures = format!("{} passed, {} failed", counts.passed, counts.failed);
    let mut verdict = Verdict { figures, ..Verdict::default() };
    if counts.failed > 0 || counts.passed == 0 {
        verdict.findings.push(format!("{} tests failed", counts.failed));
    }
    Ok(verdict)
}

/// The ways in which the memblock suite is built. With 32-bit addresses it takes a C library for
/// 32 bits, which few have, and arm64 has no such addresses.
const MEMBLOCK: [&[&str]; 2] = [&[], &["NUMA=1"]];

/// Builds and runs tools/testing/memblock.
pub fn memblock(context: &Context, logs: &Path) -> Result<Verdict> {
    let tree = Tree::ready(context, Kind::Off)?;
    let dir = tree.dir.join("tools/testing/memblock");
    let passed = Regex::new(r"(?m)^\s*ok \d+ ")?;
    let failed = Regex::new(r"(?mi)^\s*not ok \d+|assertion.*failed|runtime error|: failed\b")?;
    let mut verdict = Verdict::default();
    let mut ways = Vec::new();
    for way in MEMBLOCK {
        let name = if way.is_empty() { "default".into() } else { way.join("+") };
        let clean = made(host_make(&dir).arg("clean"), &logs.join("clean.log"))?;
        verdict.findings.extend(clean.failed);
        let built = made(host_make(&dir).args(way), &logs.join(format!("{name}-make.log")))?;
        if let Some(why) = built.failed {
            verdict.findings.push(format!("{name}: {why}"));
            continue;
        }
        let log = logs.join(format!("{name}.log"));
        let ran = Cmd::new("./main").arg("-v").dir(&dir).run_logged(&log);
        let said = fs::read_to_string(&log)?;
        if let Err(error) = ran {
            verdict.findings.push(format!("{name}: {error:#}"));
        }
        verdict.findings.extend(
            said.lines().filter(|line| failed.is_match(line)).map(|line| format!("{name}: {line}")),
        );
        let count = passed.find_iter(&said).count();
        if count == 0 {
            verdict.findings.push(format!("{name}: no test has run"));
        }
        ways.push(format!("{name}: {count} passed"));
    }
    verdict.figures = ways.join(", ");
    Ok(verdict)
}

/// make for a program of the host; what the kernel is built with is not its business.
fn host_make(dir: &Path) -> Cmd {
    Cmd::new("make").dir(dir).env("MAKEFLAGS", "").env("MAKELEVEL", "").env("LC_ALL", "C")
}
