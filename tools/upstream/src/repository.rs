// SPDX-License-Identifier: GPL-2.0

//! A git repository with a kernel tree and, on top of it, the series: one commit per patch.
//!
//! Nothing is checked out: a kernel tree has 90,000 files, and the series touches about 30.

use anyhow::{Context, Result};
use build::{
    lock::Lock,
    pristine::Pristine,
    series::{Changes, Patch},
    user_tree::{git, is_git},
};
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::Stdio,
};
use tempfile::TempDir;
use util::{command::Cmd, hash::Key, place};

/// The branch with the series.
pub const BRANCH: &str = "acpi-tables";

/// Who imported a tree that is no git repository: nobody, at the time of the thread of 2017. The
/// same files get the same commit.
const IMPORTED_BY: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "import"),
    ("GIT_AUTHOR_EMAIL", "import@localhost"),
    ("GIT_AUTHOR_DATE", "2017-12-01T00:00:00Z"),
    ("GIT_COMMITTER_NAME", "import"),
    ("GIT_COMMITTER_EMAIL", "import@localhost"),
    ("GIT_COMMITTER_DATE", "2017-12-01T00:00:00Z"),
];

/// A bare repository of its own, which borrows the objects of the tree.
pub struct Repository {
    dir: TempDir,
    /// The commit that the series is for.
    pub base: String,
    /// Whether others have that commit: it comes from the user's repository.
    pub base_is_known: bool,
}

impl Repository {
    /// A repository at the state of `pristine`.
    pub fn of(pristine: &Pristine) -> Result<Self> {
        let base_is_known = is_git(&pristine.dir);
        let origin = if base_is_known { pristine.dir.clone() } else { imported(pristine)? };
        let base = git(&origin).args(["rev-parse", "HEAD"]).read()?.trim().to_string();
        let dir = tempfile::Builder::new().prefix("series-").tempdir()?;
        git(&origin)
            .args(["clone", "--quiet", "--bare", "--shared", "--no-tags"])
            .arg(&origin)
            .arg(dir.path())
            .read()?;
        Ok(Self { dir, base, base_is_known })
    }

    /// Where it is, for git.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// git in it.
    pub fn git(&self) -> Cmd {
        git(self.dir.path())
    }

    /// Commits the series on top of the base, on a branch of its own, as the author `identity`.
    pub fn commit(&self, described: &[Patch], changes: &[Changes], identity: &str) -> Result<()> {
        let index = self.dir.path().join("series.index");
        let git = || self.git().env("GIT_INDEX_FILE", &index);
        git().args(["read-tree", &self.base]).read()?;
        let mut parent = self.base.clone();
        for (patch, changes) in described.iter().zip(changes) {
            for (path, bytes) in changes {
                let blob = self.blob(bytes)?;
                let entry = format!("100644,{blob},{}", path.display());
                git().args(["update-index", "--add", "--cacheinfo", &entry]).read()?;
            }
            let tree = git().arg("write-tree").read()?;
            let message = format!("{}\n\n{}\n", patch.subject, patch.message.trim());
            let commit = as_author(git(), identity)?
                .args(["commit-tree", tree.trim(), "-p", &parent, "-m", &message])
                .read()
                .with_context(|| format!("cannot commit '{}'", patch.subject))?;
            parent = commit.trim().into();
        }
        git().args(["update-ref", &format!("refs/heads/{BRANCH}"), &parent]).read()?;
        Ok(())
    }

    /// The name of the tree at `revision`: equal names, equal files.
    pub fn tree(&self, revision: &str) -> Result<String> {
        let tree = format!("{revision}^{{tree}}");
        Ok(self.git().args(["rev-parse", "--verify", &tree]).read()?.trim().into())
    }

    /// A work tree at the base with no more than the files that the series touches.
    pub fn work_tree(&self, touched: &[PathBuf]) -> Result<TempDir> {
        let dir = tempfile::Builder::new().prefix("work-").tempdir()?;
        self.git()
            .args(["clone", "--quiet", "--shared", "--no-checkout", "--no-tags"])
            .arg(self.dir.path())
            .arg(dir.path())
            .read()?;
        let git = || git(dir.path());
        git().args(["config", "core.sparseCheckout", "true"]).read()?;
        let patterns: String =
            touched.iter().map(|path| format!("/{}\n", path.display())).collect();
        let info = dir.path().join(".git/info");
        fs::create_dir_all(&info)?;
        fs::write(info.join("sparse-checkout"), patterns)?;
        git().args(["checkout", "--quiet", "-B", "base", &self.base]).read()?;
        Ok(dir)
    }

    fn blob(&self, bytes: &[u8]) -> Result<String> {
        let mut child = self
            .git()
            .args(["hash-object", "-w", "--stdin"])
            .command()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start git")?;
        // Dropped at the end of the statement, which ends git's input.
        child.stdin.take().context("git has no input")?.write_all(bytes)?;
        let output = child.wait_with_output()?;
        anyhow::ensure!(output.status.success(), "git hash-object failed: {}", output.status);
        Ok(String::from_utf8(output.stdout)?.trim().into())
    }
}

