// SPDX-License-Identifier: GPL-2.0

//! The same steps in C, to be measured against those in Rust.
//!
//! The C files stand in `plain_c`, where they stand in the kernel tree, and take the place of the
//! series' Rust files: the hooks, the prototypes, the object files' names and what is made init
//! memory of them are the same. Nothing of it is part of the series.
//!
//! `make differential` boots both on the host: what comes of a boot has to be the same.

use anyhow::{Context, Result, ensure};
use build::{
    kernel::{Kernel, PLAIN_C, Source, Spec, Variant, obtain_changed},
    series::Changes,
};
use std::{fs, path::Path};
use util::place;
use walkdir::WalkDir;

/// What is measured against it.
const SERIES: Variant = Variant { series: true, mapping_2017: false };

/// The kernel that has the steps in C.
pub fn kernel(source: &Source) -> Result<Kernel> {
    let spec = Spec { source: source.clone(), variant: SERIES, flavour: "minimal".into() };
    let dir = place::checkout()?.join(PLAIN_C);
    obtain_changed(&spec, "plain-c", |changes| replace(changes, &dir))
}

/// Puts the files below `dir` in the place of what is Rust.
fn replace(changes: &mut Changes, dir: &Path) -> Result<()> {
    let before = changes.len();
    changes.retain(|path, _| {
        !path.starts_with("rust") && path.extension().is_none_or(|ending| ending != "rs")
    });
    ensure!(changes.len() < before, "the series has no file in Rust");
    let before = changes.len();
    for entry in WalkDir::new(dir).sort_by_file_name() {
        let entry = entry?;
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path())
                .with_context(|| format!("cannot read {}", entry.path().display()))?;
            changes.insert(entry.path().strip_prefix(dir)?.into(), bytes);
        }
    }
    ensure!(changes.len() > before, "there is no C file below {}", dir.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn each_object_in_rust_has_its_twin_in_c() {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("plain_c");
        let names = ["arch/arm64/mm/acpi_tables", "drivers/firmware/efi/acpi_reclaim"];
        let file = |name: &str| (PathBuf::from(name), Vec::new());
        let mut changes: Changes = names.iter().map(|name| file(&format!("{name}.rs"))).collect();
        changes.extend(["rust/kernel/lib.rs", "arch/arm64/mm/Makefile"].map(file));
        replace(&mut changes, &dir).unwrap();
        assert!(changes.keys().all(|path| !path.to_string_lossy().ends_with(".rs")), "{changes:?}");
        assert!(changes.contains_key(Path::new("arch/arm64/mm/Makefile")));
        for name in names {
            assert!(changes.contains_key(Path::new(&format!("{name}.c"))), "{name}");
        }
    }

    #[test]
    fn nothing_to_replace_is_an_error() {
        assert!(replace(&mut Changes::new(), Path::new(env!("CARGO_MANIFEST_DIR"))).is_err());
    }
}
