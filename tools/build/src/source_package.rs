// SPDX-License-Identifier: GPL-2.0

//! Gets a base from the Debian archive: the upstream tarball where it can be fetched, the package
//! with the (lightly patched) source otherwise. apt verifies both.

use crate::{
    apt::{Apt, Kind},
    base::{Base, Bases},
    lock::Lock,
    pristine::{Pristine, version_of},
    version::Version,
};
use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use std::{
    fs,
    path::{Path, PathBuf},
    slice,
};
use util::{command::Cmd, place, setup};

/// How many releases of a base are tried: an old one may have left the archive, but not its index.
const TRIED: usize = 3;

/// What is kept beside an unpacked tree.
#[derive(Serialize, Deserialize)]
struct Origin {
    /// Version of the package.
    package: String,
    /// Whether the tree is upstream's, or has the distribution's patches.
    upstream: bool,
}

/// The tree of `base`, and of no other.
pub fn obtain(base: &Base) -> Result<Pristine> {
    first_of(slice::from_ref(base), get)
}

/// The tree of the default base, or of the newest base there is when no suite has that one any more.
pub fn obtain_default(bases: &Bases) -> Result<Pristine> {
    first_of(&bases.from_newest(bases.get(&bases.default)?), get)
}

/// The tree of `base`; one that is there already is better than a download.
fn get(base: &Base) -> Result<Pristine> {
    match kept(base)? {
        Some(kept) => Ok(kept),
        None => fetch(base),
    }
}

/// What `get` has of the first of `candidates`; the others stand in for it.
fn first_of(candidates: &[Base], get: impl Fn(&Base) -> Result<Pristine>) -> Result<Pristine> {
    let mut failures: Vec<(&str, String)> = Vec::new();
    for candidate in candidates {
        match get(candidate) {
            Ok(pristine) => {
                // What was asked for is asked for first.
                if let Some((version, why)) = failures.first() {
                    eprintln!(
                        "warning: no Linux {version} ({why}); using {} in its place",
                        pristine.described
                    );
                }
                return Ok(pristine);
            }
            // Without a mirror no base can be had: the first answer says what to do.
            Err(error) if error.downcast_ref::<util::failure::Setup>().is_some() => {
                return Err(error);
            }
            Err(error) => failures.push((&candidate.version, format!("{error:#}"))),
        }
    }
    let lines: Vec<_> =
        failures.iter().map(|(version, why)| format!("  {version}: {why}")).collect();
    let (what, other) = match failures.len() {
        1 => ("this base could not be fetched", ", choose another base of bases.toml"),
        _ => ("no supported base could be fetched", ""),
    };
    Err(setup!(
        "{what}:\n{}\nCheck the network{other}, or use your own kernel tree with LINUX=DIR.",
        lines.join("\n")
    ))
}

/// The tree of the release `version`, if it is kept.
pub fn kept_release(version: Version) -> Result<Option<Pristine>> {
    for base in Bases::load()?.bases.iter().filter(|base| base.covers(version)) {
        if let Some(kept) = kept(base)?.filter(|kept| kept.version == version) {
            return Ok(Some(kept));
        }
    }
    Ok(None)
}

/// The trees of all bases that were fetched so far.
pub fn all_kept() -> Result<Vec<Pristine>> {
    let bases = Bases::load()?.bases;
    bases.iter().filter_map(|base| kept(base).transpose()).collect()
}

/// Where the tree of `base` is kept.
fn place_of(base: &Base) -> Result<PathBuf> {
    Ok(place::cache("base")?.join(&base.version))
}

/// The tree of `base`, if it is kept.
pub(crate) fn kept(base: &Base) -> Result<Option<Pristine>> {
    let dir = place_of(base)?;
    let Ok(text) = fs::read_to_string(dir.join("origin.toml")) else { return Ok(None) };
    let origin: Origin = toml::from_str(&text).map_err(|error| {
        setup!("{} is damaged; remove it and try again: {error}", dir.display())
    })?;
    let tree = dir.join("tree");
    let version = version_of(&tree)?;
    let patched = if origin.upstream { "upstream tarball" } else { "with Debian's patches" };
    Ok(Some(Pristine {
        dir: tree,
        version,
        identity: format!("linux {} upstream={}", origin.package, origin.upstream),
        name: version.to_string(),
        described: format!("Linux {version} ({patched}, package version {})", origin.package),
        files: None,
    }))
}

