// SPDX-License-Identifier: GPL-2.0

//! Room for kernel trees: where the cache's disk has too little, the trees go that were not used for the
//! longest time. None goes that a run has, nor a pristine tree. A tree that is gone costs its next build the
//! head start; the kernels that were built in it are kept elsewhere.

use crate::{
    build_tree::{MANIFEST, Role, lock_of},
    lock::Lock,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
    time::SystemTime,
};
use util::disk::{MIB, free};

/// What a tree takes besides the files that it shares, in MiB: objects, and those of the kernel that is kept.
/// The largest, `debug`, takes 465.
pub const TREE: u64 = 600;

/// What is got back of a tree at least, in MiB: its objects.
const LEAST: u64 = 300;

/// Removes trees below `trees` until so many bytes are free, or until there is none left that nobody uses.
pub fn make(trees: &Path, bytes: u64) -> Result<()> {
    make_until(trees, &|| Ok(free(trees)? >= bytes))
}

/// Removes trees below `trees` but for `kept` ones, until no bytes are `missing`; none if all of those
/// would not be enough.
pub fn make_for(trees: &Path, kept: usize, missing: &dyn Fn() -> Result<u64>) -> Result<()> {
    let more = count(trees)?.saturating_sub(kept) as u64;
    if missing()? <= more * LEAST * MIB {
        make_until(trees, &|| Ok(missing()? == 0 || count(trees)? <= kept))?;
    }
    Ok(())
}

fn make_until(trees: &Path, enough: &dyn Fn() -> Result<bool>) -> Result<()> {
    for (_, dir) in by_use(trees)? {
        if enough()? {
            break;
        }
        let name = dir.file_name().context("a tree has a name")?.to_string_lossy().into_owned();
        // One that is built in, or copied from.
        let Some(_lock) = Lock::try_take(&lock_of(trees, &name))? else { continue };
        eprintln!("the disk is nearly full: removing {}, which can be built again", dir.display());
        // A run that is stopped meanwhile leaves no tree with a part of its files.
        let gone = tempfile::Builder::new().prefix("removing-").tempdir_in(trees)?;
        let context = || format!("cannot remove {}", dir.display());
        fs::rename(&dir, gone.path().join(&name)).with_context(context)?;
        gone.close().with_context(context)?;
    }
    Ok(())
}

/// How many trees there are.
pub fn count(trees: &Path) -> Result<usize> {
    Ok(by_use(trees)?.len())
}

/// The tree in `dir` is used now. A cache that is read-only works as well.
pub(crate) fn use_now(dir: &Path) -> Result<()> {
    let manifest = fs::File::options().append(true).open(dir.join(MANIFEST));
    let _ = manifest.and_then(|file| file.set_modified(SystemTime::now()));
    Ok(())
}

/// The trees and when each was used, those first that were not used for the longest time.
fn by_use(trees: &Path) -> Result<Vec<(SystemTime, PathBuf)>> {
    let entries =
        fs::read_dir(trees).with_context(|| format!("cannot read {}", trees.display()))?;
    let mut found = Vec::new();
    for entry in entries.flatten() {
        let is_tree = Role::from_dir_name(&entry.file_name().to_string_lossy()).is_some()
            && entry.file_type().is_ok_and(|kind| kind.is_dir());
        if is_tree {
            let used = entry.path().join(MANIFEST).metadata().and_then(|known| known.modified());
            // One without a manifest was never made whole.
            found.push((used.unwrap_or(SystemTime::UNIX_EPOCH), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{cell::Cell, time::Duration};

    /// Trees of which each was used later than the one before.
    fn trees(names: &[&str]) -> tempfile::TempDir {
        let trees = tempfile::tempdir().unwrap();
        for (at, name) in names.iter().enumerate() {
            let dir = trees.path().join(name);
            fs::create_dir_all(dir.join("tree")).unwrap();
            let manifest = fs::File::create(dir.join(MANIFEST)).unwrap();
            let used = SystemTime::UNIX_EPOCH + Duration::from_secs(1000 * at as u64);
            manifest.set_modified(used).unwrap();
            fs::write(lock_of(trees.path(), name), "").unwrap();
        }
        trees
    }

    fn left(trees: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(trees)
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn none_goes_where_that_would_not_be_enough_nor_of_those_to_be_kept() {
        let trees = trees(&["1+c+old", "1+b+middle", "1+a+new"]);
        let make = |kept, missing: u64| {
            let all = count(trees.path()).unwrap();
            let missing = || {
                let gone = all - count(trees.path())?;
                Ok((missing * MIB).saturating_sub(gone as u64 * LEAST * MIB))
            };
            make_for(trees.path(), kept, &missing).unwrap();
            count(trees.path()).unwrap()
        };
        assert_eq!(make(0, 0), 3);
        assert_eq!(make(0, 3 * LEAST + 1), 3, "all of them are too little");
        assert_eq!(make(2, LEAST + 1), 3, "and so is what need not be kept");
        // What goes gives back less than it should: it ends with those that are kept.
        let two = self::trees(&["1+c+old", "1+b+middle"]);
        make_for(two.path(), 1, &|| Ok(LEAST * MIB)).unwrap();
        assert_eq!(left(two.path()), ["1+b+middle"]);
        assert_eq!(make(1, LEAST), 2);
        assert_eq!(make(1, LEAST), 1);
        assert_eq!(left(trees.path()), ["1+a+new"]);
    }

    /// As if there was enough room once so many trees are gone.
    fn make_by(trees: &Path, gone: usize) {
        let all = count(trees).unwrap();
        make_until(trees, &|| Ok(all - count(trees)? >= gone)).unwrap();
    }

    #[test]
    fn those_go_that_were_not_used_for_the_longest_time_and_no_more_than_needed() {
        let trees = trees(&["1+c+old", "1+b+middle", "1+a+new"]);
        make_by(trees.path(), 0);
        assert_eq!(left(trees.path()).len(), 3);
        make_by(trees.path(), 1);
        assert_eq!(left(trees.path()), ["1+a+new", "1+b+middle"]);
        use_now(&trees.path().join("1+b+middle")).unwrap();
        make_by(trees.path(), 1);
        assert_eq!(left(trees.path()), ["1+b+middle"], "it was used last");
    }

    #[test]
    fn a_tree_that_a_run_has_stays_and_so_does_what_is_no_tree() {
        let trees = trees(&["1+a+used", "1+b+stock", "copying-x"]);
        let _lock = Lock::take(&lock_of(trees.path(), "1+a+used"), "the test").unwrap();
        let asked = Cell::new(0);
        make_until(trees.path(), &|| {
            asked.set(asked.get() + 1);
            Ok(false)
        })
        .unwrap();
        assert_eq!(left(trees.path()), ["1+a+used", "copying-x"]);
        assert_eq!(asked.get(), 2);
    }

    #[test]
    fn nothing_goes_where_there_is_room() {
        let trees = trees(&["1+a+stock"]);
        make(trees.path(), 1).unwrap();
        assert_eq!(left(trees.path()), ["1+a+stock"]);
        make(trees.path(), u64::MAX).unwrap();
        assert_eq!(left(trees.path()), [""; 0]);
    }
}
