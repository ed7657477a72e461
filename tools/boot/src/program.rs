// SPDX-License-Identifier: GPL-2.0

//! A program of another machine, and the files that it cannot start without.

use crate::archive::Archive;
use anyhow::{Context, Result, anyhow};
use build::libraries;
use object::{
    Endianness,
    elf::FileHeader64,
    read::elf::{FileHeader, ProgramHeader},
};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// Where a distribution's arm64 packages have their libraries.
const LIBRARY_DIRS: [&str; 4] =
    ["lib/aarch64-linux-gnu", "usr/lib/aarch64-linux-gnu", "lib", "usr/lib"];

/// A program that can be started in a guest.
pub struct Program {
    file: PathBuf,
    libraries: BTreeMap<String, PathBuf>,
}

impl Program {
    /// The first of `names` that exists below `root`, and what it cannot start without.
    pub fn find(root: &Path, names: &[&str]) -> Result<Self> {
        let file = find(root, names)?;
        Ok(Self { libraries: needed(root, &file)?, file })
    }

    /// The program in `file`, which needs nothing else.
    pub fn alone(file: PathBuf) -> Self {
        Self { file, libraries: BTreeMap::new() }
    }

    /// `archive` with the program at `path`, and with what it needs.
    pub fn put(&self, archive: Archive, path: &str) -> Result<Archive> {
        let mut archive = archive.file(path, &self.file)?;
        for (path, file) in &self.libraries {
            archive = archive.file(path, file)?;
        }
        Ok(archive)
    }
}

/// What one ELF file asks for.
#[derive(Debug, PartialEq, Eq)]
struct Wants {
    interpreter: Option<String>,
    libraries: Vec<String>,
}

/// The first of `names` that exists below `root`.
pub fn find(root: &Path, names: &[&str]) -> Result<PathBuf> {
    names.iter().map(|name| root.join(name)).find(|path| path.exists()).with_context(|| {
        format!(
            "none of {} in the packages for the guest below {}; remove that directory and try again",
            names.join(", "),
            root.display()
        )
    })
}

/// What has to stand in the guest for `program` to start there: the path in the guest, without
/// the leading slash, and the file below `root`.
fn needed(root: &Path, program: &Path) -> Result<BTreeMap<String, PathBuf>> {
    let mut found = BTreeMap::new();
    let mut left = vec![program.to_path_buf()];
    while let Some(file) = left.pop() {
        let data = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let wants = wants(&data).map_err(|error| anyhow!("{}: {error}", file.display()))?;
        let interpreter = wants.interpreter.map(|path| path.trim_start_matches('/').to_owned());
        if let Some(path) = interpreter {
            let name = path.rsplit('/').next().unwrap_or_default();
            let file = library(root, name)?;
            found.entry(path).or_insert(file);
        }
        for name in wants.libraries {
            // The interpreter is listed as a library as well; it is one file.
            if found.keys().any(|path: &String| path.rsplit('/').next() == Some(&name)) {
                continue;
            }
            let file = library(root, &name)?;
            found.insert(format!("lib/{name}"), file.clone());
            left.push(file);
        }
    }
    Ok(found)
}

fn library(root: &Path, name: &str) -> Result<PathBuf> {
    let places: Vec<_> = LIBRARY_DIRS.iter().map(|dir| format!("{dir}/{name}")).collect();
    find(root, &places.iter().map(String::as_str).collect::<Vec<_>>())
}

fn wants(data: &[u8]) -> object::Result<Wants> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    let mut wants = Wants { interpreter: None, libraries: libraries::named_in(data)? };
    for segment in header.program_headers(endian, data)? {
        if let Some(path) = segment.interpreter(endian, data)? {
            wants.interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    Ok(wants)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dynamic_program_wants_its_interpreter_and_libc() {
        let data = fs::read(std::env::current_exe().unwrap()).unwrap();
        let wants = wants(&data).unwrap();
        assert!(wants.interpreter.unwrap().contains("ld-linux"));
        assert!(wants.libraries.iter().any(|name| name == "libc.so.6"), "{:?}", wants.libraries);
    }

    #[test]
    fn a_missing_library_is_named() {
        let root = tempfile::tempdir().unwrap();
        let program = std::env::current_exe().unwrap();
        let error = needed(root.path(), &program).unwrap_err().to_string();
        assert!(error.contains("ld-linux"), "{error}");
    }

    #[test]
    fn what_is_no_program_is_an_error() {
        assert!(wants(b"#!/bin/sh\n").is_err());
    }
}
