// SPDX-License-Identifier: GPL-2.0

//! apt with a state of its own: other suites, another architecture, and no trace in the system's
//! sources. apt verifies what it fetches.

use crate::apt_sources::{self, PackageSource};
use anyhow::{Context, Result};
use std::{
    env, fs,
    path::{Path, PathBuf},
};
use util::{command::Cmd, place, setup};

/// Where apt is configured.
const ETC: &str = "/etc/apt";
/// The keys of the Debian archive, for suites that the machine itself is not configured with.
const ARCHIVE_KEYS: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
/// Names a Debian mirror on machines whose own sources have none.
const MIRROR_VARIABLE: &str = "MIRROR";

/// What apt takes for installed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Installed {
    /// What the system has: for installing.
    AsTheSystem,
    /// Nothing: for looking and fetching.
    Nothing,
}

/// apt, as the system has it or with a private state.
#[derive(Clone, Debug)]
pub struct Apt {
    options: Vec<String>,
    lists: PathBuf,
}

/// Whether this machine has apt.
pub fn available() -> bool {
    Path::new("/usr/bin/apt-get").exists()
}

/// The value of `key` in os-release.
pub fn os_release(key: &str) -> Option<String> {
    let text = fs::read_to_string("/etc/os-release").ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='))?;
    Some(value.trim_matches('"').into())
}

/// The machine's Debian mirror, as a source without suites.
fn debian_mirror() -> Result<PackageSource> {
    let base = |uri: String, signed_by| PackageSource {
        types: vec!["deb".into(), "deb-src".into()],
        uris: vec![uri],
        components: vec!["main".into()],
        signed_by,
        ..PackageSource::default()
    };
    let keys = || Path::new(ARCHIVE_KEYS).exists().then(|| ARCHIVE_KEYS.to_string());
    if let Some(uri) = env::var(MIRROR_VARIABLE).ok().filter(|uri| !uri.is_empty()) {
        return Ok(base(uri, keys()));
    }
    apt_sources::configured(Path::new(ETC))
        .into_iter()
        .find(|source| {
            source.types.iter().any(|kind| kind == "deb")
                && source.uris.iter().any(|uri| uri.trim_end_matches('/').ends_with("/debian"))
                && source.components.iter().any(|component| component == "main")
        })
        .map(|source| base(source.uris[0].clone(), keys().or(source.signed_by)))
        .ok_or_else(|| {
            setup!(
                "no Debian mirror among this machine's package sources ({ETC}/sources.list and \
                 {ETC}/sources.list.d); name one: `{MIRROR_VARIABLE}=URI make ...` (the \
                 package debian-archive-keyring has its keys), or use your own kernel tree with LINUX=DIR"
            )
        })
}

impl Apt {
    /// apt with the system's own sources.
    pub fn system() -> Self {
        Self { options: Vec::new(), lists: "/var/lib/apt/lists".into() }
    }

    /// apt with the suite `suite` of the Debian archive and nothing else: the packages for
    /// `architecture`, or those for this machine and all sources.
    pub fn suite(suite: &str, architecture: Option<&str>) -> Result<Self> {
        if !available() {
            return Err(setup!(
                "this machine has no apt to fetch packages of {suite} with; a Debian machine, or a \
                 container of one, has"
            ));
        }
        let mirror = debian_mirror()?;
        let mut source = PackageSource { suites: vec![suite.into()], ..mirror };
        if architecture.is_some() {
            source.types = vec!["deb".into()];
        }
        let name = architecture.map_or(suite.into(), |other| format!("{suite}-{other}"));
        Self::private(&name, &[source], architecture, Installed::Nothing)
    }

    /// apt with the system's own sources and the backports of its release.
    pub fn with_backports() -> Result<(Self, String)> {
        let codename = os_release("VERSION_CODENAME")
            .ok_or_else(|| setup!("/etc/os-release has no VERSION_CODENAME"))?;
        let suite = format!("{codename}-backports");
        let mut sources = apt_sources::configured(Path::new(ETC));
        let types = vec!["deb".into()];
        sources.push(PackageSource { types, suites: vec![suite.clone()], ..debian_mirror()? });
        Ok((Self::private(&suite, &sources, None, Installed::AsTheSystem)?, suite))
    }

