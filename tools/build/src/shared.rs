// SPDX-License-Identifier: GPL-2.0

//! Files that a tree to build in shares with the pristine tree that it was made from: hard links, so that
//! all trees together have a file once, with one time, which make goes by.
//!
//! Only files of the pristine tree are shared. What a build makes is not, for tools write it in place.
//! Whoever changes a file of a tree makes a new one and renames it: see [`replace`].

use anyhow::{Context, Result};
use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};
use std::{
    fs::{self, Metadata, Permissions},
    io::Write,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::Path,
};
use walkdir::WalkDir;

/// Makes the tree `to`, a copy of `from`, times and all. What `from` shares with `pristine` the copy shares,
/// too: that is all of it where they are the same tree.
pub fn copy(from: &Path, to: &Path, pristine: Option<&Path>) -> Result<()> {
    let mut directories = Vec::new();
    for entry in WalkDir::new(from) {
        let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
        let path = entry.path().strip_prefix(from)?;
        let here = to.join(path);
        let context = || format!("cannot copy {} to {}", entry.path().display(), here.display());
        let metadata = entry.metadata().with_context(context)?;
        if metadata.is_dir() {
            fs::create_dir(&here).with_context(context)?;
            fs::set_permissions(&here, metadata.permissions()).with_context(context)?;
            // It gets another time with each file that comes into it.
            directories.push((here, metadata));
            continue;
        }
        if metadata.is_symlink() {
            let target = fs::read_link(entry.path()).with_context(context)?;
            symlink(target, &here).with_context(context)?;
        } else if is_shared(pristine, path, &metadata) && fs::hard_link(entry.path(), &here).is_ok()
        {
            continue;
        } else {
            // Where it cannot be shared, on a file system without hard links, it is one more file.
            fs::copy(entry.path(), &here).with_context(context)?;
        }
        keep_times(&here, &metadata).with_context(context)?;
    }
    for (directory, metadata) in directories {
        keep_times(&directory, &metadata)
            .with_context(|| format!("cannot set the times of {}", directory.display()))?;
    }
    Ok(())
}

/// Makes the files of `tree` shared that have the size, the time and the mode of those in `pristine`. Returns
/// how many bytes are on the disk once less now.
///
/// Their bytes are not compared, which would take minutes: whoever changes a file gives it another time, and
/// those of the pristine tree are what the tree ought to have.
pub fn share(tree: &Path, pristine: &Path) -> Result<u64> {
    let link = tree.with_file_name("linking");
    let mut saved = 0;
    for entry in WalkDir::new(pristine) {
        let entry = entry.with_context(|| format!("cannot read {}", pristine.display()))?;
        let (there, here) = (entry.path(), tree.join(entry.path().strip_prefix(pristine)?));
        let metadata = entry.metadata()?;
        let Ok(own) = here.symlink_metadata() else { continue };
        let alike = metadata.is_file()
            && facts(&metadata) == facts(&own)
            && metadata.mode() == own.mode()
            && metadata.ino() != own.ino();
        if !alike {
            continue;
        }
        // One that an earlier run has left here would be in the way.
        let _ = fs::remove_file(&link);
        // On a file system without hard links each tree keeps its own.
        if fs::hard_link(there, &link).is_ok() {
            fs::rename(&link, &here)
                .with_context(|| format!("cannot replace {}", here.display()))?;
            saved += own.blocks() * 512;
        }
    }
    Ok(saved)
}

/// Makes `bytes` the contents of the file `path` of a tree: a new file, for others may share the one that is
/// there. It has these permissions, or those of that one.
pub fn replace(path: &Path, bytes: &[u8], permissions: Option<Permissions>) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let directory = path.parent().with_context(context)?;
    fs::create_dir_all(directory).with_context(context)?;
    let kept = || path.symlink_metadata().ok().filter(Metadata::is_file).map(|it| it.permissions());
    let permissions = permissions.or_else(kept);
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(directory)
        .with_context(context)?;
    file.write_all(bytes).with_context(context)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions).with_context(context)?;
    }
    file.persist(path).with_context(context)?;
    Ok(())
}

/// What tells two files apart at a glance: size, seconds and nanoseconds of the last change.
pub fn facts(metadata: &Metadata) -> (u64, i64, i64) {
    (metadata.len(), metadata.mtime(), metadata.mtime_nsec())
}

/// Whether `metadata` is that of the file `path` of `pristine`.
fn is_shared(pristine: Option<&Path>, path: &Path, metadata: &Metadata) -> bool {
    let same = |it: Metadata| (it.dev(), it.ino()) == (metadata.dev(), metadata.ino());
    metadata.is_file()
        && pristine.is_some_and(|dir| dir.join(path).symlink_metadata().is_ok_and(same))
}

