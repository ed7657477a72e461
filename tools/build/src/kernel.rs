// SPDX-License-Identifier: GPL-2.0

//! Built kernels, each built once.

use crate::{
    bridge::Bridges,
    build_tree::{BuildTree, Role},
    cocci::Coccinelle,
    compile::compile,
    config::{self, Options},
    pristine::Pristine,
    series::{Changes, Series},
    toolchain::Toolchain,
};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};
use util::{hash::Key, place};

/// Which kernel.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The tree that it is built from.
    pub source: Source,
    /// What is changed in the tree.
    pub variant: Variant,
    /// Name of the configuration: a file below `configs/`.
    pub flavour: String,
}

/// Where a kernel tree comes from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The default base; another one stands in for it where it cannot be had any more.
    Default,
    /// This supported base, as in `7.3`, and no other.
    Base(String),
    /// The user's own tree.
    Dir(PathBuf),
}

/// What is changed in a kernel tree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Variant {
    /// Whether the series is applied. Without it, and without the other one, the tree is the
    /// pristine base, byte for byte, but for what has to be mended to build it.
    pub series: bool,
    /// Whether ACPI memory is mapped as in 2017; only for reproducing the fault.
    pub mapping_2017: bool,
}

impl Variant {
    /// The pristine tree.
    pub const STOCK: Self = Self { series: false, mapping_2017: false };

    /// A name for directories.
    pub fn name(self) -> &'static str {
        match (self.series, self.mapping_2017) {
            (false, false) => "stock",
            (true, false) => "series",
            (false, true) => "stock-2017",
            (true, true) => "series-2017",
        }
    }
}

/// Where the steps of the series are in plain C, in the checkout: to be measured, and compared.
pub const PLAIN_C: &str = "tools/bench/plain_c";

/// The flavour of which the first kernel of a tree is built.
const FIRST_FLAVOUR: &str = "minimal";
/// How many built kernels are kept, of 10 to 40 MB each. A base has some 23: each configuration with the
/// series and without it, and a few that are only measured. This is all of the four bases, twice: as
/// many again are of the user's own trees, and of the series before it was changed. With fewer, a run
/// of all would remove what it has yet to boot.
const KEPT: usize = 200;

/// A built kernel.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Kernel {
    /// What boots.
    pub image: PathBuf,
    /// The same as ELF, with symbols.
    pub vmlinux: PathBuf,
    /// Its .config.
    pub config: PathBuf,
    /// What `uname -r` says.
    pub release: String,
    /// For people: version, origin, variant, flavour.
    pub described: String,
}

/// The kernel that `spec` asks for; built when it is not there.
pub fn obtain(spec: &Spec) -> Result<Kernel> {
    let pristine = Pristine::obtain(&spec.source)?;
    obtain_from(&pristine, spec.variant, &spec.flavour)
}

/// A kernel that differs from the one that `spec` asks for by what `change` makes of its changes: to
/// be measured, and never part of what users get. `name` names it, as a variant's does.
pub fn obtain_changed(
    spec: &Spec,
    name: &str,
    change: impl FnOnce(&mut Changes) -> Result<()>,
) -> Result<Kernel> {
    let pristine = Pristine::obtain(&spec.source)?;
    let mut changes = changes(&pristine, spec.variant, &place::checkout()?)?;
    change(&mut changes)?;
    build(&pristine, spec.variant, name, &spec.flavour, &changes)
}

fn obtain_from(pristine: &Pristine, variant: Variant, flavour: &str) -> Result<Kernel> {
    let changes = changes(pristine, variant, &place::checkout()?)?;
    build(pristine, variant, variant.name(), flavour, &changes)
}

