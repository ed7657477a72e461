// SPDX-License-Identifier: GPL-2.0

//! The arm64 packages whose programs run in the guest, unpacked, with the libraries they load.

use crate::{apt::Apt, lock::Lock, need::Table};
use anyhow::{Context, Result, bail};
use object::{
    Endianness,
    elf::{self, FileHeader64},
    read::elf::{Dyn, ElfFile64},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use util::{command::Cmd, hash::Key, place};
use walkdir::WalkDir;

/// Where the unpacked packages are: a root directory for arm64. Fetched when it is not there.
pub fn root() -> Result<PathBuf> {
    let guest = Table::load()?.guest;
    let mut key = Key::new().part("suite", &guest.suite).part("architecture", &guest.architecture);
    for package in &guest.packages {
        key = key.part("package", package);
    }
    let guests = place::cache("guest")?;
    let dir = guests.join(key.short());
    let root = dir.join("root");
    if root.exists() {
        return Ok(root);
    }
    let _lock = Lock::take(&guests.join("lock"), "another run fetches the guest's packages")?;
    if root.exists() {
        return Ok(root);
    }
    eprintln!("fetching {} for the guest", guest.packages.join(", "));
    let apt = Apt::suite(&guest.suite, Some(&guest.architecture))?;
    apt.update()?;
    let temporary = tempfile::Builder::new().prefix("unpacking-").tempdir_in(&guests)?;
    let mut fetched = Fetched::in_dir(&apt, temporary.path())?;
    for package in &guest.packages {
        fetched.add(package)?;
    }
    let programs = files_below(&fetched.root)?.into_values().collect();
    fetched.add_libraries(programs)?;
    let list: String = fetched.packages.iter().map(|package| format!("{package}\n")).collect();
    fs::write(temporary.path().join("packages"), list)?;
    fs::remove_dir_all(temporary.path().join("deb"))?;
    fs::rename(temporary.keep(), &dir)
        .with_context(|| format!("cannot keep the guest's packages in {}", dir.display()))?;
    Ok(root)
}

/// Packages on their way into one root directory.
struct Fetched<'a> {
    apt: &'a Apt,
    root: PathBuf,
    deb: PathBuf,
    packages: BTreeSet<String>,
    /// What they depend on.
    dependencies: BTreeSet<String>,
}

impl<'a> Fetched<'a> {
    fn in_dir(apt: &'a Apt, dir: &Path) -> Result<Self> {
        let (root, deb) = (dir.join("root"), dir.join("deb"));
        for dir in [&root, &deb] {
            fs::create_dir(dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let (packages, dependencies) = (BTreeSet::new(), BTreeSet::new());
        Ok(Self { apt, root, deb, packages, dependencies })
    }

    /// Fetches `package` and unpacks it.
    fn add(&mut self, package: &str) -> Result<()> {
        self.apt
            .cmd("apt-get")
            .args(["download", "-q", package])
            .dir(&self.deb)
            .run_logged(&self.deb.join("fetch.log"))
            .with_context(|| format!("cannot fetch the guest's package {package}"))?;
        for entry in fs::read_dir(&self.deb)?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                Cmd::new("dpkg-deb").arg("-x").arg(&path).arg(&self.root).read()?;
                fs::remove_file(&path)?;
            }
        }
        let output = self
            .apt
            .cmd("apt-cache")
            .args(["depends", "--no-recommends", "--no-suggests", "--no-enhances"])
            .args(["--no-breaks", "--no-conflicts", "--no-replaces", package])
            .read()?;
        self.dependencies.extend(depends_in(&output));
        self.packages.insert(package.into());
        Ok(())
    }

    /// Adds packages until `programs` have all libraries that they load.
    fn add_libraries(&mut self, programs: Vec<PathBuf>) -> Result<()> {
        while let Some(library) = missing_library(&self.root, &programs)? {
            // Most often the package is called after the library; else each one is tried.
            let candidates = self.dependencies.difference(&self.packages);
            let Some(package) = candidates.max_by_key(|name| likeness(name, &library)).cloned()
            else {
                bail!("no package that the guest's packages depend on has {library}");
            };
            self.add(&package)?;
        }
        Ok(())
    }
}

