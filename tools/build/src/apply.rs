// SPDX-License-Identifier: GPL-2.0

//! `make apply`: the series in the user's own tree.
//!
//! Everything is computed before the tree is touched, and an error on the way is taken back: the
//! tree has the whole series or is as it was.

use crate::{
    kernel::Source,
    pristine::Pristine,
    replace::{missing_directories, remove_empty, stage},
    series::{Changes, Patch, Series},
    user_tree::{git, is_git},
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};
use util::{place, setup};

/// The branch that is made in a git tree.
const BRANCH: &str = "acpi-tables";

/// How to apply.
#[derive(Clone, Copy, Debug, Default)]
pub struct ApplyOptions {
    /// Whether the user signs the patches off.
    pub signoff: bool,
}

/// Applies the series to the kernel tree in `dir`; returns lines that say what was changed.
pub fn apply(dir: &Path, options: ApplyOptions) -> Result<Vec<String>> {
    let checkout = place::checkout()?;
    let series = Series::load(&checkout)?;
    let pristine = Pristine::obtain(&Source::Dir(dir.into()))?;
    refuse_applied(&series, &pristine)?;
    let mut said = if is_git(&pristine.dir) {
        refuse_branch(&pristine.dir)?;
        let submitter = identity(&pristine.dir)?;
        let patches = series.per_patch(&pristine, &checkout, Some(&submitter))?;
        refuse_local_changes(&pristine.dir, &patches)?;
        refuse_read_only(&pristine.dir, &patches)?;
        commit(&pristine.dir, &series.patches, &patches, options)?
    } else {
        if options.signoff {
            return Err(setup!(
                "SIGNOFF signs commits, and {} is no git tree",
                pristine.dir.display()
            ));
        }
        let submitter = identity(&pristine.dir).ok();
        let patches = series.per_patch(&pristine, &checkout, submitter.as_deref())?;
        let mut changes = Changes::new();
        patches.into_iter().for_each(|patch| changes.extend(patch));
        let mut said = vec![format!("{}: changed in place", pristine.described)];
        said.extend(stage(&pristine.dir, &changes)?.put()?);
        said
    };
    let bridges = series.bridges.for_tree(&pristine)?;
    said.extend(bridges.reasons().map(|why| format!("adapted to this kernel: {why}")));
    said.extend(bridges.mends().map(|why| format!("may not build as it is: {why}")));
    Ok(said)
}

/// Refuses a tree that has the series.
pub fn refuse_applied(series: &Series, pristine: &Pristine) -> Result<()> {
    for file in series.patches.iter().flat_map(|patch| &patch.files) {
        if pristine.read(file)?.is_some() {
            return Err(setup!(
                "{} has {} already: the series seems to be applied already. Go back to the tree as \
                 it was before that, and try again",
                pristine.described,
                file.display()
            ));
        }
    }
    Ok(())
}

fn refuse_branch(dir: &Path) -> Result<()> {
    let name = format!("refs/heads/{BRANCH}");
    if !git(dir).args(["for-each-ref", &name]).read()?.trim().is_empty() {
        return Err(setup!(
            "{} has a branch {BRANCH} already; rename or remove it: git -C {} branch -m {BRANCH} \
             {BRANCH}-old",
            dir.display(),
            dir.display()
        ));
    }
    Ok(())
}

/// The files of a patch, in its order.
fn touched(patches: &[Changes]) -> Vec<&PathBuf> {
    patches.iter().flat_map(Changes::keys).collect()
}

/// Refuses a git tree with changes that would get mixed up with the series.
pub fn refuse_local_changes(dir: &Path, patches: &[Changes]) -> Result<()> {
    if !is_git(dir) {
        return Ok(());
    }
    let mut status = git(dir).args(["status", "--porcelain", "--untracked-files=all", "--"]);
    for path in touched(patches) {
        status = status.arg(path);
    }
    // What is staged already would become part of the first commit.
    let staged = git(dir).args(["diff", "--cached", "--name-only"]).read()?;
    let changed = if patches.is_empty() { String::new() } else { status.read()? };
    if changed.trim().is_empty() && staged.trim().is_empty() {
        return Ok(());
    }
    Err(setup!(
        "{} has local changes that the series would touch, or staged ones; commit or stash them:\n{}",
        dir.display(),
        format!("{}\n{}", changed.trim_end(), staged.trim_end()).trim()
    ))
}

/// The author of commits in `dir`: a name and an address.
///
/// git itself knows best where these can come from; it must not make them up.
pub fn identity(dir: &Path) -> Result<String> {
    let ask = |ident, who| {
        let asked = git(dir).args(["-c", "user.useConfigOnly=true", "var", ident]).read();
        asked.map_err(|error| {
            let text = format!("{error:#}");
            // Before its last line git gives the advice that is given here.
            let why = text.lines().last().unwrap_or_default();
            setup!(
                "git does not know the {who} of the commits in {}; tell it with: git config \
                 --global user.name 'Your Name', and: git config --global user.email \
                 you@example.org (git says: {why})",
                dir.display()
            )
        })
    };
    ask("GIT_COMMITTER_IDENT", "committer")?;
    let identity = ask("GIT_AUTHOR_IDENT", "author")?;
    // After the address git has the time.
    let end = identity.rfind('>').context("git names somebody without an address")?;
    Ok(identity[..=end].into())
}