/// The kernel with `changes` and the options of `variant`; built when it is not there.
fn build(
    pristine: &Pristine,
    variant: Variant,
    name: &str,
    flavour: &str,
    changes: &Changes,
) -> Result<Kernel> {
    let checkout = place::checkout()?;
    let toolchain = Toolchain::find()?;
    let wanted = config::wanted(&checkout, flavour, &variant)?;
    let dir = place::cache("images")?.join(key(pristine, changes, &wanted, &toolchain));
    if let Some(kernel) = stored(&dir)? {
        return Ok(kernel);
    }
    let role =
        Role { pristine: pristine.name.clone(), flavour: flavour.into(), variant: name.into() };
    // Every other kernel of this tree starts from a copy of the stock one, which whoever compares
    // needs anyway.
    let is_first = variant == Variant::STOCK && flavour == FIRST_FLAVOUR;
    if !is_first && !BuildTree::has_relative(&role, pristine)? {
        obtain_from(pristine, Variant::STOCK, FIRST_FLAVOUR)?;
    }
    let mut tree = BuildTree::open(&role, pristine)?;
    // Another run may have built it while this one waited for the tree.
    if let Some(kernel) = stored(&dir)? {
        return Ok(kernel);
    }
    tree.sync(pristine, changes)?;
    config::configure(&tree.tree(), &toolchain, &wanted)
        .with_context(|| format!("cannot configure {}", pristine.described))?;
    let mut described = format!("{}, {name}, {flavour}", pristine.described);
    let what = format!("Linux {} ({name}, {flavour})", pristine.version);
    let bridges = Bridges::load(&checkout)?.for_tree(pristine)?;
    for (index, why) in bridges.mends().enumerate() {
        described += if index == 0 { ", mended" } else { "" };
        eprintln!("{what}: mended, for {why}");
    }
    let kind = format!("{}+{flavour}", pristine.name);
    pristine.unwritten(|| compile(&mut tree, &toolchain, &what, &kind))?;
    store(&tree.tree(), &dir, described)
}

fn key(pristine: &Pristine, changes: &Changes, wanted: &Options, toolchain: &Toolchain) -> String {
    let mut key = Key::new()
        .part("pristine", &pristine.identity)
        .part("config", config::text(wanted))
        .part("tools", &toolchain.described);
    for (path, bytes) in changes {
        key = key.part(&path.to_string_lossy(), bytes);
    }
    key.short()
}

/// What `variant` changes; kept, so that Coccinelle runs once for the same input.
pub fn changes(pristine: &Pristine, variant: Variant, checkout: &Path) -> Result<Changes> {
    let series = Series::load(checkout)?;
    if variant == Variant::STOCK {
        return series.changes(&variant, pristine, checkout);
    }
    let mut key = Key::new()
        .part("pristine", &pristine.identity)
        .part("variant", variant.name())
        .part("coccinelle", Coccinelle::find()?.described);
    for (path, bytes) in series.ingredients(checkout)? {
        key = key.part(&path.to_string_lossy(), bytes);
    }
    let kept = place::cache("changes")?.join(format!("{}.json", key.short()));
    if let Ok(text) = fs::read_to_string(&kept)
        && let Ok(files) = serde_json::from_str::<BTreeMap<PathBuf, String>>(&text)
    {
        return Ok(files.into_iter().map(|(path, text)| (path, text.into_bytes())).collect());
    }
    let changes = series.changes(&variant, pristine, checkout)?;
    let text = |bytes: &Vec<u8>| String::from_utf8(bytes.clone()).ok();
    let files: Option<BTreeMap<_, _>> =
        changes.iter().map(|(path, bytes)| Some((path, text(bytes)?))).collect();
    // What is no UTF-8 is made anew each time.
    if let Some(files) = files {
        replace(&kept, &serde_json::to_vec(&files)?)?;
    }
    Ok(changes)
}

/// Writes a file of the cache: all of it or nothing.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let context = || format!("cannot write {}", path.display());
    let dir = path.parent().with_context(context)?;
    let temporary = tempfile::NamedTempFile::new_in(dir).with_context(context)?;
    fs::write(temporary.path(), bytes).with_context(context)?;
    temporary.persist(path).with_context(context)?;
    Ok(())
}

fn stored(dir: &Path) -> Result<Option<Kernel>> {
    let path = dir.join("kernel.json");
    let Ok(text) = fs::read_to_string(&path) else { return Ok(None) };
    let kernel: Kernel = serde_json::from_str(&text)
        .with_context(|| format!("{} is damaged; remove it and try again", dir.display()))?;
    // The time of the last use decides what is kept; a cache that is read-only works as well.
    let _ = fs::File::options()
        .append(true)
        .open(&path)
        .and_then(|file| file.set_modified(SystemTime::now()));
    Ok(Some(Kernel {
        image: dir.join(kernel.image),
        vmlinux: dir.join(kernel.vmlinux),
        config: dir.join(kernel.config),
        ..kernel
    }))
}

