// SPDX-License-Identifier: GPL-2.0

//! The table of what the harness needs from the machine: `packages.toml` of the checkout.

use crate::version::Version;
use anyhow::{Context, Result};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt, path::PathBuf};
use util::{place, table};

/// The whole table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What has to be there, in the order in which it is looked for.
    #[serde(rename = "need")]
    pub needs: Vec<Need>,
    /// What is unpacked and not installed, by its name.
    pub unpacked: BTreeMap<String, Unpacked>,
}

/// One thing that has to be there.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    /// What it is called in messages.
    pub name: String,
    /// What it is for.
    pub purpose: String,
    /// Programs that have to be there together; the first one tells the version.
    #[serde(default)]
    pub programs: Vec<String>,
    /// What may follow the names of the programs, best first.
    #[serde(default = "no_suffix")]
    pub suffixes: Vec<String>,
    /// The oldest version that will do.
    pub version: Option<Version>,
    /// At least one file of every list has to exist.
    #[serde(default)]
    pub files: Vec<Vec<PathBuf>>,
    /// Something more than a version.
    pub check: Option<Check>,
    /// Alternative sets of packages, best first.
    #[serde(default)]
    pub packages: Vec<Vec<String>>,
    /// Whether the backports of the release may be asked.
    #[serde(default)]
    pub backports: bool,
    /// The verbs that need it; none means all of them.
    #[serde(default)]
    pub verbs: Vec<String>,
    /// The crate that it can be built from.
    #[serde(rename = "crate")]
    pub from_crate: Option<Crate>,
}

/// What else has to be true of a program.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// The source of the Rust library is in the compiler's sysroot.
    RustSource,
    /// libclang of the same version is beside the compiler's own files.
    Libclang,
    /// It belongs to the very compiler that the kernel is built with.
    OfRustc,
}

/// A program that a crate makes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Crate {
    /// Name of the crate.
    pub name: String,
    /// The version that is built.
    pub version: String,
}

/// Packages that are unpacked below one directory.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Unpacked {
    /// The suite of the Debian archive that they are taken from.
    pub suite: String,
    /// Names of the packages.
    pub packages: Vec<String>,
    /// The files that are kept; none means all.
    #[serde(default)]
    pub files: Vec<PathBuf>,
}

fn no_suffix() -> Vec<String> {
    vec![String::new()]
}

impl fmt::Display for Need {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name)?;
        if let Some(version) = self.version {
            write!(f, " {version} or later")?;
        }
        match self.check {
            Some(Check::RustSource) => write!(f, " with rust-src")?,
            Some(Check::Libclang) => write!(f, " with lld and libclang")?,
            Some(Check::OfRustc) => write!(f, " of the same version as rustc")?,
            None => {}
        }
        write!(f, ": {}", self.purpose)
    }
}

impl Table {
    /// Reads the table of the checkout.
    pub fn load() -> Result<Self> {
        let path = place::checkout()?.join("packages.toml");
        table::load(&path, |text| toml::from_str(text))
    }

    /// The needs of the verb called `verb`; without one, those that all verbs share.
    pub fn needs_of(&self, verb: Option<&str>) -> impl Iterator<Item = &Need> {
        let own = move |need: &&Need| {
            need.verbs.is_empty() || need.verbs.iter().any(|one| Some(one.as_str()) == verb)
        };
        self.needs.iter().filter(own)
    }

    /// The need called `name`.
    pub fn need(&self, name: &str) -> Result<&Need> {
        self.needs
            .iter()
            .find(|need| need.name == name)
            .with_context(|| format!("packages.toml has no need called '{name}'"))
    }

    /// The packages that are unpacked under `name`.
    pub fn unpacked(&self, name: &str) -> Result<&Unpacked> {
        self.unpacked
            .get(name)
            .with_context(|| format!("packages.toml has nothing to unpack called '{name}'"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_checkout_is_well_formed() {
        let table: Table =
            toml::from_str(include_str!("../../../packages.toml")).expect("packages.toml parses");
        for need in &table.needs {
            assert!(need.programs.is_empty() != need.files.is_empty(), "{}", need.name);
            let installable = !need.packages.is_empty() || need.from_crate.is_some();
            assert!(installable, "{} can be installed", need.name);
        }
        assert!(table.need("qemu-system-aarch64").unwrap().version >= Some(Version(9, 0, 0)));
    }

    #[test]
    fn what_one_verb_needs_is_not_installed_for_others() {
        let table: Table = toml::from_str(include_str!("../../../packages.toml")).unwrap();
        let has = |verb, name| table.needs_of(verb).any(|need| need.name == name);
        assert!(has(Some("check"), "sparse") && has(Some("check"), "rustc"));
        assert!(has(None, "rustc") && !has(None, "sparse") && !has(Some("patches"), "sparse"));
    }

    #[test]
    fn a_misspelt_field_is_an_error() {
        let text = "name = 'x'\npurpose = 'y'\nprogrammes = ['z']";
        assert!(toml::from_str::<Need>(text).unwrap_err().to_string().contains("programmes"));
    }
}