fn refuse_read_only(dir: &Path, patches: &[Changes]) -> Result<()> {
    for what in ["index", "objects/new", "refs/heads/new"] {
        let path = git(dir).args(["rev-parse", "--git-path", what]).read()?;
        let path = dir.join(path.trim_end_matches('\n'));
        let parent = path.parent().with_context(|| format!("{} is no file", path.display()))?;
        tempfile::tempfile_in(parent).map_err(|error| {
            setup!(
                "git cannot commit: {} cannot be written: {error}; nothing was changed. Make it \
                 writable, or apply to a clone of {}",
                parent.display(),
                dir.display()
            )
        })?;
    }
    let mut all = Changes::new();
    patches.iter().for_each(|patch| all.extend(patch.clone()));
    // Only looks: what is staged is dropped.
    stage(dir, &all).map(drop)
}

/// One commit per patch on a new branch.
fn commit(
    dir: &Path,
    described: &[Patch],
    patches: &[Changes],
    options: ApplyOptions,
) -> Result<Vec<String>> {
    let before = git(dir).args(["rev-parse", "HEAD"]).read()?.trim().to_string();
    let came_from = git(dir).args(["rev-parse", "--abbrev-ref", "HEAD"]).read()?;
    let came_from = match came_from.trim() {
        "HEAD" => before.as_str(),
        branch => branch,
    };
    let missing = missing_directories(dir, touched(patches));
    git(dir).args(["checkout", "--quiet", "-b", BRANCH]).read()?;
    if let Err(error) = commit_each(dir, described, patches, options) {
        go_back(dir, patches, &before, came_from).with_context(|| {
            format!(
                "{error:#}\nand {} cannot go back to {came_from}; go back with: git checkout \
                 --force {came_from} && git branch -D {BRANCH}",
                dir.display()
            )
        })?;
        remove_empty(&missing);
        return Err(error);
    }
    let log =
        git(dir).args(["log", "--oneline", "--stat", &format!("{before}..{BRANCH}")]).read()?;
    let mut said = vec![format!("{}: {} commits on branch {BRANCH}", dir.display(), patches.len())];
    said.extend(log.lines().map(String::from));
    Ok(said)
}

/// Back to where the user was: the branch has nothing that is not in this checkout.
fn go_back(dir: &Path, patches: &[Changes], before: &str, came_from: &str) -> Result<()> {
    git(dir).args(["reset", "--quiet", "--"]).read()?;
    for path in touched(patches) {
        let known = git(dir).args(["cat-file", "-e", &format!("{before}:{}", path.display())]);
        if known.read().is_ok() {
            git(dir).args(["checkout", "--quiet", before, "--"]).arg(path).read()?;
        } else {
            // It may not have been written yet.
            let _ = fs::remove_file(dir.join(path));
        }
    }
    git(dir).args(["checkout", "--quiet", came_from]).read()?;
    git(dir).args(["branch", "--quiet", "-D", BRANCH]).read()?;
    Ok(())
}

