// SPDX-License-Identifier: GPL-2.0

//! Packages of other releases and of the guest's machine, each set of them unpacked into a root
//! directory of its own, with the libraries that their programs load. Nothing of them is installed.

use crate::{apt::Apt, libraries, lock::Lock, need::Table};
use anyhow::{Context, Result, bail};
use object::elf::ELFMAG;
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use util::{command::Cmd, hash::Key, place};
use walkdir::WalkDir;

/// The guest's machine, as Debian calls it.
const ARCHITECTURE: &str = "arm64";

/// The root directory of the packages that packages.toml has under `name`. They are fetched when they
/// are not there.
pub fn root(name: &str) -> Result<PathBuf> {
    let table = Table::load()?;
    let wanted = table.unpacked(name)?;
    let mut key = Key::new().part("suite", &wanted.suite);
    for package in &wanted.packages {
        key = key.part("package", package);
    }
    for file in &wanted.files {
        key = key.part("file", file.as_os_str().as_encoded_bytes());
    }
    let kept = place::cache("unpacked")?;
    let dir = kept.join(key.short());
    let root = dir.join("root");
    if root.exists() {
        return Ok(root);
    }
    let _lock = Lock::take(&kept.join("lock"), "another run fetches packages")?;
    if root.exists() {
        return Ok(root);
    }
    eprintln!("fetching {} of {}", wanted.packages.join(", "), wanted.suite);
    let apt = Apt::suite(&wanted.suite, Some(ARCHITECTURE))?;
    apt.update()?;
    let temporary = tempfile::Builder::new().prefix("unpacking-").tempdir_in(&kept)?;
    let mut fetched = Fetched::in_dir(&apt, temporary.path())?;
    for package in &wanted.packages {
        fetched.add(package)?;
    }
    if wanted.files.is_empty() {
        let programs = files_below(&fetched.root)?.into_values().collect();
        fetched.add_libraries(programs)?;
    } else {
        keep_only(&fetched.root, &wanted.files)?;
    }
    fs::write(temporary.path().join(VERSIONS), fetched.versions.concat())?;
    fs::remove_dir_all(temporary.path().join("deb"))?;
    fs::rename(temporary.keep(), &dir)
        .with_context(|| format!("cannot keep what was unpacked in {}", dir.display()))?;
    Ok(root)
}

/// The file beside a root directory that says which packages are in it.
pub(crate) const VERSIONS: &str = "versions";

/// The version of `package` below the root directory `root`.
pub fn version(root: &Path, package: &str) -> Result<String> {
    let path = root.with_file_name(VERSIONS);
    let text =
        fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    text.lines()
        .find_map(|line| line.strip_prefix(package)?.strip_prefix(' '))
        .map(String::from)
        .with_context(|| format!("no {package} in {}", path.display()))
}

/// Removes all files below `root` but `files`.
fn keep_only(root: &Path, files: &[PathBuf]) -> Result<()> {
    for entry in WalkDir::new(root) {
        let entry = entry.with_context(|| format!("cannot read {}", root.display()))?;
        let kept = files.iter().any(|file| root.join(file) == entry.path());
        if !kept && !entry.file_type().is_dir() {
            fs::remove_file(entry.path())
                .with_context(|| format!("cannot remove {}", entry.path().display()))?;
        }
    }
    match files.iter().find(|file| !root.join(file).exists()) {
        Some(file) => bail!("the packages have no {}", file.display()),
        None => Ok(()),
    }
}

