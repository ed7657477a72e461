// SPDX-License-Identifier: GPL-2.0

//! The user's own kernel tree (`LINUX=DIR`): read, and never built in.

use crate::pristine::{Pristine, version_of};
use anyhow::{Context, Result};
use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use util::{command::Cmd, hash::Key, setup};
use walkdir::WalkDir;

/// The kernel tree in `dir`.
pub fn open(dir: &Path) -> Result<Pristine> {
    let version = version_of(dir)?;
    let dir = fs::canonicalize(dir).with_context(|| format!("cannot find {}", dir.display()))?;
    let (files, identity) = if is_git(&dir) { of_git(&dir)? } else { of_files(&dir)? };
    let name = Key::new().part("dir", dir.as_os_str().as_encoded_bytes()).short();
    Ok(Pristine {
        version,
        identity,
        name: format!("dir-{}", &name[..8]),
        described: format!("Linux {version} of {}", dir.display()),
        files: Some(files),
        dir,
    })
}

/// Whether `dir` is the top of a git work tree.
pub fn is_git(dir: &Path) -> bool {
    dir.join(".git").exists()
}

/// What git tracks, and what is new and not ignored: the files, and an identity by content.
fn of_git(dir: &Path) -> Result<(Vec<PathBuf>, String)> {
    let list = |what: &[&str]| -> Result<Vec<PathBuf>> {
        let output = git(dir).args(["ls-files", "-z"]).args(what).read()?;
        Ok(output.split('\0').filter(|name| !name.is_empty()).map(PathBuf::from).collect())
    };
    let mut files = list(&["--cached"])?;
    let mut changed = list(&["--modified", "--deleted"])?;
    let new = list(&["--others", "--exclude-standard"])?;
    changed.extend(new.iter().cloned());
    files.extend(new);
    files.sort();
    files.dedup();
    files.retain(|file| dir.join(file).symlink_metadata().is_ok());

    // The index names the contents of every file that does not differ from it.
    let staged = git(dir).args(["ls-files", "-z", "--stage"]).read()?;
    let mut key = Key::new().part("index", staged);
    changed.sort();
    changed.dedup();
    for file in changed {
        let contents = fs::read(dir.join(&file)).unwrap_or_default();
        key = key.part(&file.to_string_lossy(), contents);
    }
    Ok((files, key.hex()))
}

/// git in `dir`. A tree that belongs to another user is read all the same.
pub fn git(dir: &Path) -> Cmd {
    let safe = format!("safe.directory={}", dir.display());
    Cmd::new("git").args(["-c", &safe]).dir(dir)
}

/// All files but what a build leaves: the files, and an identity by size and time.
fn of_files(dir: &Path) -> Result<(Vec<PathBuf>, String)> {
    let mut files = Vec::new();
    let mut key = Key::new();
    let walk = WalkDir::new(dir).sort_by_file_name().into_iter().filter_entry(|entry| {
        entry.depth() == 0
            || entry.path().strip_prefix(dir).is_ok_and(|path| !is_build_product(path))
    });
    for entry in walk {
        let entry = entry.with_context(|| format!("cannot read {}", dir.display()))?;
        if entry.file_type().is_dir() {
            continue;
        }
        let metadata = entry.metadata()?;
        let path = entry.path().strip_prefix(dir)?.to_path_buf();
        let facts = format!("{} {} {}", metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        key = key.part(&path.to_string_lossy(), facts);
        files.push(path);
    }
    if files.is_empty() {
        return Err(setup!("{} is empty", dir.display()));
    }
    Ok((files, key.hex()))
}

/// Whether a build leaves a file like this in the tree.
fn is_build_product(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let whole = path.to_string_lossy();
    let ends = [".o", ".a", ".ko", ".cmd", ".mod", ".mod.c", ".rmeta", ".order", ".dtb"];
    let names = ["vmlinux", "System.map", "Module.symvers", ".config", ".config.old", ".git"];
    ends.iter().any(|end| name.ends_with(end))
        || names.contains(&name.as_ref())
        || whole.ends_with("include/config")
        || whole.ends_with("include/generated")
        || (whole.starts_with("arch/") && whole.ends_with("/boot/Image"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel_tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("arch/arm64/boot")).unwrap();
        fs::create_dir_all(dir.path().join("include/generated")).unwrap();
        fs::write(dir.path().join("Makefile"), "VERSION = 7\nPATCHLEVEL = 3\n").unwrap();
        fs::write(dir.path().join("arch/arm64/Kconfig"), "").unwrap();
        for product in ["vmlinux", "arch/arm64/boot/Image", "include/generated/x.h", "a.o"] {
            fs::write(dir.path().join(product), "product").unwrap();
        }
        dir
    }

    #[test]
    fn what_a_build_leaves_is_not_part_of_the_tree() {
        let dir = kernel_tree();
        let files = open(dir.path()).unwrap().files.unwrap();
        assert_eq!(files, ["Makefile", "arch/arm64/Kconfig"].map(PathBuf::from));
    }

    #[test]
    fn identity_follows_the_contents_of_a_git_tree() {
        let dir = kernel_tree();
        fs::write(dir.path().join(".gitignore"), "*.o\nvmlinux\nImage\ngenerated\n").unwrap();
        git(dir.path()).args(["init", "-q"]).read().unwrap();
        git(dir.path()).args(["add", "."]).read().unwrap();
        let clean = open(dir.path()).unwrap();
        assert_eq!(clean.files.as_ref().unwrap().len(), 3);

        fs::write(dir.path().join("new.c"), "int a;").unwrap();
        let with_new = open(dir.path()).unwrap();
        assert_ne!(with_new.identity, clean.identity);
        assert!(with_new.files.unwrap().contains(&"new.c".into()));

        fs::remove_file(dir.path().join("new.c")).unwrap();
        fs::write(dir.path().join("a.o"), "another build").unwrap();
        assert_eq!(open(dir.path()).unwrap().identity, clean.identity);
    }
}