fn commit_each(
    dir: &Path,
    described: &[Patch],
    patches: &[Changes],
    options: ApplyOptions,
) -> Result<()> {
    for (patch, changes) in described.iter().zip(patches) {
        stage(dir, changes)?.put()?;
        // A tree may ignore what it has itself: some come with a .gitignore that names rust/.
        let mut add = git(dir).args(["add", "--force", "--"]);
        for path in changes.keys() {
            add = add.arg(path);
        }
        add.read()?;
        let message = format!("{}\n\n{}\n", patch.subject, patch.message.trim());
        let mut commit = git(dir).args(["commit", "--quiet", "--message", &message]);
        if options.signoff {
            commit = commit.arg("--signoff");
        }
        commit.read().with_context(|| format!("cannot commit '{}'", patch.subject))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitCode;
    use util::failure::exit_code;

    fn git_tree() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a"), "a\n").unwrap();
        for args in [
            &["init", "-q", "-b", "work"][..],
            &["config", "user.name", "A User"],
            &["config", "user.email", "user@example.org"],
            &["add", "."],
            &["commit", "-q", "-m", "first"],
        ] {
            git(dir.path()).args(args).read().unwrap();
        }
        dir
    }

    fn patches() -> (Vec<Patch>, Vec<Changes>) {
        let described = ["one", "two"].map(|subject| {
            toml::from_str::<Patch>(&format!("subject = '{subject}'\nmessage = 'why'")).unwrap()
        });
        let change = |path: &str, text: &str| {
            Changes::from([(PathBuf::from(path), text.as_bytes().to_vec())])
        };
        (described.into(), vec![change("a", "b\n"), change("new/c", "c\n")])
    }

    #[test]
    fn each_patch_is_a_commit_by_the_user() {
        let dir = git_tree();
        let (described, changes) = patches();
        let options = ApplyOptions { signoff: true };
        commit(dir.path(), &described, &changes, options).unwrap();
        let log = git(dir.path()).args(["log", "--format=%s|%an|%b", BRANCH]).read().unwrap();
        let signed = "why\n\nSigned-off-by: A User <user@example.org>";
        assert!(log.starts_with(&format!("two|A User|{signed}\n")), "{log}");
        assert!(log.contains("one|A User|"), "{log}");
        assert!(git(dir.path()).args(["status", "--porcelain"]).read().unwrap().is_empty());
    }

    #[test]
    fn what_the_tree_ignores_is_committed_all_the_same() {
        let dir = git_tree();
        fs::write(dir.path().join(".gitignore"), "new\n").unwrap();
        let (described, changes) = patches();
        commit(dir.path(), &described, &changes, ApplyOptions::default()).unwrap();
        let files = git(dir.path()).args(["ls-tree", "-r", "--name-only", BRANCH]).read().unwrap();
        assert_eq!(files, "a\nnew/c\n");
    }

    #[test]
    fn nobody_signs_unasked() {
        let dir = git_tree();
        let (described, changes) = patches();
        commit(dir.path(), &described, &changes, ApplyOptions::default()).unwrap();
        let log = git(dir.path()).args(["log", BRANCH]).read().unwrap();
        assert!(!log.contains("Signed-off-by"), "{log}");
    }

    #[test]
    fn a_failed_commit_leaves_the_tree_as_it_was() {
        let dir = git_tree();
        let hook = dir.path().join(".git/hooks/commit-msg");
        fs::create_dir_all(hook.parent().unwrap()).unwrap();
        fs::write(&hook, "#!/bin/sh\nif grep -q two \"$1\"; then exit 1; fi\n").unwrap();
        fs::set_permissions(&hook, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        let (described, changes) = patches();
        let error = commit(dir.path(), &described, &changes, ApplyOptions::default()).unwrap_err();
        assert!(format!("{error:#}").contains("cannot commit 'two'"), "{error:#}");
        let head = git(dir.path()).args(["rev-parse", "--abbrev-ref", "HEAD"]).read().unwrap();
        assert_eq!(head.trim(), "work");
        assert!(git(dir.path()).args(["status", "--porcelain"]).read().unwrap().is_empty());
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "a\n");
        assert!(!dir.path().join("new").exists(), "a directory that was made is gone");
        refuse_branch(dir.path()).expect("the branch is gone");
    }

    #[test]
    fn local_changes_and_an_old_branch_are_refused() {
        let dir = git_tree();
        let (_, changes) = patches();
        refuse_local_changes(dir.path(), &changes).expect("a clean tree is fine");
        fs::write(dir.path().join("a"), "mine\n").unwrap();
        let error = refuse_local_changes(dir.path(), &changes).unwrap_err();
        assert!(error.to_string().contains("M a"), "{error}");
        git(dir.path()).args(["branch", BRANCH]).read().unwrap();
        assert!(refuse_branch(dir.path()).unwrap_err().to_string().contains("already"));
    }

    #[test]
    fn git_says_who_commits() {
        let dir = git_tree();
        assert_eq!(identity(dir.path()).unwrap(), "A User <user@example.org>");
        // Empty here hides what the machine's own configuration may have.
        git(dir.path()).args(["config", "user.name", ""]).read().unwrap();
        let error = identity(dir.path()).unwrap_err();
        assert!(error.to_string().contains("git config --global user.name"), "{error}");
        assert_eq!(exit_code(&error), ExitCode::from(2));
    }

    #[test]
    fn a_tree_that_git_cannot_write_is_refused_untouched() {
        let dir = git_tree();
        let (_, changes) = patches();
        refuse_read_only(dir.path(), &changes).expect("it can be written");
        assert!(!dir.path().join("new").exists(), "looking leaves nothing");

        fs::write(dir.path().join("new"), "in the way of a directory").unwrap();
        let error = refuse_read_only(dir.path(), &changes).unwrap_err();
        assert!(error.to_string().contains("nothing was changed"), "{error}");
        fs::remove_file(dir.path().join("new")).unwrap();

        // Root writes where modes forbid it; nobody writes in a directory that is not there.
        fs::rename(dir.path().join(".git/refs/heads"), dir.path().join(".git/refs/away")).unwrap();
        let error = refuse_read_only(dir.path(), &changes).unwrap_err();
        assert!(error.to_string().contains("refs/heads cannot be written"), "{error}");
        assert_eq!(exit_code(&error), ExitCode::from(2));
        assert_eq!(fs::read_to_string(dir.path().join("a")).unwrap(), "a\n");
    }
}
