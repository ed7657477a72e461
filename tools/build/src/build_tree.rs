// SPDX-License-Identifier: GPL-2.0

//! The trees that kernels are built in. Only what differs is ever written to one, so that make
//! builds only that; and what does not differ is shared with the pristine tree.

use crate::{lock::Lock, pristine::Pristine, room, series::Changes, shared, source_package};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use util::{disk::MIB, place};

/// What a tree is for; its directory is named after it.
#[derive(Clone, Debug, PartialEq)]
pub struct Role {
    /// Name of the pristine tree.
    pub pristine: String,
    /// Name of the configuration.
    pub flavour: String,
    /// Name of the variant.
    pub variant: String,
}

impl Role {
    fn dir_name(&self) -> String {
        format!("{}+{}+{}", self.pristine, self.flavour, self.variant)
    }

    pub(crate) fn from_dir_name(name: &str) -> Option<Self> {
        let mut parts = name.split('+').map(String::from);
        let role = Self { pristine: parts.next()?, flavour: parts.next()?, variant: parts.next()? };
        parts.next().is_none().then_some(role)
    }

    /// How little has to be built again in a copy of the tree of `other`; higher is less.
    fn kinship(&self, other: &Self) -> u32 {
        2 * u32::from(self.flavour == other.flavour) + u32::from(self.variant == other.variant)
    }
}

/// What is known about a tree.
#[derive(Default, Serialize, Deserialize)]
struct Manifest {
    /// Identity of the pristine tree that it was last made equal to.
    identity: String,
    /// Files that may differ from the pristine tree.
    changed: BTreeSet<PathBuf>,
    /// Files of a pristine tree that may change: size, seconds and nanoseconds of the last change.
    copied: BTreeMap<PathBuf, (u64, i64, i64)>,
    /// Whether a kernel was ever built in it.
    built: bool,
    /// Whether it shares what it can with its pristine tree. One that an older harness made is a copy of
    /// all of it.
    #[serde(default)]
    shares: bool,
}

impl Manifest {
    /// Writes it into `dir`, that of its tree.
    fn save(&self, dir: &Path) -> Result<()> {
        shared::replace(&dir.join(MANIFEST), &serde_json::to_vec(self)?, None)
    }
}

/// Its name, in the directory of the tree.
pub(crate) const MANIFEST: &str = "manifest.json";

/// Facts that no file has: it is compared by its bytes.
const UNKNOWN: (u64, i64, i64) = (0, 0, 0);

/// A tree to build in; nobody else uses it as long as this exists.
pub struct BuildTree {
    dir: PathBuf,
    manifest: Manifest,
    _lock: Lock,
}

impl BuildTree {
    /// The tree for `role`: the one that is there, a copy of its next relative, or a new one.
    pub fn open(role: &Role, pristine: &Pristine) -> Result<Self> {
        let trees = place::cache("trees")?;
        let lock = lock(&trees, role)?;
        let dir = trees.join(role.dir_name());
        let base = base_of(pristine)?;
        if !dir.exists() {
            make(&trees, role, pristine, base.as_deref())?;
        }
        let mut tree = Self::locked(dir, lock)?;
        tree.share(base.as_deref())?;
        // The time of the last use decides which tree stays.
        room::use_now(&tree.dir)?;
        Ok(tree)
    }

    /// The tree in `dir`, if it is there; `lock` is its own.
    fn locked(dir: PathBuf, lock: Lock) -> Result<Self> {
        let manifest = read_manifest(&dir)?;
        Ok(Self { dir, manifest, _lock: lock })
    }

    /// Shares with `base` what is the same in it, once.
    fn share(&mut self, base: Option<&Path>) -> Result<()> {
        let Some(base) = base.filter(|_| !self.manifest.shares) else { return Ok(()) };
        let saved = shared::share(&self.tree(), base)? >> 20;
        if saved > 0 {
            eprintln!(
                "{}: shares its files with {} now, and takes {saved} MiB less",
                self.dir.display(),
                base.display()
            );
        }
        self.manifest.shares = true;
        self.save()
    }