fn fetch(base: &Base) -> Result<Pristine> {
    let _lock = Lock::take(&place::cache("base")?.join("lock"), "another run fetches a base")?;
    if let Some(kept) = kept(base)? {
        return Ok(kept);
    }
    let mut failures = Vec::new();
    for suite in &base.suites {
        let apt = Apt::suite(suite, None)?;
        eprintln!("Linux {}: looking it up in {suite}", base.version);
        match apt.update().and_then(|()| fetch_from(&apt, suite, base)) {
            Ok(()) => {
                return kept(base)?.context("the base is gone as soon as it was unpacked");
            }
            Err(error) => failures.push(format!("{suite}: {}", first_complaint(&error))),
        }
    }
    bail!("{}", failures.join("; "))
}

fn fetch_from(apt: &Apt, suite: &str, base: &Base) -> Result<()> {
    let below = Path::new("apt").join(suite).join("download");
    // An earlier run may have left something there that it had no time to unpack.
    remove(&place::cache(&below)?)?;
    let dir = place::cache(below)?;
    let mut failures = Vec::new();
    for version in newest(apt.versions("linux", Kind::Source)?, base) {
        let source = format!("linux={version}");
        eprintln!("Linux {version}: fetching the upstream tarball");
        match fetch_tarball(apt, &source, &dir) {
            Ok(()) => {
                let tarball = dir.join(format!("linux_{}.orig.tar.xz", upstream_part(&version)));
                keep(base, &tarball, Origin { package: version, upstream: true })?;
                return remove(&dir);
            }
            Err(error) => failures.push(first_complaint(&error)),
        }
    }
    let package = format!("linux-source-{}", base.version);
    for version in newest(apt.versions(&package, Kind::Binary)?, base) {
        let why = failures.last().map(|why| format!(" (no tarball: {why})")).unwrap_or_default();
        eprintln!("Linux {version}: fetching the package {package}{why}");
        let fetched = apt
            .cmd("apt-get")
            .args(["download", "-q", &format!("{package}={version}")])
            .dir(&dir)
            .run_logged(&dir.join("fetch.log"));
        match fetched {
            Ok(()) => {
                let unpacked = dir.join("unpacked");
                let deb = only_file(&dir, &format!("{package}_"), ".deb")?;
                Cmd::new("dpkg-deb").arg("-x").arg(deb).arg(&unpacked).read()?;
                let tarball = only_file(&unpacked.join("usr/src"), &format!("{package}.tar"), "")?;
                keep(base, &tarball, Origin { package: version, upstream: false })?;
                return remove(&dir);
            }
            Err(error) => failures.push(first_complaint(&error)),
        }
    }
    if failures.is_empty() {
        bail!("it has no Linux {}", base.version);
    }
    bail!("{}", failures.join("; "))
}

/// Fetches the upstream tarball of the source package `source` into `dir`.
pub(crate) fn fetch_tarball(apt: &Apt, source: &str, dir: &Path) -> Result<()> {
    apt.cmd("apt-get")
        // The packaging that goes with the tarball leaves the archive sooner, and is not needed.
        .args(["source", "--download-only", "--tar-only", "-q", source])
        .dir(dir)
        .run_logged(&dir.join("fetch.log"))
}

/// Unpacks `tarball`, without the directory that all of it is in, into the directory `tree`.
pub(crate) fn unpack(tarball: &Path, tree: &Path) -> Result<()> {
    fs::create_dir(tree)?;
    Cmd::new("tar")
        .args(["--extract", "--no-same-owner", "--strip-components=1", "--file"])
        .arg(tarball)
        .arg("--directory")
        .arg(tree)
        .read()
        .map(drop)
        .with_context(|| format!("cannot unpack {}", tarball.display()))
}

/// The newest few of `versions` that belong to `base`.
fn newest(versions: Vec<String>, base: &Base) -> Vec<String> {
    let mut versions: Vec<_> = versions
        .into_iter()
        .filter(|version| !version.contains("~rc"))
        .filter(|version| Version::of_package(version).is_some_and(|own| base.covers(own)))
        .collect();
    versions
        .sort_by_key(|version| std::cmp::Reverse((Version::of_package(version), version.clone())));
    versions.dedup();
    versions.truncate(TRIED);
    versions
}

/// What the names of upstream files have of a package's version.
fn upstream_part(version: &str) -> &str {
    let version = version.split_once(':').map_or(version, |(_epoch, rest)| rest);
    version.rsplit_once('-').map_or(version, |(upstream, _revision)| upstream)
}

/// What apt complained about first; the rest of its log repeats it.
fn first_complaint(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    let complaint = |line: &&str| line.starts_with("Err:") || line.starts_with("E: ");
    let lines: Vec<_> = text.lines().collect();
    match lines.iter().position(complaint) {
        // The line after `Err:` has the reason.
        Some(at) if lines[at].starts_with("Err:") => {
            lines.get(at + 1).unwrap_or(&lines[at]).trim().into()
        }
        Some(at) => lines[at].trim_start_matches("E: ").into(),
        None => text,
    }
}

