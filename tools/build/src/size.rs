// SPDX-License-Identifier: GPL-2.0

//! What the series adds to a kernel, in bytes by section.

use anyhow::{Context, Result};
use object::{Object, ObjectSection, SectionFlags, elf::SHF_ALLOC};
use std::{collections::BTreeMap, fs, path::Path};

/// One section, and how it changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Growth {
    /// Name of the section.
    pub section: String,
    /// Bytes without the series.
    pub before: u64,
    /// Bytes with the series.
    pub after: u64,
}

impl Growth {
    /// Bytes that came, or went.
    pub fn bytes(&self) -> i64 {
        self.after.cast_signed() - self.before.cast_signed()
    }

    /// Whether the section is freed when init has run.
    pub fn is_init(&self) -> bool {
        self.section.starts_with(".init") || self.section == ".rela.dyn"
    }
}

/// The sections of the ELF file `series` that differ in size from those of `stock`, as far as they
/// are loaded.
pub fn growth(stock: &Path, series: &Path) -> Result<Vec<Growth>> {
    let (before, after) = (sizes(stock)?, sizes(series)?);
    Ok(differences(&before, &after))
}

fn differences(before: &BTreeMap<String, u64>, after: &BTreeMap<String, u64>) -> Vec<Growth> {
    let names: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let size = |sizes: &BTreeMap<String, u64>, name| sizes.get(name).copied().unwrap_or(0);
    names
        .into_iter()
        .map(|name| Growth {
            section: name.clone(),
            before: size(before, name),
            after: size(after, name),
        })
        .filter(|growth| growth.before != growth.after)
        .collect()
}

fn sizes(path: &Path) -> Result<BTreeMap<String, u64>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let elf = object::File::parse(&*bytes)
        .with_context(|| format!("{} is no ELF file", path.display()))?;
    let mut sizes = BTreeMap::new();
    for section in elf.sections() {
        let SectionFlags::Elf { sh_flags } = section.flags() else { continue };
        if sh_flags & u64::from(SHF_ALLOC) != 0 {
            *sizes.entry(section.name()?.to_string()).or_default() += section.size();
        }
    }
    Ok(sizes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_changed_is_listed() {
        let sizes = |list: &[(&str, u64)]| {
            list.iter().map(|(name, size)| (name.to_string(), *size)).collect::<BTreeMap<_, _>>()
        };
        let before = sizes(&[(".text", 100), (".init.text", 10), (".bss", 5)]);
        let after = sizes(&[(".text", 100), (".init.text", 30), (".new", 1)]);
        let changed = differences(&before, &after);
        let listed: Vec<_> =
            changed.iter().map(|one| (one.section.as_str(), one.bytes(), one.is_init())).collect();
        assert_eq!(listed, [(".bss", -5, false), (".init.text", 20, true), (".new", 1, false)]);
    }

    #[test]
    fn the_test_program_itself_has_text() {
        let program = std::env::current_exe().unwrap();
        assert!(sizes(&program).unwrap()[".text"] > 0);
        assert!(growth(&program, &program).unwrap().is_empty());
    }
}
