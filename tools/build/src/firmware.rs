// SPDX-License-Identifier: GPL-2.0

//! The UEFI application that stands for hostile firmware, built once.
//!
//! It is built for another machine than the harness, with the compiler and the source of its library
//! that the kernel is built with.

use crate::{deps, lock::Lock};
use anyhow::{Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
};
use util::{command::Cmd, hash::Key, place};
use walkdir::WalkDir;

/// What it is built from, below the checkout.
const SOURCES: [&str; 2] = ["tools/firmware", "tools/orders"];
/// The machine that it is built for.
const TARGET: &str = "aarch64-unknown-uefi";
/// What it is called.
const NAME: &str = "firmware.efi";
/// What links it.
const LINKER: &str = "lld-link";

/// The path of the application; built when it is not there.
pub fn obtain() -> Result<PathBuf> {
    let checkout = place::checkout()?;
    let (rustc, llvm) = (deps::need("rustc")?, deps::need("llvm")?);
    let mut key = Key::new().part("rustc", &rustc.described).part("llvm", &llvm.described);
    for path in sources(&checkout)? {
        let label = path.strip_prefix(&checkout).unwrap_or(&path).display().to_string();
        key = key.file(&label, &path).with_context(|| format!("cannot read {}", path.display()))?;
    }
    let kept = place::cache("firmware")?;
    let application = kept.join(key.short()).join(NAME);
    if application.exists() {
        return Ok(application);
    }
    let _lock = Lock::take(&kept.join("lock"), "another run builds the firmware")?;
    if application.exists() {
        return Ok(application);
    }

    eprintln!("building the firmware (once, about a minute)");
    let linker = llvm.paths.iter().find(|path| named(path, LINKER)).context("no lld-link")?;
    let target = kept.join("target");
    build_cmd(&checkout, &rustc.paths[0], linker, &target)
        .run_logged(&kept.join("build.log"))
        .context("the firmware does not build")?;
    let temporary = tempfile::Builder::new().prefix("storing-").tempdir_in(&kept)?;
    let built = target.join(TARGET).join("release").join(NAME);
    fs::copy(&built, temporary.path().join(NAME))
        .with_context(|| format!("the build has made no {}", built.display()))?;
    let dir = application.parent().context("it is kept in a directory")?;
    fs::rename(temporary.keep(), dir)
        .with_context(|| format!("cannot keep the firmware in {}", dir.display()))?;
    Ok(application)
}

fn named(path: &Path, name: &str) -> bool {
    path.file_name().is_some_and(|found| found.to_string_lossy().starts_with(name))
}

/// All files that it is built from, in an order that is always the same.
fn sources(checkout: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for below in SOURCES {
        let entries = WalkDir::new(checkout.join(below)).sort_by_file_name().into_iter();
        // What cargo leaves there when it is called by hand is no source.
        for entry in entries.filter_entry(|entry| entry.file_name() != "target") {
            let entry = entry?;
            if entry.file_type().is_file() {
                files.push(entry.into_path());
            }
        }
    }
    Ok(files)
}

/// cargo, which builds the library of the target as well: no package has it.
fn build_cmd(checkout: &Path, rustc: &Path, linker: &Path, target: &Path) -> Cmd {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let variable = TARGET.to_uppercase().replace('-', "_");
    Cmd::new(cargo)
        .dir(checkout.join(SOURCES[0]))
        .env("CARGO_TARGET_DIR", target)
        .env(&format!("CARGO_TARGET_{variable}_LINKER"), linker)
        .env("RUSTC", rustc)
        // Both options of cargo below are unstable.
        .env("RUSTC_BOOTSTRAP", "1")
        // The make that runs this harness is not cargo's business.
        .env("MAKEFLAGS", "")
        .env("MAKELEVEL", "")
        .args(["build", "--release", "--locked", "--target", TARGET])
        .args(["-Z", "build-std=core,alloc,compiler_builtins"])
        .args(["-Z", "build-std-features=compiler-builtins-mem"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_has_all_that_the_target_needs() {
        let path = Path::new;
        let cmd = build_cmd(path("top"), path("/usr/bin/rustc"), path("lld-link-19"), path("kept"));
        let line = cmd.to_string();
        assert!(line.starts_with("cd top/tools/firmware && "), "{line}");
        assert!(line.contains("CARGO_TARGET_AARCH64_UNKNOWN_UEFI_LINKER=lld-link-19 "), "{line}");
        assert!(line.contains(" RUSTC=/usr/bin/rustc "), "{line}");
    }

    #[test]
    fn what_was_built_there_is_no_source() {
        let dir = tempfile::tempdir().unwrap();
        for path in ["tools/firmware/src/main.rs", "tools/firmware/target/x", "tools/orders/a.rs"] {
            let path = dir.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        let names: Vec<_> = sources(dir.path())
            .unwrap()
            .into_iter()
            .map(|path| path.strip_prefix(dir.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["tools/firmware/src/main.rs", "tools/orders/a.rs"]);
    }

    #[test]
    fn a_program_goes_by_its_name_whatever_its_suffix() {
        assert!(named(Path::new("/usr/bin/lld-link-19"), LINKER));
        assert!(!named(Path::new("/usr/bin/ld.lld-19"), LINKER));
    }
}
