// SPDX-License-Identifier: GPL-2.0

//! Files of a tree that are replaced together: all of them, or none.
//!
//! [`stage`] does what can fail, beside the files; [`Staged::put`] only renames.

use crate::series::Changes;
use anyhow::{Context, Result};
use std::{
    fs::{self, File, Metadata, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::{MetadataExt, PermissionsExt, fchown},
    path::{Path, PathBuf},
};
use tempfile::{Builder, NamedTempFile, TempPath};
use util::setup;

/// New contents that lie beside the files which they will replace.
///
/// Dropped before [`Staged::put`], it leaves the tree as it was.
#[derive(Debug)]
pub struct Staged {
    // Dropped first: a directory can be removed only once it is empty.
    replacements: Vec<Replacement>,
    made: MadeDirectories,
}

#[derive(Debug)]
struct Replacement {
    /// In the tree.
    path: PathBuf,
    to: PathBuf,
    new: TempPath,
    old: Option<Old>,
}

/// A file as it was.
#[derive(Debug)]
struct Old {
    bytes: Vec<u8>,
    metadata: Metadata,
}

/// Directories that are removed again unless they are kept, the innermost first.
#[derive(Debug, Default)]
struct MadeDirectories(Vec<PathBuf>);

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        remove_empty(&self.0);
    }
}

/// The parents of `paths` that `dir` lacks, each before what it contains.
pub fn missing_directories<'a>(
    dir: &Path,
    paths: impl IntoIterator<Item = &'a PathBuf>,
) -> Vec<PathBuf> {
    let parents = paths.into_iter().flat_map(|path| path.ancestors().skip(1));
    let mut missing: Vec<_> =
        parents.map(|parent| dir.join(parent)).filter(|parent| !parent.exists()).collect();
    missing.sort();
    missing.dedup();
    missing
}

/// Removes those of `directories`, in the order of [`missing_directories`], that are empty.
pub fn remove_empty(directories: &[PathBuf]) {
    for directory in directories.iter().rev() {
        // One that is not empty has something in it that somebody else made.
        let _ = fs::remove_dir(directory);
    }
}

/// Puts the new contents beside the files of `dir` that they will replace.
///
/// A file that cannot be written is found here, when nothing is replaced yet.
pub fn stage(dir: &Path, changes: &Changes) -> Result<Staged> {
    let unwritable = |path: &Path, error: io::Error| {
        setup!(
            "cannot write {}: {error}; nothing was changed. Make {} writable, or apply to a copy \
             of it",
            path.display(),
            dir.display()
        )
    };
    let mut made = MadeDirectories::default();
    for directory in missing_directories(dir, changes.keys()) {
        fs::create_dir(&directory).map_err(|error| unwritable(&directory, error))?;
        made.0.push(directory);
    }
    let mut replacements = Vec::new();
    for (path, bytes) in changes {
        let to = dir.join(path);
        let refused = |error| unwritable(&to, error);
        let old = Old::of(&to).map_err(refused)?;
        let new = beside(&to, bytes, old.as_ref().map(|old| &old.metadata)).map_err(refused)?;
        let new = new.into_temp_path();
        replacements.push(Replacement { path: path.clone(), to, new, old });
    }
    Ok(Staged { replacements, made })
}

impl Staged {
    /// Puts all files in their places; on an error the old ones are back. Returns lines that say
    /// what was changed.
    pub fn put(self) -> Result<Vec<String>> {
        let Self { replacements, mut made } = self;
        let mut said = Vec::new();
        let mut done = Vec::new();
        for Replacement { path, to, new, old } in replacements {
            if let Err(error) = new.persist(&to) {
                let error = error.error;
                take_back(done)
                    .with_context(|| format!("cannot write {}: {error}", to.display()))?;
                return Err(setup!(
                    "cannot write {}: {error}; all files are as they were. Mend that, and try again",
                    to.display()
                ));
            }
            let verb = if old.is_some() { "changed" } else { "new" };
            said.push(format!("  {verb:8} {}", path.display()));
            done.push((to, old));
        }
        made.0.clear();
        Ok(said)
    }
}

/// As they were: `done` has what was replaced. One failure does not keep the rest from it.
fn take_back(done: Vec<(PathBuf, Option<Old>)>) -> Result<()> {
    let mut failed = Ok(());
    for (path, old) in done.into_iter().rev() {
        let back = match old {
            Some(old) => old.put_back(&path),
            None => fs::remove_file(&path),
        };
        if let Err(error) = back {
            failed = Err(error).with_context(|| {
                format!("and {} cannot be put back; get it from a backup", path.display())
            });
        }
    }
    failed
}

