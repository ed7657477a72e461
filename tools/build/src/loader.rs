// SPDX-License-Identifier: GPL-2.0

//! A loader that no distribution has: kexec-tools, built from its source package with a semantic patch
//! of ours, for the guest.
//!
//! The compiler is the kernel's; headers and libraries are those of the guest.

use crate::{
    apt::Apt,
    cocci::{Coccinelle, Outcome},
    deps,
    find::Found,
    lock::Lock,
    need::Table,
    source_package::{fetch_tarball, only_file, unpack},
    unpacked::{self, VERSIONS},
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};
use util::{command::Cmd, hash::Key, place};

/// The semantic patch, below the checkout.
const PATCH: &str = "loaders/lists-acpi-tables.cocci";
/// The file of kexec-tools that it changes.
const PATCHED: &str = "kexec/arch/arm64/kexec-arm64.c";
/// The source package, and the program that comes of it.
const SOURCE: &str = "kexec-tools";
const PROGRAM: &str = "kexec";
/// The guest's machine, as compilers call it.
const TARGET: &str = "aarch64-linux-gnu";

/// The path of kexec(8) that lists the ACPI tables as usable memory, which needs no libraries; built
/// when it is not there.
pub fn lists_acpi_tables() -> Result<PathBuf> {
    let patch = place::checkout()?.join(PATCH);
    let (llvm, coccinelle) = (deps::need("llvm")?, Coccinelle::find()?);
    let table = Table::load()?;
    let suite = &table.unpacked("guest")?.suite;
    let sysroot = unpacked::root("sysroot")?;
    let configure = configure_cmd(&llvm, &sysroot)?;
    let key = Key::new()
        .part("suite", suite)
        .part("configure", configure.to_string())
        .part("llvm", &llvm.described)
        .part("spatch", &coccinelle.described)
        .file("patch", &patch)
        .with_context(|| format!("cannot read {}", patch.display()))?;
    let kept = place::cache("loader")?;
    let program = kept.join(key.short()).join(PROGRAM);
    if program.exists() {
        return Ok(program);
    }
    let _lock = Lock::take(&kept.join("lock"), "another run builds a loader")?;
    if program.exists() {
        return Ok(program);
    }

    eprintln!("building a loader that lists the ACPI tables (once, less than a minute)");
    let apt = Apt::suite(suite, None)?;
    apt.update()?;
    let temporary = tempfile::Builder::new().prefix("building-").tempdir_in(&kept)?;
    let tree = temporary.path().join("tree");
    fetch_tarball(&apt, SOURCE, temporary.path())?;
    let tarball = only_file(temporary.path(), &format!("{SOURCE}_"), "")?;
    unpack(&tarball, &tree)?;
    change(&coccinelle, &patch, &tree.join(PATCHED))?;
    let log = kept.join("build.log");
    configure.dir(&tree).run_logged(&log).context("kexec-tools cannot be configured")?;
    make_cmd().dir(&tree).run_logged(&log).context("kexec-tools does not build")?;

    let storing = tempfile::Builder::new().prefix("storing-").tempdir_in(&kept)?;
    let built = tree.join(made()).display().to_string();
    fs::copy(&built, storing.path().join(PROGRAM))
        .with_context(|| format!("the build has made no {built}"))?;
    let version = version_in(&tarball).context("the tarball's name has no version")?;
    fs::write(storing.path().join(VERSIONS), format!("{SOURCE} {version}\n"))?;
    let dir = program.parent().context("it is kept in a directory")?;
    fs::rename(storing.keep(), dir)
        .with_context(|| format!("cannot keep the loader in {}", dir.display()))?;
    Ok(program)
}

/// Has the semantic patch change `file`.
fn change(coccinelle: &Coccinelle, patch: &Path, file: &Path) -> Result<()> {
    let contents =
        fs::read(file).with_context(|| format!("kexec-tools have no {}", file.display()))?;
    match coccinelle.apply(patch, file, &contents)? {
        Outcome::Changed(changed) => Ok(fs::write(file, changed)?),
        Outcome::NothingFound(said) => {
            bail!("{} changes nothing in {}\n{said}", patch.display(), file.display())
        }
    }
}

/// The version in the name of a tarball.
fn version_in(tarball: &Path) -> Option<String> {
    let name = tarball.file_name()?.to_string_lossy().into_owned();
    Some(name.strip_prefix(SOURCE)?.strip_prefix('_')?.split_once(".orig.")?.0.to_owned())
}

/// What configures kexec-tools: they are to need nothing else in the guest.
fn configure_cmd(llvm: &Found, sysroot: &Path) -> Result<Cmd> {
    let tool = |name: &str| -> Result<String> {
        let found = llvm.paths.iter().find(|path| {
            path.file_name().is_some_and(|file| file == format!("{name}{}", llvm.suffix).as_str())
        });
        Ok(found.with_context(|| format!("no {name}"))?.display().to_string())
    };
    let compiler = tool("clang")?;
    Ok(Cmd::new("./configure")
        .arg(format!("--host={TARGET}"))
        .args(["zlib", "lzma", "zstd", "xen"].map(|library| format!("--without-{library}")))
        .arg(format!(
            "CC={compiler} --target={TARGET} --sysroot={} -fuse-ld=lld",
            sysroot.display()
        ))
        .args(["CFLAGS=-O2", "CPPFLAGS=", "LDFLAGS=-static -s", "BUILD_CC=cc"])
        .arg(format!("LD={}", tool("ld.lld")?))
        .arg(format!("AR={}", tool("llvm-ar")?))
        .arg(format!("OBJCOPY={}", tool("llvm-objcopy")?))
        .arg(format!("STRIP={}", tool("llvm-strip")?)))
}

/// What builds the program alone.
fn make_cmd() -> Cmd {
    // The make that runs this harness is not its business.
    Cmd::new("make").env("MAKEFLAGS", "").env("MAKELEVEL", "").arg(made())
}

/// What the build makes, below its tree.
fn made() -> PathBuf {
    Path::new("build/sbin").join(PROGRAM)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compiler_is_told_of_the_guest() {
        let names = ["clang", "ld.lld", "lld-link", "llvm-ar", "llvm-objcopy", "llvm-strip"];
        let llvm = Found {
            paths: names.map(|name| format!("/usr/bin/{name}-19").into()).to_vec(),
            suffix: "-19".into(),
            version: None,
            described: String::new(),
        };
        let line = configure_cmd(&llvm, Path::new("kept/root")).unwrap().to_string();
        let compiler = "'CC=/usr/bin/clang-19 --target=aarch64-linux-gnu --sysroot=kept/root ";
        assert!(line.contains(compiler), "{line}");
        assert!(line.contains(" 'LD=/usr/bin/ld.lld-19' "), "{line}");
        assert!(line.contains(" 'LDFLAGS=-static -s' "), "{line}");
    }

    #[test]
    fn a_tarball_says_its_version() {
        let version = |name: &str| version_in(&Path::new("dir").join(name));
        assert_eq!(version("kexec-tools_2.0.29.orig.tar.xz").as_deref(), Some("2.0.29"));
        assert_eq!(version("kexec-tools_2.0.29-2.dsc"), None);
    }
}
