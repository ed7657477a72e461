// SPDX-License-Identifier: GPL-2.0

//! What the series touches and other architectures compile as well.

use super::{
    Verdict,
    context::Context,
    farm::Farm,
    output::{Warning, new_ones, warnings},
    tree::made,
};
use anyhow::Result;
use build::{
    config::{self, Options},
    series::Changes,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Another architecture.
struct Arch {
    name: &'static str,
    /// What turns on EFI, ACPI where there is such, the device tree, and what is fixed.
    options: &'static [&'static str],
    /// Whether it has what is fixed.
    has_fixed: bool,
}

const ARCHES: [Arch; 3] = [
    Arch {
        name: "arm",
        options: &["MMU", "ARCH_MULTIPLATFORM", "ARCH_MULTI_V7", "ARCH_VIRT", "EFI", "OF"],
        // It has no /proc/kcore, and reserves memory for crash kernels in its own way.
        has_fixed: false,
    },
    Arch {
        name: "riscv",
        options: &[
            "MMU",
            "ARCH_RV64I",
            "EFI",
            "ACPI",
            "OF",
            "PROC_FS",
            "PROC_KCORE",
            "KEXEC",
            "CRASH_DUMP",
        ],
        has_fixed: true,
    },
    Arch {
        name: "x86_64",
        options: &["64BIT", "EFI", "ACPI", "OF", "PROC_FS", "PROC_KCORE", "KEXEC", "CRASH_DUMP"],
        has_fixed: true,
    },
];

/// The caller, where the architecture has it or not, and what it calls.
const SHARED: [&str; 2] = ["drivers/firmware/efi/efi-init.o", "drivers/of/"];

/// What is compiled: what is shared, and what the fixes of the series change.
fn compiled(context: &Context, arch: &Arch) -> Vec<PathBuf> {
    let fixed = context.series.fixed().into_iter().filter(|_| arch.has_fixed);
    SHARED
        .map(PathBuf::from)
        .into_iter()
        .chain(fixed.map(|file| file.with_extension("o")))
        .collect()
}

/// Compiles for each architecture from the series; and from the base, where something is said.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let mut figures = Vec::new();
    for arch in &ARCHES {
        let series = compile(context, context.changes()?, arch, &logs.join("series"))?;
        let mut before = Vec::new();
        if series.failed.is_some() || !series.warnings.is_empty() {
            let base = compile(context, &Changes::new(), arch, &logs.join("base"))?;
            if base.failed.is_some() {
                verdict.findings.push(format!("{}: the base does not compile either", arch.name));
            }
            before = base.warnings;
        }
        let arch = arch.name;
        verdict.findings.extend(series.failed.map(|why| format!("{arch}: {why}")));
        let new = new_ones(&before, &series.warnings);
        verdict.findings.extend(new.iter().map(|warning| format!("{arch}: {warning}")));
        figures.push(format!("{arch}: {} objects, {} new warnings", series.objects, new.len()));
    }
    verdict.figures = figures.join("; ");
    Ok(verdict)
}

/// What compiling for one architecture came to.
struct Compiled {
    objects: usize,
    warnings: Vec<Warning>,
    failed: Option<String>,
}

/// Configures and compiles in a directory of the architecture beside the sources.
fn compile(context: &Context, changes: &Changes, arch: &Arch, log: &Path) -> Result<Compiled> {
    let compiled = compiled(context, arch);
    let Arch { name: arch, options, .. } = *arch;
    let farm = Farm::with(context, changes)?;
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
    for path in compiled.iter().map(|path| output.join(path)) {
        if path.is_dir() {
            fs::remove_dir_all(path)?;
        } else if path.exists() {
            fs::remove_file(path)?;
        }
    }
    let made = made(make().args(&compiled), &log("make"))?;
    let inside = |line: &&str| {
        line.strip_prefix("  CC ").is_some_and(|file| {
            compiled.iter().any(|path| Path::new(file.trim()).starts_with(path))
        })
    };
    Ok(Compiled {
        objects: made.text.lines().filter(inside).count(),
        warnings: warnings(&made.text, &farm.tree)?,
        failed: made.failed,
    })
}