/// The packages in what `apt-cache depends` prints; virtual ones are in angle brackets.
fn depends_in(output: &str) -> Vec<String> {
    output
        .lines()
        .filter_map(|line| line.trim().trim_start_matches('|').split_once("Depends: "))
        .map(|(_, name)| name.split(':').next().unwrap_or(name).trim().to_string())
        .filter(|name| !name.starts_with('<'))
        .collect()
}

/// How much the name of a package is like that of a library: `liblzma5` and `liblzma.so.5`.
fn likeness(package: &str, library: &str) -> usize {
    let stem = library.split(".so").next().unwrap_or(library);
    let common = package.chars().zip(stem.chars()).take_while(|(a, b)| a == b).count();
    // zlib1g has libz.so.1: libraries that are called otherwise still say that they are some.
    common.max(usize::from(package.contains("lib")))
}

/// A library that one of `programs` loads, directly or not, and that is not below `root`.
fn missing_library(root: &Path, programs: &[PathBuf]) -> Result<Option<String>> {
    let there = files_below(root)?;
    let (mut waiting, mut seen) = (programs.to_vec(), BTreeSet::new());
    while let Some(path) = waiting.pop() {
        // What a symbolic link means is a file of the guest: links from / lead elsewhere here.
        let Ok(contents) = fs::read(&path) else { continue };
        for library in needed_by(&contents) {
            match there.get(&library) {
                Some(path) if seen.insert(library.clone()) => waiting.push(path.clone()),
                Some(_) => {}
                None => return Ok(Some(library)),
            }
        }
    }
    Ok(None)
}

/// Names and paths of all files and links below `root`.
fn files_below(root: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut files = BTreeMap::new();
    for entry in WalkDir::new(root) {
        let entry = entry.with_context(|| format!("cannot read {}", root.display()))?;
        if !entry.file_type().is_dir() {
            files.insert(entry.file_name().to_string_lossy().into_owned(), entry.into_path());
        }
    }
    Ok(files)
}

/// The libraries that an ELF file names; none for any other file.
fn needed_by(contents: &[u8]) -> Vec<String> {
    if !contents.starts_with(&elf::ELFMAG) {
        return Vec::new();
    }
    let Ok(file) = ElfFile64::<Endianness>::parse(contents) else { return Vec::new() };
    let endian = file.endian();
    let Ok(sections) = file.elf_section_table().dynamic(endian, contents) else {
        return Vec::new();
    };
    let Some((entries, strings)) = sections else { return Vec::new() };
    let Ok(strings) = file.elf_section_table().strings(endian, contents, strings) else {
        return Vec::new();
    };
    let name = |entry: &<FileHeader64<Endianness> as object::read::elf::FileHeader>::Dyn| {
        let needed = entry.tag32(endian) == Some(elf::DT_NEEDED);
        let bytes = needed.then(|| entry.string(endian, strings).ok()).flatten()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    entries.iter().filter_map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_packages_not_virtual_ones() {
        let output = "kexec-tools\n  Depends: libc6\n |Depends: debconf\n  Depends: <debconf-2.0>\n    \
                      cdebconf\n  PreDepends: zlib1g:arm64\n";
        assert_eq!(depends_in(output), ["libc6", "debconf", "zlib1g"]);
    }

    #[test]
    fn the_likeliest_package_has_the_librarys_name() {
        let best = |library| {
            ["debconf", "libc6", "liblzma5", "zlib1g"]
                .into_iter()
                .max_by_key(|package| likeness(package, library))
                .unwrap()
        };
        assert_eq!(best("liblzma.so.5"), "liblzma5");
        assert_eq!(best("libc.so.6"), "libc6");
    }

    #[test]
    fn a_library_that_only_an_unused_library_names_is_not_missing() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("program");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let missing = missing_library(root.path(), std::slice::from_ref(&program)).unwrap();
        assert!(missing.is_some_and(|name| name.contains(".so")));
        assert_eq!(missing_library(root.path(), &[]).unwrap(), None);
    }

    #[test]
    fn what_a_program_needs_is_read_from_the_program() {
        let itself = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert!(needed_by(&itself).iter().any(|name| name.starts_with("libc.so")));
        assert!(needed_by(b"#!/bin/sh\n").is_empty());
        assert!(needed_by(b"\x7fELF").is_empty());
    }
}