/// Packages on their way into one root directory.
struct Fetched<'a> {
    apt: &'a Apt,
    root: PathBuf,
    deb: PathBuf,
    packages: BTreeSet<String>,
    /// One line for each, with its version.
    versions: Vec<String>,
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
        Ok(Self { apt, root, deb, packages, versions: Vec::new(), dependencies })
    }

    /// Fetches `package` and unpacks it.
    fn add(&mut self, package: &str) -> Result<()> {
        self.apt
            .cmd("apt-get")
            .args(["download", "-q", package])
            .dir(&self.deb)
            .run_logged(&self.deb.join("fetch.log"))
            .with_context(|| format!("cannot fetch the package {package}"))?;
        for entry in fs::read_dir(&self.deb)?.flatten() {
            let path = entry.path();
            if path.extension().is_some_and(|extension| extension == "deb") {
                Cmd::new("dpkg-deb").arg("-x").arg(&path).arg(&self.root).read()?;
                let about = Cmd::new("dpkg-deb").arg("-W").arg("--showformat");
                let about = about.arg("${Package} ${Version}\n").arg(&path);
                self.versions.push(about.read()?);
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
                bail!("no package that these packages depend on has {library}");
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

/// How much the name of a package is like that of a library, most important first: `liblzma5` and
/// `zlib1g` like `liblzma.so.5` and `libz.so.1`.
fn likeness(package: &str, library: &str) -> (usize, bool, Reverse<usize>) {
    let bare = |name: &str| name.strip_prefix("lib").unwrap_or(name).to_owned();
    let stem = library.split(".so").next().unwrap_or(library);
    let same = bare(package).chars().zip(bare(stem).chars()).take_while(|(a, b)| a == b).count();
    // Where nothing is alike, a library is likelier to have it than a program.
    (same, package.contains("lib"), Reverse(package.len()))
}

/// A library that one of `programs` loads, directly or not, and that is not below `root`.
fn missing_library(root: &Path, programs: &[PathBuf]) -> Result<Option<String>> {
    let there = files_below(root)?;
    let (mut waiting, mut seen) = (programs.to_vec(), BTreeSet::new());
    while let Some(path) = waiting.pop() {
        // What a symbolic link means is a file of the guest: links from / lead elsewhere here.
        let Ok(contents) = fs::read(&path) else { continue };
        // Scripts load none.
        if !contents.starts_with(&ELFMAG) {
            continue;
        }
        let named = libraries::named_in(&contents);
        for library in named.with_context(|| format!("cannot read {}", path.display()))? {
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
            ["debconf", "libc6", "libcom-err2", "liblzma5", "libzstd1", "zlib1g"]
                .into_iter()
                .max_by_key(|package| likeness(package, library))
                .unwrap()
        };
        assert_eq!(best("liblzma.so.5"), "liblzma5");
        assert_eq!(best("libc.so.6"), "libc6");
        assert_eq!(best("libz.so.1"), "zlib1g");
        assert_ne!(best("libother.so.1"), "debconf");
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
    fn of_large_packages_the_named_files_are_kept() {
        let root = tempfile::tempdir().unwrap();
        for dir in ["a", "b"] {
            fs::create_dir(root.path().join(dir)).unwrap();
            fs::write(root.path().join(dir).join("same"), "").unwrap();
        }
        let error = keep_only(root.path(), &["b/other".into()]).unwrap_err().to_string();
        assert!(error.contains("no b/other"), "{error}");
        fs::write(root.path().join("a/same"), "").unwrap();
        fs::write(root.path().join("b/same"), "").unwrap();
        keep_only(root.path(), &["b/same".into()]).unwrap();
        assert!(root.path().join("b/same").exists() && !root.path().join("a/same").exists());
    }

    #[test]
    fn a_package_goes_by_its_whole_name() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(VERSIONS), "libc6-dev 2.41-12\nlibc6 2.41-1\n").unwrap();
        assert_eq!(version(&dir.path().join("root"), "libc6").unwrap(), "2.41-1");
        assert!(version(&dir.path().join("root"), "libc").is_err());
    }

    #[test]
    fn a_script_loads_nothing_and_half_a_program_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let program = root.path().join("program");
        fs::write(&program, "#!/bin/sh\n").unwrap();
        let missing = || missing_library(root.path(), std::slice::from_ref(&program));
        assert_eq!(missing().unwrap(), None);
        fs::write(&program, "\x7fELF").unwrap();
        assert!(missing().is_err());
    }
}
