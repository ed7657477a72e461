// SPDX-License-Identifier: GPL-2.0

//! A kernel tree as others made it: read, never changed.

use crate::{base::Bases, kernel::Source, shared, source_package, user_tree, version::Version};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};
use util::setup;
use walkdir::WalkDir;

/// A kernel tree as others made it.
#[derive(Clone, Debug)]
pub struct Pristine {
    /// Where it is.
    pub dir: PathBuf,
    /// What its Makefile says.
    pub version: Version,
    /// Names its contents: equal identities mean equal files.
    pub identity: String,
    /// A name for directories.
    pub name: String,
    /// For people: version and origin.
    pub described: String,
    /// The files that belong to it; `None` means all, and that they never change.
    pub files: Option<Vec<PathBuf>>,
}

impl Pristine {
    /// The tree that `source` asks for, fetched when it is not there.
    pub fn obtain(source: &Source) -> Result<Self> {
        match source {
            Source::Default => source_package::obtain_default(&Bases::load()?),
            Source::Base(version) => source_package::obtain(Bases::load()?.get(version)?),
            Source::Dir(dir) => {
                let tree = user_tree::open(dir)?;
                let bases = Bases::load()?;
                if !bases.covers(tree.version) {
                    return Err(setup!(
                        "{} is not supported; the series is for {}",
                        tree.described,
                        bases.names()
                    ));
                }
                Ok(tree)
            }
        }
    }

    /// The bytes of one file; `None` when the tree has no such file.
    pub fn read(&self, file: &Path) -> Result<Option<Vec<u8>>> {
        let path = self.dir.join(file);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }
}

impl Pristine {
    /// Its files, whether they are listed or all there are.
    pub fn all_files(&self) -> Result<Vec<PathBuf>> {
        if let Some(files) = &self.files {
            return Ok(files.clone());
        }
        let mut files = Vec::new();
        for entry in WalkDir::new(&self.dir) {
            let entry = entry.with_context(|| format!("cannot read {}", self.dir.display()))?;
            if !entry.file_type().is_dir() {
                files.push(entry.path().strip_prefix(&self.dir)?.to_path_buf());
            }
        }
        Ok(files)
    }

    /// Does `work` in a tree that shares files with this one, and sees to it that none of them was written.
    pub fn unwritten<T>(&self, work: impl FnOnce() -> Result<T>) -> Result<T> {
        // The user's own tree is not shared, and may change at any time.
        if self.files.is_some() {
            return work();
        }
        let before = self.all_facts()?;
        let done = work()?;
        let after = self.all_facts()?;
        match before.iter().find(|(path, facts)| after.get(*path) != Some(facts)) {
            None => Ok(done),
            Some((path, _)) => bail!(
                "{} was written to, by a build in a tree that shares it; remove {}, and the trees beside it",
                self.dir.join(path).display(),
                self.dir.display(),
            ),
        }
    }

    fn all_facts(&self) -> Result<BTreeMap<PathBuf, (u64, i64, i64)>> {
        let facts = |path: PathBuf| {
            let metadata = self.dir.join(&path).symlink_metadata()?;
            Ok((path, shared::facts(&metadata)))
        };
        self.all_files()?.into_iter().map(facts).collect()
    }
}

/// What the Makefile at the top of `dir` says about the version.
pub fn version_of(dir: &Path) -> Result<Version> {
    let makefile = dir.join("Makefile");
    let no_tree = || setup!("{} is no kernel tree (its Makefile tells no version)", dir.display());
    if !dir.is_dir() {
        return Err(setup!("there is no directory {}; LINUX= takes a kernel tree", dir.display()));
    }
    let text = fs::read_to_string(&makefile).map_err(|_| no_tree())?;
    if !dir.join("arch/arm64/Kconfig").exists() {
        return Err(setup!("{} is no kernel tree (no arch/arm64/Kconfig)", dir.display()));
    }
    makefile_version(&text).ok_or_else(no_tree)
}

fn makefile_version(text: &str) -> Option<Version> {
    let number = |name: &str| {
        text.lines()
            .take(20)
            .filter_map(|line| line.split_once('='))
            .find(|(left, _)| left.trim() == name)
            .and_then(|(_, right)| right.trim().parse().ok())
    };
    Some(Version(number("VERSION")?, number("PATCHLEVEL")?, number("SUBLEVEL").unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitCode;

    #[test]
    fn a_makefile_tells_the_version() {
        let text = "# SPDX\nVERSION = 7\nPATCHLEVEL = 3\nSUBLEVEL = 4\nEXTRAVERSION =\n";
        assert_eq!(makefile_version(text), Some(Version(7, 3, 4)));
        assert_eq!(makefile_version("all:\n\ttrue\n"), None);
    }

    #[test]
    fn a_build_that_writes_a_file_in_place_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let (file, shared) = (dir.path().join("a"), tempfile::tempdir().unwrap());
        fs::write(&file, "a").unwrap();
        let pristine = Pristine {
            dir: dir.path().into(),
            version: Version(7, 3, 4),
            identity: "it".into(),
            name: "7.3.4".into(),
            described: "the test's tree".into(),
            files: None,
        };
        let link = shared.path().join("a");
        fs::hard_link(&file, &link).unwrap();
        assert_eq!(pristine.unwritten(|| Ok(7)).unwrap(), 7);
        let error = pristine.unwritten(|| Ok(fs::write(&link, "ab")?)).unwrap_err();
        assert!(error.to_string().starts_with(&format!("{} was written to", file.display())));
    }

    #[test]
    fn what_is_no_kernel_tree_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("Makefile"), "all:\n").unwrap();
        for (dir, why) in
            [(dir.path(), "is no kernel tree"), (Path::new("/no/such"), "there is no directory")]
        {
            let error = version_of(dir).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
            assert_eq!(util::failure::exit_code(&error), ExitCode::from(2));
        }
    }
}
