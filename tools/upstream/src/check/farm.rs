// SPDX-License-Identifier: GPL-2.0

//! A source tree to build from, elsewhere: links to the files of the base, and the files that the
//! series changes. Nothing is ever built in it, so one serves all architectures.

use super::context::Context;
use anyhow::{Context as _, Result};
use build::{lock::Lock, series::Changes};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use util::{command::Cmd, hash::Key, place};

/// The source tree; nobody else changes it as long as this exists.
pub struct Farm {
    /// Where it is.
    pub tree: PathBuf,
    /// A directory beside it for what is built from it.
    pub output: PathBuf,
    _lock: Lock,
}

impl Farm {
    /// The tree with `changes`.
    pub fn with(context: &Context, changes: &Changes) -> Result<Self> {
        let farms = place::cache("check/sources")?;
        let key = Key::new().part("pristine", &context.pristine.identity).short();
        let name = format!("{}-{key}", context.pristine.name);
        let lock = Lock::take(&farms.join(format!("{name}.lock")), "another run uses the sources")?;
        let dir = farms.join(name);
        if !dir.exists() {
            let temporary = tempfile::Builder::new().prefix("linking-").tempdir_in(&farms)?;
            let tree = temporary.path().join("tree");
            Cmd::new("cp")
                .args(["--recursive", "--symbolic-link", "--no-target-directory"])
                .args([&context.pristine.dir, &tree])
                .read()?;
            fs::rename(temporary.keep(), &dir)
                .with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let farm = Self { tree: dir.join("tree"), output: dir.join("output"), _lock: lock };
        farm.change(&context.pristine.dir, &dir.join("changed"), changes)?;
        Ok(farm)
    }

    /// Takes back what was changed before and is not any more, and changes the rest.
    fn change(&self, base: &Path, list: &Path, changes: &Changes) -> Result<()> {
        let before = fs::read_to_string(list).unwrap_or_default();
        let all: Vec<_> = changes.keys().map(|path| path.display().to_string()).collect();
        // What may differ is written down before anything is touched.
        fs::write(list, format!("{before}{}\n", all.join("\n")))?;
        for path in before.lines().map(Path::new).filter(|path| !changes.contains_key(*path)) {
            let (at, original) = (self.tree.join(path), base.join(path));
            if at.symlink_metadata().is_ok() {
                fs::remove_file(&at)?;
            }
            if original.exists() {
                symlink(&original, &at)?;
            }
        }
        for (path, bytes) in changes {
            let at = self.tree.join(path);
            let is_link = at.symlink_metadata().is_ok_and(|metadata| metadata.is_symlink());
            if !is_link && fs::read(&at).is_ok_and(|there| there == *bytes) {
                continue;
            }
            if is_link {
                // Written through the link, the base would change.
                fs::remove_file(&at)?;
            }
            fs::create_dir_all(at.parent().context("a file has a directory")?)?;
            fs::write(&at, bytes).with_context(|| format!("cannot write {}", at.display()))?;
        }
        fs::write(list, all.join("\n"))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_is_never_written_to() {
        let (base, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (tree, list) = (dir.path().join("tree"), dir.path().join("changed"));
        fs::create_dir(&tree).unwrap();
        fs::write(base.path().join("a"), "base").unwrap();
        symlink(base.path().join("a"), tree.join("a")).unwrap();
        let _lock = Lock::take(&dir.path().join("lock"), "the test").unwrap();
        let farm = Farm { tree: tree.clone(), output: dir.path().join("output"), _lock };
        let read = |path: PathBuf| fs::read_to_string(path).unwrap();

        let both = ["a", "new/b"].map(|path| (PathBuf::from(path), b"series".to_vec()));
        farm.change(base.path(), &list, &Changes::from(both)).unwrap();
        assert_eq!(read(tree.join("a")), "series");
        assert_eq!(read(tree.join("new/b")), "series");
        assert_eq!(read(base.path().join("a")), "base");

        farm.change(base.path(), &list, &Changes::new()).unwrap();
        assert_eq!(read(tree.join("a")), "base");
        assert!(!tree.join("new/b").exists());
    }
}