/// The one file in `dir` whose name begins with `start` and ends with `end`.
pub(crate) fn only_file(dir: &Path, start: &str, end: &str) -> Result<PathBuf> {
    let named = |path: &PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(start))
            && path.to_string_lossy().ends_with(end)
    };
    let paths = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .flatten()
        .map(|entry| entry.path());
    let mut paths = paths.filter(named);
    let path = paths.next().with_context(|| format!("no {start}*{end} in {}", dir.display()))?;
    match paths.next() {
        None => Ok(path),
        Some(other) => bail!("more than one: {} and {}", path.display(), other.display()),
    }
}

/// Unpacks `tarball` to where the tree of `base` is kept: all of it or nothing.
fn keep(base: &Base, tarball: &Path, origin: Origin) -> Result<()> {
    let place = place_of(base)?;
    eprintln!("Linux {}: unpacking", origin.package);
    let parent = place.parent().context("the cache has no parent")?;
    let temporary = tempfile::Builder::new().prefix("unpacking-").tempdir_in(parent)?;
    unpack(tarball, &temporary.path().join("tree"))?;
    fs::write(temporary.path().join("origin.toml"), toml::to_string(&origin)?)?;
    fs::rename(temporary.keep(), &place)
        .with_context(|| format!("cannot move the tree to {}", place.display()))
}

fn remove(dir: &Path) -> Result<()> {
    fs::remove_dir_all(dir).with_context(|| format!("cannot remove {}", dir.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::ensure;
    use std::process::ExitCode;
    use util::failure::exit_code;

    fn base(version: &str) -> Base {
        Base { version: version.into(), suites: Vec::new() }
    }

    /// What has all bases but `missing`.
    fn all_but(missing: &str) -> impl Fn(&Base) -> Result<Pristine> {
        move |base| {
            ensure!(base.version != missing, "404  Not Found");
            Ok(Pristine {
                dir: "tree".into(),
                version: Version::parse(&base.version).unwrap(),
                identity: base.version.clone(),
                name: base.version.clone(),
                described: base.version.clone(),
                files: None,
            })
        }
    }

    #[test]
    fn nothing_stands_in_for_a_base_that_was_asked_for() {
        let error = first_of(&[base("6.12")], all_but("6.12")).unwrap_err();
        assert_eq!(exit_code(&error), ExitCode::from(2));
        let text = error.to_string();
        assert!(text.starts_with("this base could not be fetched:\n  6.12: 404"), "{text}");
        assert!(text.contains("choose another base") && text.contains("LINUX=DIR"), "{text}");
    }

    #[test]
    fn another_base_stands_in_for_the_default_one() {
        let candidates = ["7.3", "7.2", "6.18"].map(base);
        let name = |missing| first_of(&candidates, all_but(missing)).unwrap().name;
        assert_eq!((name("7.3").as_str(), name("7.2").as_str()), ("7.2", "7.3"));
    }

    #[test]
    fn one_file_is_not_taken_for_another() {
        let dir = tempfile::tempdir().unwrap();
        let find = || only_file(dir.path(), "linux_", ".xz").map_err(|error| error.to_string());
        assert!(find().unwrap_err().starts_with("no linux_*.xz in "));
        for other in ["linux_7.3.asc", "linux-source_7.3.xz", "linux_7.3.xz"] {
            fs::write(dir.path().join(other), "").unwrap();
        }
        assert_eq!(find().unwrap(), dir.path().join("linux_7.3.xz"));
        fs::write(dir.path().join("linux_7.2.xz"), "").unwrap();
        assert!(find().unwrap_err().starts_with("more than one: "));
    }

    #[test]
    fn the_newest_release_of_the_base_comes_first() {
        let index = ["7.2.9-1", "7.2.13-1", "7.3.4-1~bpo13+1", "7.2.9-1", "7.2~rc7-1~exp1"];
        let index: Vec<_> = index.map(String::from).to_vec();
        assert_eq!(newest(index.clone(), &base("7.2")), ["7.2.13-1", "7.2.9-1"]);
        assert!(newest(index, &base("6.12")).is_empty());
    }

    #[test]
    fn upstream_files_lack_epoch_and_revision() {
        assert_eq!(upstream_part("7.3.4-1~bpo13+1"), "7.3.4");
        assert_eq!(upstream_part("1:6.12-2-3"), "6.12-2");
    }

    #[test]
    fn the_reason_is_picked_out_of_the_log() {
        let log = "`apt-get` failed\nGet:1 x\nErr:2 http://m.example trixie/main linux (dsc)\n  404  Not Found\nE: Failed";
        assert_eq!(first_complaint(&anyhow::anyhow!("{log}")), "404  Not Found");
    }
}