/// Keeps what a build made in `tree`, all of it or nothing.
fn store(tree: &Path, dir: &Path, described: String) -> Result<Kernel> {
    let images = dir.parent().context("images are kept in a directory")?;
    let temporary = tempfile::Builder::new().prefix("storing-").tempdir_in(images)?;
    let products = [
        ("arch/arm64/boot/Image", "Image"),
        ("vmlinux", "vmlinux"),
        (".config", "config"),
        ("System.map", "System.map"),
    ];
    for (from, to) in products {
        fs::copy(tree.join(from), temporary.path().join(to))
            .with_context(|| format!("the build has made no {from}"))?;
    }
    let release = fs::read_to_string(tree.join("include/config/kernel.release"))?;
    let kernel = Kernel {
        image: "Image".into(),
        vmlinux: "vmlinux".into(),
        config: "config".into(),
        release: release.trim().into(),
        described,
    };
    fs::write(temporary.path().join("kernel.json"), serde_json::to_vec_pretty(&kernel)?)?;
    // Another run may have kept the same one meanwhile.
    if let Err(error) = fs::rename(temporary.path(), dir)
        && stored(dir)?.is_none()
    {
        return Err(error).with_context(|| format!("cannot keep the kernel in {}", dir.display()));
    }
    prune(images)?;
    stored(dir)?.context("the kernel is gone as soon as it was kept")
}

/// Removes the kernels that were not used for the longest time.
fn prune(images: &Path) -> Result<()> {
    let mut used: Vec<(SystemTime, PathBuf)> = fs::read_dir(images)?
        .flatten()
        .filter_map(|entry| {
            let known = entry.path().join("kernel.json").metadata().ok()?;
            Some((known.modified().ok()?, entry.path()))
        })
        .collect();
    used.sort();
    used.reverse();
    for (_, dir) in used.into_iter().skip(KEPT) {
        remove(&dir)?;
    }
    Ok(())
}

/// Removes a kernel; another run may have done it meanwhile.
fn remove(dir: &Path) -> Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", dir.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Bases;

    fn built_tree() -> tempfile::TempDir {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir_all(tree.path().join("arch/arm64/boot")).unwrap();
        fs::create_dir_all(tree.path().join("include/config")).unwrap();
        for product in ["arch/arm64/boot/Image", "vmlinux", ".config", "System.map"] {
            fs::write(tree.path().join(product), product).unwrap();
        }
        fs::write(tree.path().join("include/config/kernel.release"), "7.3.4\n").unwrap();
        tree
    }

    #[test]
    fn a_stored_kernel_is_found_again() {
        let (tree, images) = (built_tree(), tempfile::tempdir().unwrap());
        let dir = images.path().join("key");
        assert!(stored(&dir).unwrap().is_none());
        let kernel = store(tree.path(), &dir, "it".into()).unwrap();
        assert_eq!(kernel.release, "7.3.4");
        assert_eq!(fs::read_to_string(kernel.image).unwrap(), "arch/arm64/boot/Image");
        assert!(stored(&dir).unwrap().is_some());
    }

    #[test]
    fn a_kernel_that_another_run_has_kept_meanwhile_is_taken() {
        let (tree, images) = (built_tree(), tempfile::tempdir().unwrap());
        let dir = images.path().join("key");
        store(tree.path(), &dir, "the first".into()).unwrap();
        assert_eq!(store(tree.path(), &dir, "the second".into()).unwrap().described, "the first");
        assert_eq!(fs::read_dir(images.path()).unwrap().count(), 1, "nothing else is left");
        remove(&dir).unwrap();
        remove(&dir).expect("it is gone, as it should be");
    }

    #[test]
    fn all_kernels_of_all_bases_are_kept_and_as_many_again() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let bases: Bases = toml::from_str(include_str!("../../../bases.toml")).unwrap();
        // Besides: two with the mapping of 2017, and the series in plain C.
        let of_each = 2 * config::flavours(&checkout.join("configs")).len() + 3;
        assert!(KEPT >= 2 * of_each * bases.bases.len(), "{of_each} of each base");
    }

    #[test]
    fn a_build_without_an_image_is_not_stored() {
        let (tree, images) = (built_tree(), tempfile::tempdir().unwrap());
        fs::remove_file(tree.path().join("arch/arm64/boot/Image")).unwrap();
        let dir = images.path().join("key");
        let error = store(tree.path(), &dir, "it".into()).unwrap_err();
        assert!(error.to_string().contains("no arch/arm64/boot/Image"), "{error}");
        assert!(!dir.exists());
    }

    #[test]
    fn variants_have_different_names() {
        let mut names = Vec::new();
        for series in [false, true] {
            for mapping_2017 in [false, true] {
                names.push(Variant { series, mapping_2017 }.name());
            }
        }
        names.sort();
        names.dedup();
        assert_eq!(names.len(), 4);
    }
}
