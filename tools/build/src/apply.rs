// SPDX-License-Identifier: GPL-2.0

//! `make apply`: the series in the user's own tree.
//!
//! Everything is computed before the tree is touched, so that an error leaves it as it was.

use crate::{
    base::Bases,
    pristine::Pristine,
    series::{Changes, Patch, Series},
    user_tree::{git, is_git, open},
};
use anyhow::{Context, Result};
use std::{
    env, fs,
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
    let pristine = open(dir)?;
    let bases = Bases::load()?;
    if !bases.covers(pristine.version) {
        return Err(setup!(
            "{} is not supported; the series is for {}",
            pristine.described,
            bases.names()
        ));
    }
    refuse_applied(&series, &pristine)?;
    if is_git(&pristine.dir) {
        refuse_branch(&pristine.dir)?;
        let patches = series.per_patch(&pristine, &checkout)?;
        refuse_local_changes(&pristine.dir, &patches)?;
        commit(&pristine.dir, &series.patches, &patches, options)
    } else {
        if options.signoff {
            return Err(setup!(
                "SIGNOFF signs commits, and {} is no git tree",
                pristine.dir.display()
            ));
        }
        let patches = series.per_patch(&pristine, &checkout)?;
        let mut changes = Changes::new();
        patches.into_iter().for_each(|patch| changes.extend(patch));
        let mut said = vec![format!("{}: changed in place", pristine.described)];
        said.extend(write(&pristine.dir, &changes)?);
        Ok(said)
    }
}

fn refuse_applied(series: &Series, pristine: &Pristine) -> Result<()> {
    for file in series.patches.iter().flat_map(|patch| &patch.files) {
        if pristine.read(file)?.is_some() {
            return Err(setup!(
                "{} has {} already: the series is applied, or another version of it",
                pristine.dir.display(),
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

fn refuse_local_changes(dir: &Path, patches: &[Changes]) -> Result<()> {
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

/// One commit per patch on a new branch.
fn commit(
    dir: &Path,
    described: &[Patch],
    patches: &[Changes],
    options: ApplyOptions,
) -> Result<Vec<String>> {
    for name in ["user.name", "user.email"] {
        if git(dir).args(["config", name]).read().is_err()
            && env::var_os("GIT_AUTHOR_NAME").is_none()
        {
            return Err(setup!(
                "git does not know who you are; tell it with: git config --global {name} ..."
            ));
        }
    }
    let before = git(dir).args(["rev-parse", "HEAD"]).read()?.trim().to_string();
    let came_from = git(dir).args(["rev-parse", "--abbrev-ref", "HEAD"]).read()?;
    git(dir).args(["checkout", "--quiet", "-b", BRANCH]).read()?;
    let done = commit_each(dir, described, patches, options);
    if done.is_err() {
        // Back to where the user was: the branch has nothing that is not in this checkout.
        let back = match came_from.trim() {
            "HEAD" => before.as_str(),
            branch => branch,
        };
        git(dir).args(["reset", "--quiet", "--"]).read()?;
        let new = touched(patches);
        for path in &new {
            let known = git(dir).args(["cat-file", "-e", &format!("{before}:{}", path.display())]);
            match known.read() {
                Ok(_) => git(dir).args(["checkout", "--quiet", &before, "--"]).arg(path).read()?,
                Err(_) => {
                    let _ = fs::remove_file(dir.join(path));
                    String::new()
                }
            };
        }
        git(dir).args(["checkout", "--quiet", back]).read()?;
        git(dir).args(["branch", "--quiet", "-D", BRANCH]).read()?;
    }
    done?;
    let log =
        git(dir).args(["log", "--oneline", "--stat", &format!("{before}..{BRANCH}")]).read()?;
    let mut said = vec![format!("{}: {} commits on branch {BRANCH}", dir.display(), patches.len())];
    said.extend(log.lines().map(String::from));
    Ok(said)
}

fn commit_each(
    dir: &Path,
    described: &[Patch],
    patches: &[Changes],
    options: ApplyOptions,
) -> Result<()> {
    for (patch, changes) in described.iter().zip(patches) {
        write(dir, changes)?;
        let mut add = git(dir).args(["add", "--"]);
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

fn write(dir: &Path, changes: &Changes) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for (path, bytes) in changes {
        let to = dir.join(path);
        let context = || format!("cannot write {}", to.display());
        let verb = if to.exists() { "changed" } else { "new" };
        fs::create_dir_all(to.parent().with_context(context)?).with_context(context)?;
        fs::write(&to, bytes).with_context(context)?;
        said.push(format!("  {verb:8} {}", path.display()));
    }
    Ok(said)
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