    fn private(
        name: &str,
        sources: &[PackageSource],
        architecture: Option<&str>,
        installed: Installed,
    ) -> Result<Self> {
        let dir = place::cache(Path::new("apt").join(name))?;
        for below in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(dir.join(below))
                .with_context(|| format!("cannot make {}", dir.join(below).display()))?;
        }
        let list = dir.join("private.sources");
        let text: Vec<_> = sources.iter().map(PackageSource::paragraph).collect();
        fs::write(&list, text.join("\n"))
            .with_context(|| format!("cannot write {}", list.display()))?;
        let at = |below: &str| dir.join(below).display().to_string();
        let mut options = vec![
            format!("Dir::State::lists={}", at("lists")),
            format!("Dir::Cache={}", at("cache")),
            format!("Dir::Etc::sourcelist={}", list.display()),
            "Dir::Etc::sourceparts=/dev/null".into(),
            // A container's apt parses the index each time that it is called.
            "Dir::Cache::pkgcache=pkgcache.bin".into(),
            // What only a desktop shows of packages is as large as the index.
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".into(),
            // apt's own user cannot read a cache in somebody's home.
            "APT::Sandbox::User=root".into(),
            "Acquire::Languages=none".into(),
        ];
        if installed == Installed::Nothing {
            options.push(format!("Dir::State={}", dir.display()));
            options.push("Dir::State::status=/dev/null".into());
        }
        if let Some(architecture) = architecture {
            options.push(format!("APT::Architecture={architecture}"));
            options.push(format!("APT::Architectures={architecture}"));
        }
        Ok(Self { options, lists: dir.join("lists") })
    }

    /// A command of the apt family (`apt-get`, `apt-cache`) with this state.
    pub fn cmd(&self, program: &str) -> Cmd {
        let options = self.options.iter().flat_map(|option| ["-o", option.as_str()]);
        Cmd::new(program).args(options).env("LC_ALL", "C")
    }

    /// The command that fetches the index.
    pub fn update_cmd(&self) -> Cmd {
        self.cmd("apt-get").args(["update", "-q"])
    }

    /// Fetches the index of a private state.
    pub fn update(&self) -> Result<()> {
        let log = self.lists.with_extension("log");
        // apt takes an index that it cannot fetch for one that has nothing new, and ends with success.
        let cmd = self.update_cmd().arg("--error-on=any");
        cmd.run_logged(&log).context("cannot fetch the package index")
    }

    /// The version of `package` that would be installed.
    pub fn candidate(&self, package: &str) -> Result<Option<String>> {
        Ok(candidate_in(&self.cmd("apt-cache").args(["policy", package]).read()?))
    }

    /// The versions of `package` that the index has, as `madison` of apt-cache lists them.
    pub fn versions(&self, package: &str, kind: Kind) -> Result<Vec<String>> {
        let output = self.cmd("apt-cache").args(["madison", package]).read()?;
        Ok(versions_in(&output, package, kind))
    }
}

/// Binary or source package.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A package to install.
    Binary,
    /// What packages are built from.
    Source,
}

fn candidate_in(policy: &str) -> Option<String> {
    policy
        .lines()
        .find_map(|line| line.trim().strip_prefix("Candidate:"))
        .map(|version| version.trim().to_string())
        .filter(|version| version != "(none)")
}

fn versions_in(madison: &str, package: &str, kind: Kind) -> Vec<String> {
    madison
        .lines()
        .filter_map(|line| {
            let mut columns = line.split('|').map(str::trim);
            let (name, version, place) = (columns.next()?, columns.next()?, columns.next()?);
            let of_kind = place.ends_with("Sources") == (kind == Kind::Source);
            (name == package && of_kind).then(|| version.to_string())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_candidate_may_be_none() {
        let policy = "flex:\n  Installed: (none)\n  Candidate: 2.6.4-8.2\n  Version table:\n";
        assert_eq!(candidate_in(policy).as_deref(), Some("2.6.4-8.2"));
        assert_eq!(candidate_in("x:\n  Installed: (none)\n  Candidate: (none)\n"), None);
        assert_eq!(candidate_in(""), None);
    }

    #[test]
    fn sources_and_packages_are_told_apart() {
        let madison = "linux-source-7.2 | 7.2.13-1 | http://m.example/debian sid/main amd64 Packages\n   \
                       linux | 7.2.13-1 | http://m.example/debian sid/main Sources\n   \
                       linux | 7.1.8-2 | http://m.example/debian sid/main Sources\n";
        assert_eq!(versions_in(madison, "linux", Kind::Source), ["7.2.13-1", "7.1.8-2"]);
        assert_eq!(versions_in(madison, "linux-source-7.2", Kind::Binary), ["7.2.13-1"]);
        assert!(versions_in(madison, "linux", Kind::Binary).is_empty());
    }
}
