// SPDX-License-Identifier: GPL-2.0

//! What the series touches and other architectures compile as well.

use super::{
    Verdict,
    context::Context,
    farm::Farm,
    output::{Warning, new_ones, warnings},
    tree::{Made, made},
};
use anyhow::Result;
use build::{
    config::{self, Options},
    series::Changes,
};
use std::{fs, path::Path};

/// Other architectures, and what turns on EFI, ACPI where there is such, and the device tree.
const ARCHES: [(&str, &[&str]); 3] = [
    ("arm", &["MMU", "ARCH_MULTIPLATFORM", "ARCH_MULTI_V7", "ARCH_VIRT", "EFI", "OF"]),
    ("riscv", &["MMU", "ARCH_RV64I", "EFI", "ACPI", "OF"]),
    ("x86_64", &["64BIT", "EFI", "ACPI", "OF"]),
];

/// What is compiled: the callers, and those that are called.
const SHARED: [&str; 2] = ["drivers/firmware/efi/", "drivers/of/"];
/// A part of the first one where it is not compiled for the architecture.
const EFI_INIT: &str = "drivers/firmware/efi/efi-init.o";

/// Compiles for each architecture, from the base and from the series.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut figures = Vec::new();
    for (arch, options) in ARCHES {
        let mut said: Vec<Vec<Warning>> = Vec::new();
        let mut objects = 0;
        for (name, changes) in [("base", &Changes::new()), ("series", context.changes()?)] {
            let farm = Farm::with(context, changes)?;
            let made = match compile(context, &farm, arch, options, &logs.join(name)) {
                Ok(made) => made,
                Err(error) => {
                    verdict.findings.push(format!("{arch}, {name}: {error:#}"));
                    continue;
                }
            };
            if let Some(why) = made.failed {
                verdict.findings.push(format!("{arch}, {name}: {why}"));
            }
            objects = made.text.lines().filter(|line| line.starts_with("  CC ")).count();
            said.push(warnings(&made.text, &farm.tree)?);
        }
        if let [base, series] = &said[..] {
            let new = new_ones(base, series);
            verdict.findings.extend(new.iter().map(|warning| format!("{arch}: {warning}")));
        }
        figures.push(format!("{arch}: {objects} objects"));
    }
    verdict.figures = format!("{}; of {}", figures.join(", "), SHARED.join(", "));
    Ok(verdict)
}

/// Configures and compiles in a directory of the architecture beside the sources.
fn compile(
    context: &Context,
    farm: &Farm,
    arch: &str,
    options: &[&str],
    log: &Path,
) -> Result<Made> {
    let output = farm.output.join(arch);
    fs::create_dir_all(&output)?;
    let make = || {
        let make = context.toolchain.make_for(arch, &farm.tree);
        make.arg(format!("O={}", output.display()))
    };
    let log = |what: &str| log.with_extension(format!("{arch}.{what}.log"));
    let wanted: Options = options.iter().map(|name| (name.to_string(), "y".to_string())).collect();
    let asked = output.join("asked.config");
    fs::write(&asked, config::text(&wanted))?;
    make().env("KCONFIG_ALLCONFIG", &asked).arg("allnoconfig").run_logged(&log("config"))?;
    let got = config::parse(&fs::read_to_string(output.join(".config"))?);
    let dropped = config::dropped(&wanted, &got);
    anyhow::ensure!(dropped.is_empty(), "the configuration is not as asked: {dropped:?}");
    // Everything is compiled each time: there is little of it, and only then does it warn.
    for dir in SHARED {
        let dir = output.join(dir);
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
    }
    made(make().args(SHARED).arg(EFI_INIT), &log("make"))
}