impl Old {
    /// The regular file `path`, which can be written; `None` when there is none.
    fn of(path: &Path) -> io::Result<Option<Self>> {
        let metadata = match fs::symlink_metadata(path) {
            Ok(metadata) => metadata,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !metadata.is_file() {
            return Err(io::Error::other("it is no regular file"));
        }
        // A rename would replace a file that must not be written; opening it asks.
        OpenOptions::new().write(true).open(path)?;
        Ok(Some(Self { bytes: fs::read(path)?, metadata }))
    }

    /// With its time of change: the identity of a tree without git has it.
    fn put_back(&self, path: &Path) -> io::Result<()> {
        let file = beside(path, &self.bytes, Some(&self.metadata))?;
        file.as_file().set_modified(self.metadata.modified()?)?;
        file.persist(path)?;
        Ok(())
    }
}

/// A temporary file in the directory of `path`, with the mode and owner of the file before it.
fn beside(path: &Path, bytes: &[u8], before: Option<&Metadata>) -> io::Result<NamedTempFile> {
    let parent = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let new_file = fs::Permissions::from_mode(0o666);
    let mut file = Builder::new().prefix(".apply-").permissions(new_file).tempfile_in(parent)?;
    file.write_all(bytes)?;
    if let Some(before) = before {
        give_to_owner(file.as_file(), before);
        file.as_file().set_permissions(before.permissions())?;
    }
    Ok(file)
}

fn give_to_owner(file: &File, before: &Metadata) {
    // Only root can give files away. A user who may write the file of another gets it, as from an
    // editor.
    let _ = fchown(file, Some(before.uid()), Some(before.gid()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{collections::BTreeMap, process::ExitCode};
    use util::failure::exit_code;
    use walkdir::WalkDir;

    /// Contents, mode and time of a file; `None` for a directory.
    type Facts = Option<(Vec<u8>, u32, i64, i64)>;

    fn everything(dir: &Path) -> BTreeMap<PathBuf, Facts> {
        let entries = WalkDir::new(dir).into_iter().map(Result::unwrap);
        let described = entries.map(|entry| {
            let metadata = entry.metadata().unwrap();
            let facts = metadata.is_file().then(|| {
                let bytes = fs::read(entry.path()).unwrap();
                (bytes, metadata.mode(), metadata.mtime(), metadata.mtime_nsec())
            });
            (entry.path().to_path_buf(), facts)
        });
        described.collect()
    }

    fn tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("scripts")).unwrap();
        for name in ["Kconfig", "scripts/run"] {
            fs::write(dir.path().join(name), "old\n").unwrap();
        }
        fs::set_permissions(dir.path().join("scripts/run"), fs::Permissions::from_mode(0o755))
            .unwrap();
        dir
    }

    fn changes(paths: &[&str]) -> Changes {
        paths.iter().map(|path| (PathBuf::from(path), b"new\n".to_vec())).collect()
    }

    #[test]
    fn files_are_replaced_and_keep_their_mode() {
        let dir = tree();
        let changes = changes(&["Kconfig", "rust/kernel/a.rs", "scripts/run"]);
        let said = stage(dir.path(), &changes).unwrap().put().unwrap();
        assert_eq!(
            said,
            ["  changed  Kconfig", "  new      rust/kernel/a.rs", "  changed  scripts/run"]
        );
        let after = everything(dir.path());
        for path in changes.keys() {
            assert_eq!(after[&dir.path().join(path)].as_ref().unwrap().0, b"new\n");
        }
        let mode = |path: &str| after[&dir.path().join(path)].as_ref().unwrap().1 & 0o777;
        assert_eq!(mode("scripts/run"), 0o755);
        assert_eq!(mode("Kconfig"), mode("rust/kernel/a.rs"), "a new file is one by the umask");
        // The tree itself, three files, scripts, rust, rust/kernel: nothing else is left.
        assert_eq!(after.len(), 7, "{:?}", after.keys());
    }

    #[test]
    fn what_cannot_be_written_is_found_before_anything_is_replaced() {
        let dir = tree();
        fs::create_dir(dir.path().join("z")).unwrap();
        let before = everything(dir.path());
        for (last, why) in [("scripts/run/x", "Not a directory"), ("z", "no regular file")] {
            let changes = changes(&["Kconfig", "rust/kernel/a.rs", last]);
            let error = stage(dir.path(), &changes).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(exit_code(&error), ExitCode::from(2));
            assert_eq!(everything(dir.path()), before);
        }
    }

    #[test]
    fn a_write_that_fails_half_way_is_taken_back() {
        let dir = tree();
        let before = everything(dir.path());
        let paths = ["Kconfig", "rust/kernel/a.rs", "scripts/run", "z"];
        let staged = stage(dir.path(), &changes(&paths)).unwrap();
        // Somebody makes a directory where the last file goes, after all was checked.
        fs::create_dir_all(dir.path().join("z/full")).unwrap();
        let error = staged.put().unwrap_err();
        assert!(error.to_string().contains("all files are as they were"), "{error}");
        assert_eq!(exit_code(&error), ExitCode::from(2));
        fs::remove_dir_all(dir.path().join("z")).unwrap();
        assert_eq!(everything(dir.path()), before);
    }
}