/// `git`, which commits as `identity`: a name, and an address in angle brackets.
pub fn as_author(git: Cmd, identity: &str) -> Result<Cmd> {
    let (name, address) = identity.split_once(" <").context("an author without an address")?;
    let address = address.trim_end_matches('>');
    Ok(git
        .env("GIT_AUTHOR_NAME", name)
        .env("GIT_AUTHOR_EMAIL", address)
        .env("GIT_COMMITTER_NAME", name)
        .env("GIT_COMMITTER_EMAIL", address))
}

/// The tree in a repository of the cache, imported once.
fn imported(pristine: &Pristine) -> Result<PathBuf> {
    let repositories = place::cache("git")?;
    let key = Key::new().part("tree", &pristine.identity).short();
    let dir = repositories.join(format!("{}-{key}", pristine.name));
    let _lock = Lock::take(&repositories.join("lock"), "another run imports a tree into git")?;
    if dir.exists() {
        return Ok(dir);
    }
    eprintln!("{}: importing it into git (once, about a minute)", pristine.described);
    remove_older(&repositories, &pristine.name)?;
    let temporary = tempfile::Builder::new().prefix("importing-").tempdir_in(&repositories)?;
    let at = temporary.path();
    git(at).args(["init", "--quiet", "--bare", "."]).read()?;
    let list = at.join("files");
    let files = pristine.all_files()?;
    let names: Vec<&[u8]> = files.iter().map(|file| file.as_os_str().as_encoded_bytes()).collect();
    fs::write(&list, names.join(&0))?;
    // What is called a big file goes into a pack at once, instead of a file for each.
    Cmd::new("git")
        .args(["-c", "core.bigFileThreshold=1", "-c", "core.compression=1", "-c"])
        .args(["core.autocrlf=false", "add", "--force", "--pathspec-file-nul"])
        .arg(format!("--pathspec-from-file={}", list.display()))
        .dir(&pristine.dir)
        .env("GIT_DIR", at)
        .env("GIT_WORK_TREE", &pristine.dir)
        .env("GIT_LITERAL_PATHSPECS", "1")
        .read()?;
    fs::remove_file(list)?;
    let tree = git(at).arg("write-tree").read()?;
    let mut commit = git(at).args(["commit-tree", tree.trim(), "-m", &pristine.described]);
    for (name, value) in IMPORTED_BY {
        commit = commit.env(name, value);
    }
    let commit = commit.read()?;
    git(at).args(["update-ref", "HEAD", commit.trim()]).read()?;
    fs::rename(temporary.keep(), &dir)
        .with_context(|| format!("cannot keep the repository in {}", dir.display()))?;
    Ok(dir)
}

/// A tree that has changed is imported anew; what it was is of no use any more.
fn remove_older(repositories: &Path, name: &str) -> Result<()> {
    for entry in fs::read_dir(repositories)?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(&format!("{name}-")) {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use build::version::Version;

    const AUTHOR: &str = "A User <user@example.org>";

    fn user_tree() -> (TempDir, Pristine) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a\n").unwrap();
        fs::write(dir.path().join("b"), "b\n").unwrap();
        for args in [&["init", "-q", "-b", "work"][..], &["add", "."]] {
            git(dir.path()).args(args).read().unwrap();
        }
        as_author(git(dir.path()), AUTHOR)
            .unwrap()
            .args(["commit", "-qm", "first"])
            .read()
            .unwrap();
        let pristine = Pristine {
            dir: dir.path().into(),
            version: Version(7, 3, 4),
            identity: "test".into(),
            name: "test".into(),
            described: "the test's tree".into(),
            files: None,
        };
        (dir, pristine)
    }

    fn patch(subject: &str) -> Patch {
        toml::from_str(&format!("subject = '{subject}'\nmessage = 'why'")).unwrap()
    }

    #[test]
    fn each_patch_is_a_commit_and_the_users_tree_is_not_touched() {
        let (user, pristine) = user_tree();
        let repository = Repository::of(&pristine).unwrap();
        let change = |path: &str| Changes::from([(PathBuf::from(path), b"new\n".to_vec())]);
        let patches = [patch("one"), patch("two")];
        repository.commit(&patches, &[change("a"), change("sub/c")], AUTHOR).unwrap();

        let log =
            repository.git().args(["log", "--format=%s by %an <%ae>", BRANCH]).read().unwrap();
        assert_eq!(log.lines().count(), 3);
        assert!(log.starts_with(&format!("two by {AUTHOR}\none by {AUTHOR}\n")), "{log}");
        let files = ["ls-tree", "-r", "--name-only", BRANCH];
        assert_eq!(repository.git().args(files).read().unwrap(), "a\nb\nsub/c\n");

        let branches = git(user.path()).args(["branch", "--list"]).read().unwrap();
        assert_eq!(branches.trim(), "* work");
        assert!(git(user.path()).args(["status", "--porcelain"]).read().unwrap().is_empty());
    }

    #[test]
    fn a_work_tree_has_what_is_touched() {
        let (_user, pristine) = user_tree();
        let repository = Repository::of(&pristine).unwrap();
        let work = repository.work_tree(&["a".into()]).unwrap();
        assert!(work.path().join("a").exists());
        assert!(!work.path().join("b").exists());
        assert!(git(work.path()).args(["status", "--porcelain"]).read().unwrap().is_empty());
    }
}