    /// Whether there is a built tree that this one is, or would be a copy of.
    pub fn has_relative(role: &Role, pristine: &Pristine) -> Result<bool> {
        let trees = place::cache("trees")?;
        Ok(trees.join(role.dir_name()).exists()
            || relative(&trees, &role.pristine, role)?.is_some()
            || twin(&trees, role, pristine)?.is_some())
    }

    /// The kernel tree itself.
    pub fn tree(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// Where the output of its build goes.
    pub fn log(&self) -> PathBuf {
        self.dir.join("build.log")
    }

    /// Whether a kernel was ever built in it, or in the tree that it is a copy of.
    pub fn is_built(&self) -> bool {
        self.manifest.built
    }

    /// Remembers that a kernel was built.
    pub fn set_built(&mut self) -> Result<()> {
        self.manifest.built = true;
        self.save()
    }

    /// Makes the tree equal to `pristine` with `changes`.
    pub fn sync(&mut self, pristine: &Pristine, changes: &Changes) -> Result<()> {
        // What may differ is written down before anything is touched: this may be interrupted.
        let before = self.manifest.changed.clone();
        self.manifest.changed.extend(changes.keys().cloned());
        self.save()?;
        let tree = self.tree();
        if let Some(files) = &pristine.files
            && self.manifest.identity != pristine.identity
        {
            self.copy_changed(pristine, files, changes)?;
        }
        for path in before.iter().filter(|path| !changes.contains_key(*path)) {
            match pristine.read(path)? {
                Some(bytes) => write_if_different(&tree.join(path), &bytes)?,
                None => remove_if_there(&tree.join(path))?,
            }
        }
        for (path, bytes) in changes {
            write_if_different(&tree.join(path), bytes)?;
        }
        self.manifest.identity = pristine.identity.clone();
        self.manifest.changed = changes.keys().cloned().collect();
        self.save()
    }

    /// Copies what changed in a tree that may change.
    fn copy_changed(
        &mut self,
        pristine: &Pristine,
        files: &[PathBuf],
        changes: &Changes,
    ) -> Result<()> {
        let tree = self.tree();
        let mut copied = BTreeMap::new();
        for path in files {
            let from = pristine.dir.join(path);
            let Ok(metadata) = from.symlink_metadata() else { continue };
            if metadata.is_dir() {
                continue;
            }
            let facts = shared::facts(&metadata);
            let known = self.manifest.copied.get(path) == Some(&facts);
            if !known && !changes.contains_key(path) {
                copy_file(&from, &tree.join(path), &metadata)?;
            }
            copied.insert(path.clone(), facts);
        }
        for gone in self.manifest.copied.keys().filter(|path| !copied.contains_key(*path)) {
            remove_if_there(&tree.join(gone))?;
        }
        self.manifest.copied = copied;
        Ok(())
    }

    fn save(&self) -> Result<()> {
        self.manifest.save(&self.dir)
    }
}

/// What is known about the tree in `dir`; nothing about a new one.
fn read_manifest(dir: &Path) -> Result<Manifest> {
    match fs::read_to_string(dir.join(MANIFEST)) {
        Ok(text) => serde_json::from_str(&text)
            .with_context(|| format!("{} is damaged; remove it and try again", dir.display())),
        Err(_) => Ok(Manifest::default()),
    }
}

fn lock(trees: &Path, role: &Role) -> Result<Lock> {
    let name = role.dir_name();
    Lock::take(&lock_of(trees, &name), &format!("another run builds in {name}"))
}

/// Where the lock is of the tree in the directory `name`.
pub(crate) fn lock_of(trees: &Path, name: &str) -> PathBuf {
    trees.join(format!("{name}.lock"))
}

/// The pristine tree of the cache whose files a tree made from `pristine` shares. The user's own tree is
/// never shared: it may change at any time.
fn base_of(pristine: &Pristine) -> Result<Option<PathBuf>> {
    if pristine.files.is_none() {
        return Ok(Some(pristine.dir.clone()));
    }
    Ok(source_package::kept_release(pristine.version)?.map(|base| base.dir))
}

/// Makes the tree for `role`.
fn make(trees: &Path, role: &Role, pristine: &Pristine, base: Option<&Path>) -> Result<()> {
    // As long as it is locked, nobody removes it.
    let origin = origin(trees, role, pristine)?;
    room::make(trees, room::TREE * MIB)?;
    let temporary = tempfile::Builder::new().prefix("copying-").tempdir_in(trees)?;
    let tree = temporary.path().join("tree");
    match origin {
        Some((mut other, twin_of)) => {
            other.share(base)?;
            shared::copy(&other.tree(), &tree, base)?;
            if let Some(twin_of) = twin_of {
                let files = twin_of.all_files()?;
                other.manifest.identity = String::new();
                other.manifest.copied = files.into_iter().map(|file| (file, UNKNOWN)).collect();
            }
            other.manifest.save(temporary.path())?;
        }
        None if pristine.files.is_none() => shared::copy(&pristine.dir, &tree, base)?,
        None => fs::create_dir(tree)?,
    }
    let dir = trees.join(role.dir_name());
    fs::rename(temporary.keep(), &dir).with_context(|| format!("cannot make {}", dir.display()))
}

/// The tree that the one for `role` is made from, which is nobody else's as long as this exists; and the
/// base that it belongs to, where that is not the pristine tree itself but has its version.
fn origin(
    trees: &Path,
    role: &Role,
    pristine: &Pristine,
) -> Result<Option<(BuildTree, Option<Pristine>)>> {
    loop {
        let (other, base) = match relative(trees, &role.pristine, role)? {
            Some(other) => (other, None),
            None => match twin(trees, role, pristine)? {
                Some((other, base)) => (other, Some(base)),
                None => return Ok(None),
            },
        };
        let dir = trees.join(other.dir_name());
        let lock = lock(trees, &other)?;
        // Another run may have removed it meanwhile, to make room.
        if dir.exists() {
            return Ok(Some((BuildTree::locked(dir, lock)?, base)));
        }
    }
}

/// The built tree of the base with the version of the user's own tree, and that base.
///
/// Most of their files are the same, so most of what was built from them need not be built again.
fn twin(trees: &Path, role: &Role, pristine: &Pristine) -> Result<Option<(Role, Pristine)>> {
    if pristine.files.is_none() {
        return Ok(None);
    }
    let Some(base) = source_package::kept_release(pristine.version)? else { return Ok(None) };
    Ok(relative(trees, &base.name, role)?.map(|other| (other, base)))
}

/// The built tree of `pristine` whose copy needs the least building for `role`.
fn relative(trees: &Path, pristine: &str, role: &Role) -> Result<Option<Role>> {
    let mut roles = Vec::new();
    for entry in fs::read_dir(trees)?.flatten() {
        let name = entry.file_name();
        let Some(other) = Role::from_dir_name(&name.to_string_lossy()) else { continue };
        let manifest = fs::read_to_string(entry.path().join(MANIFEST)).unwrap_or_default();
        let built = serde_json::from_str::<Manifest>(&manifest).is_ok_and(|known| known.built);
        if built && other.pristine == pristine && other != *role {
            roles.push(other);
        }
    }
    roles.sort_by_key(Role::dir_name);
    Ok(roles.into_iter().max_by_key(|other| role.kinship(other)))
}

fn copy_file(from: &Path, to: &Path, metadata: &fs::Metadata) -> Result<()> {
    let context = || format!("cannot copy {} to {}", from.display(), to.display());
    let parent = to.parent().with_context(context)?;
    fs::create_dir_all(parent).with_context(context)?;
    if metadata.is_symlink() {
        let target = fs::read_link(from).with_context(context)?;
        if fs::read_link(to).is_ok_and(|there| there == target) {
            return Ok(());
        }
        remove_if_there(to)?;
        return symlink(target, to).with_context(context);
    }
    // A file with the same bytes keeps its time, and what was built from it stays.
    let bytes = fs::read(from).with_context(context)?;
    if fs::read(to).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    shared::replace(to, &bytes, Some(metadata.permissions())).with_context(context)
}

fn write_if_different(path: &Path, bytes: &[u8]) -> Result<()> {
    if fs::read(path).is_ok_and(|there| there == bytes) {
        return Ok(());
    }
    shared::replace(path, bytes, None)
}

fn remove_if_there(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;
    use std::{os::unix::fs::MetadataExt, process::Command};

    fn role(flavour: &str, variant: &str) -> Role {
        Role { pristine: "7.3.4".into(), flavour: flavour.into(), variant: variant.into() }
    }

    struct Setting {
        pristine: Pristine,
        tree: BuildTree,
        _dirs: [tempfile::TempDir; 2],
    }

    /// A pristine tree with the files `a` and `b`, and a build tree.
    fn setting(files: Option<&[&str]>) -> Setting {
        let (origin, dir) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for name in ["a", "b"] {
            fs::write(origin.path().join(name), name).unwrap();
        }
        let pristine = Pristine {
            dir: origin.path().into(),
            version: Version(7, 3, 4),
            identity: "first".into(),
            name: "7.3.4".into(),
            described: "the test's tree".into(),
            files: files.map(|names| names.iter().map(PathBuf::from).collect()),
        };
        if files.is_none() {
            let base = base_of(&pristine).unwrap();
            shared::copy(&pristine.dir, &dir.path().join("tree"), base.as_deref()).unwrap();
        }
        let lock = Lock::take(&dir.path().join("lock"), "the test").unwrap();
        let tree = BuildTree { dir: dir.path().into(), manifest: Manifest::default(), _lock: lock };
        Setting { pristine, tree, _dirs: [origin, dir] }
    }

    fn changes(files: &[(&str, &str)]) -> Changes {
        files.iter().map(|(path, text)| (path.into(), text.as_bytes().to_vec())).collect()
    }

    fn contents(tree: &BuildTree, name: &str) -> Option<String> {
        fs::read_to_string(tree.tree().join(name)).ok()
    }

    #[test]
    fn changes_come_and_go() {
        let mut it = setting(None);
        it.tree.sync(&it.pristine, &changes(&[("a", "changed"), ("new/c", "c")])).unwrap();
        assert_eq!(contents(&it.tree, "a").as_deref(), Some("changed"));
        assert_eq!(contents(&it.tree, "new/c").as_deref(), Some("c"));

        it.tree.sync(&it.pristine, &Changes::new()).unwrap();
        assert_eq!(contents(&it.tree, "a").as_deref(), Some("a"));
        assert_eq!(contents(&it.tree, "new/c"), None);
    }

    #[test]
    fn what_stays_the_same_keeps_its_time() {
        let mut it = setting(None);
        let some = changes(&[("a", "changed")]);
        it.tree.sync(&it.pristine, &some).unwrap();
        let time = || fs::metadata(it.tree.dir.join("tree/a")).unwrap().modified().unwrap();
        let first = time();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let mut again = BuildTree {
            dir: it.tree.dir.clone(),
            manifest: Manifest::default(),
            _lock: Lock::take(&it.tree.dir.join("lock2"), "the test").unwrap(),
        };
        again.sync(&it.pristine, &some).unwrap();
        assert_eq!(time(), first);
    }

    #[test]
    fn a_tree_that_changes_is_followed() {
        let mut it = setting(Some(&["a", "b"]));
        fs::create_dir(it.tree.tree()).unwrap();
        it.tree.sync(&it.pristine, &Changes::new()).unwrap();
        assert_eq!(contents(&it.tree, "b").as_deref(), Some("b"));

        fs::write(it.pristine.dir.join("a"), "edited").unwrap();
        fs::remove_file(it.pristine.dir.join("b")).unwrap();
        it.pristine.identity = "second".into();
        it.pristine.files = Some(vec!["a".into()]);
        it.tree.sync(&it.pristine, &Changes::new()).unwrap();
        assert_eq!(contents(&it.tree, "a").as_deref(), Some("edited"));
        assert_eq!(contents(&it.tree, "b"), None);
    }

    #[test]
    fn the_pristine_tree_stays_as_it_is_and_so_does_a_copy() {
        let mut it = setting(None);
        let copy = it.tree.dir.join("copy");
        shared::copy(&it.tree.tree(), &copy, Some(&it.pristine.dir)).unwrap();
        let all = || {
            [&it.pristine.dir, &copy].map(|dir| {
                ["a", "b"].map(|name| {
                    let file = dir.join(name);
                    let metadata = file.metadata().unwrap();
                    (fs::read(&file).unwrap(), shared::facts(&metadata), metadata.ino())
                })
            })
        };
        let before = all();
        assert_eq!(before[0], before[1], "they are not shared");
        it.tree.sync(&it.pristine, &changes(&[("a", "A"), ("b", "longer")])).unwrap();
        assert_eq!(all(), before);
        it.tree.sync(&it.pristine, &changes(&[("b", "changed")])).unwrap();
        assert_eq!(all(), before);
        assert_eq!(contents(&it.tree, "a").as_deref(), Some("a"));
    }

    #[test]
    fn a_tree_of_the_users_own_is_followed_without_a_write_to_what_is_shared() {
        let mut it = setting(Some(&["a", "b"]));
        let base = it.tree.dir.join("base");
        fs::create_dir(&base).unwrap();
        for name in ["a", "b"] {
            fs::write(base.join(name), format!("{name} of the base")).unwrap();
        }
        shared::copy(&base, &it.tree.tree(), Some(&base)).unwrap();
        it.tree.sync(&it.pristine, &Changes::new()).unwrap();
        assert_eq!(contents(&it.tree, "a").as_deref(), Some("a"));
        assert_eq!(fs::read(base.join("a")).unwrap(), b"a of the base");
        let links = |dir: &Path| dir.join("a").metadata().unwrap().nlink();
        assert_eq!((links(&it.pristine.dir), links(&it.tree.tree())), (1, 1));
    }

    #[test]
    fn an_older_tree_is_shared_once() {
        let mut it = setting(None);
        fs::remove_file(it.tree.tree().join("a")).unwrap();
        let from = it.pristine.dir.join("a");
        let as_before = Command::new("cp").arg("-a").arg(&from).arg(it.tree.tree()).status();
        assert!(as_before.unwrap().success());
        let is_shared = |it: &Setting| {
            let inode = |dir: &Path| dir.join("a").metadata().unwrap().ino();
            inode(&it.tree.tree()) == inode(&it.pristine.dir)
        };
        assert!(!is_shared(&it));
        let base = base_of(&it.pristine).unwrap();
        it.tree.share(base.as_deref()).unwrap();
        assert!(is_shared(&it));
        assert!(read_manifest(&it.tree.dir).unwrap().shares, "it would be done each time");
    }

    #[test]
    fn the_nearest_relative_has_the_same_flavour() {
        let kunit = role("kunit", "series");
        assert!(kunit.kinship(&role("kunit", "stock")) > kunit.kinship(&role("minimal", "series")));
        assert!(
            kunit.kinship(&role("minimal", "series")) > kunit.kinship(&role("minimal", "stock"))
        );
        assert_eq!(Role::from_dir_name(&kunit.dir_name()), Some(kunit));
        assert_eq!(Role::from_dir_name("copying-x"), None);
    }
}