/// Gives `path`, which may be a symbolic link, the times of `metadata`.
fn keep_times(path: &Path, metadata: &Metadata) -> std::io::Result<()> {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(metadata.atime(), metadata.atime_nsec()),
        last_modification: time(metadata.mtime(), metadata.mtime_nsec()),
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inode(path: &Path) -> u64 {
        path.symlink_metadata().unwrap().ino()
    }

    /// A pristine tree, and the place for another.
    fn setting() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let pristine = dir.path().join("pristine");
        fs::create_dir_all(pristine.join("d")).unwrap();
        for name in ["a", "d/b"] {
            fs::write(pristine.join(name), name).unwrap();
        }
        symlink("a", pristine.join("link")).unwrap();
        let tree = dir.path().join("tree");
        (dir, pristine, tree)
    }

    #[test]
    fn a_copy_shares_what_is_pristine_and_nothing_that_was_built() {
        let (dir, pristine, tree) = setting();
        copy(&pristine, &tree, Some(&pristine)).unwrap();
        assert_eq!(inode(&tree.join("a")), inode(&pristine.join("a")));
        assert_eq!(fs::read_link(tree.join("link")).unwrap(), Path::new("a"));

        fs::write(tree.join("d/b.o"), "built").unwrap();
        replace(&tree.join("d/b"), b"changed", None).unwrap();
        let other = dir.path().join("other");
        copy(&tree, &other, Some(&pristine)).unwrap();
        assert_eq!(inode(&other.join("a")), inode(&pristine.join("a")));
        for own in ["d/b", "d/b.o"] {
            let (from, to) = (tree.join(own), other.join(own));
            assert_ne!(inode(&from), inode(&to), "{own}");
            assert_eq!(fs::read(&from).unwrap(), fs::read(&to).unwrap());
            let time = |path: &Path| path.metadata().unwrap().modified().unwrap();
            assert_eq!(time(&from), time(&to), "make builds {own} again");
        }
        let time = |path: &Path| path.metadata().unwrap().modified().unwrap();
        assert_eq!(time(&tree.join("d")), time(&other.join("d")));
    }

    #[test]
    fn what_is_the_same_is_shared_and_what_differs_in_anything_is_not() {
        let (_dir, pristine, tree) = setting();
        let time = pristine.join("a").metadata().unwrap().modified().unwrap();
        let write = |path: &str, text: &str| {
            fs::write(tree.join(path), text).unwrap();
            let file = fs::File::options().write(true).open(tree.join(path)).unwrap();
            file.set_modified(time).unwrap();
        };
        let differ = |pristine: &Path, tree: &Path| {
            share(tree, pristine).unwrap();
            inode(&tree.join("a")) != inode(&pristine.join("a"))
        };
        fs::create_dir_all(tree.join("d")).unwrap();
        write("a", "aa");
        assert!(differ(&pristine, &tree), "another size");
        write("a", "a");
        let file = fs::File::options().write(true).open(tree.join("a")).unwrap();
        file.set_modified(time + std::time::Duration::from_nanos(1)).unwrap();
        assert!(differ(&pristine, &tree), "another time");
        write("a", "a");
        fs::set_permissions(tree.join("a"), Permissions::from_mode(0o755)).unwrap();
        assert!(differ(&pristine, &tree), "another mode");
        let mode = pristine.join("a").metadata().unwrap().permissions();
        fs::set_permissions(tree.join("a"), mode).unwrap();
        assert!(!differ(&pristine, &tree), "the same");
        assert_eq!(share(&tree, &pristine).unwrap(), 0, "nothing is left to be shared");
    }

    #[test]
    fn a_file_that_is_replaced_is_another_with_the_mode_of_the_first() {
        let (_dir, pristine, tree) = setting();
        fs::set_permissions(pristine.join("a"), Permissions::from_mode(0o755)).unwrap();
        copy(&pristine, &tree, Some(&pristine)).unwrap();
        replace(&tree.join("a"), b"changed", None).unwrap();
        assert_eq!(fs::read(pristine.join("a")).unwrap(), b"a");
        assert_eq!(fs::read(tree.join("a")).unwrap(), b"changed");
        assert_eq!(tree.join("a").metadata().unwrap().mode() & 0o777, 0o755);
        replace(&tree.join("new/c"), b"c", None).unwrap();
        assert_eq!(tree.join("new/c").metadata().unwrap().mode() & 0o600, 0o600);
    }
}
