// SPDX-License-Identifier: GPL-2.0

//! Other configurations of arm64, and that all of the Rust objects is init memory in each.

use super::{
    Verdict, bisect,
    context::Context,
    farm::Farm,
    tree::{Kind, made, options},
};
use anyhow::{Context as _, Result};
use build::config::{self, Options};
use object::{Object, ObjectSection, SectionFlags, elf::SHF_ALLOC};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A configuration, by what differs from the usual one.
struct Config {
    name: &'static str,
    differs: &'static [(&'static str, &'static str)],
}

const CONFIGS: [Config; 4] = [
    Config { name: "lpa2", differs: &[("ARM64_VA_BITS_48", "n"), ("ARM64_VA_BITS_52", "y")] },
    Config { name: "16k", differs: &[("ARM64_4K_PAGES", "n"), ("ARM64_16K_PAGES", "y")] },
    Config { name: "64k", differs: &[("ARM64_4K_PAGES", "n"), ("ARM64_64K_PAGES", "y")] },
    Config { name: "kasan", differs: &[("KASAN", "y")] },
];

/// How the objects end that are to have nothing but init memory.
const INIT_OBJECT: &str = ".init.o";
/// Sections that may be there: who reads them finds them by name. That of KASAN's destructors is init
/// memory when the kernel is linked.
const FOUND_BY_NAME: [&str; 5] = [
    ".note.gnu.property",
    ".eh_frame",
    ".kcfi_traps",
    "__patchable_function_entries",
    ".fini_array.1",
];

/// Compiles the touched directories in each configuration, out of the tree.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let mut verdict = Verdict::default();
    let changes = context.changes()?;
    let directories = bisect::directories(changes.keys());
    let usual = options(context, Kind::On, changes)?;
    for Config { name, differs } in CONFIGS {
        let farm = Farm::with(context, changes)?;
        let output = farm.output.join(format!("arm64-{name}"));
        fs::create_dir_all(&output)?;
        let make = || {
            let make = context.toolchain.make(&farm.tree);
            make.arg(format!("O={}", output.display()))
        };
        let mut wanted: Options = usual.clone();
        wanted.extend(differs.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        let asked = output.join("asked.config");
        fs::write(&asked, config::text(&wanted))?;
        let log = |what: &str| logs.join(format!("{name}.{what}.log"));
        make().env("KCONFIG_ALLCONFIG", &asked).arg("allnoconfig").run_logged(&log("config"))?;
        let got = config::parse(&fs::read_to_string(output.join(".config"))?);
        let dropped = config::dropped(&wanted, &got);
        anyhow::ensure!(dropped.is_empty(), "{name}: not configured as asked: {dropped:?}");
        let made = made(make().arg("prepare").args(&directories), &log("make"))?;
        if let Some(why) = made.failed {
            verdict.findings.push(format!("{name}: {why}"));
            continue;
        }
        let objects = init_objects(&output, &directories)?;
        anyhow::ensure!(!objects.is_empty(), "{name}: there is no *{INIT_OBJECT}");
        for object in &objects {
            let bytes =
                fs::read(object).with_context(|| format!("cannot read {}", object.display()))?;
            for section in resident(&bytes)? {
                let object = object.strip_prefix(&output).unwrap_or(object).display();
                verdict.findings.push(format!("{name}: {object}: {section} stays after boot"));
            }
        }
        verdict.figures += &format!("{name}: {} objects all init; ", objects.len());
    }
    verdict.figures = verdict.figures.trim_end_matches("; ").into();
    Ok(verdict)
}

fn init_objects(output: &Path, directories: &BTreeSet<String>) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for directory in directories {
        for entry in fs::read_dir(output.join(directory)).into_iter().flatten() {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(INIT_OBJECT) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The sections of an object that are loaded, have something in them, and are not init memory.
fn resident(object: &[u8]) -> Result<Vec<String>> {
    let object = object::File::parse(object).context("no object file")?;
    let mut names = Vec::new();
    for section in object.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        let name = section.name()?;
        let is_loaded = sh_flags & u64::from(SHF_ALLOC) != 0 && section.size() > 0;
        if is_loaded && !name.starts_with(".init") && !FOUND_BY_NAME.contains(&name) {
            names.push(name.into());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_init_memory_is_found() {
        let program = fs::read(std::env::current_exe().unwrap()).unwrap();
        let resident = resident(&program).unwrap();
        assert!(resident.iter().any(|name| name == ".text"), "{resident:?}");
        // What is not loaded, what is found by its name, and what is init memory.
        for name in [".debug_info", ".eh_frame", ".init", ".init_array"] {
            assert!(!resident.iter().any(|one| one == name), "{name}: {resident:?}");
        }
    }
}
