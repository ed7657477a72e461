// SPDX-License-Identifier: GPL-2.0

//! The kernels that the series is for: `bases.toml` of the checkout.

use crate::version::Version;
use anyhow::Result;
use serde::Deserialize;
use util::{place, setup, table};

/// All supported bases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bases {
    /// Used when nothing is asked for.
    pub default: String,
    /// The bases.
    #[serde(rename = "base")]
    pub bases: Vec<Base>,
}

/// One supported base.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Major and minor version, as in `7.3`.
    pub version: String,
    /// Suites of the Debian archive, in the order in which they are asked.
    pub suites: Vec<String>,
}

impl Base {
    /// Whether `version` is one of this base's releases.
    pub fn covers(&self, version: Version) -> bool {
        Version::parse(&self.version).is_some_and(|own| (own.0, own.1) == (version.0, version.1))
    }
}

impl Bases {
    /// Reads the table of the checkout.
    pub fn load() -> Result<Self> {
        let path = place::checkout()?.join("bases.toml");
        table::load(&path, |text| toml::from_str(text))
    }

    /// The base that is called `version`.
    pub fn get(&self, version: &str) -> Result<&Base> {
        self.bases
            .iter()
            .find(|base| base.version == version)
            .ok_or_else(|| setup!("'{version}' is no supported base; these are: {}", self.names()))
    }

    /// Whether a release belongs to a supported base.
    pub fn covers(&self, version: Version) -> bool {
        self.bases.iter().any(|base| base.covers(version))
    }

    /// The versions, as a list to read.
    pub fn names(&self) -> String {
        let names: Vec<_> = self.bases.iter().map(|base| base.version.as_str()).collect();
        names.join(", ")
    }

    /// `first`, and after it the other bases from the newest to the oldest.
    pub fn from_newest(&self, first: &Base) -> Vec<Base> {
        let mut rest: Vec<_> =
            self.bases.iter().filter(|base| base.version != first.version).cloned().collect();
        rest.sort_by_key(|base| std::cmp::Reverse(Version::parse(&base.version)));
        let mut all = vec![first.clone()];
        all.append(&mut rest);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::ExitCode;

    fn bases() -> Bases {
        let base = |version| format!("[[base]]\nversion = \"{version}\"\nsuites = []\n");
        let text = ["7.3", "6.9", "6.10"].map(base).concat();
        toml::from_str(&format!("default = \"7.3\"\n{text}")).unwrap()
    }

    #[test]
    fn the_default_of_the_checkout_is_a_base() {
        let text = include_str!("../../../bases.toml");
        let bases: Bases = toml::from_str(text).expect("bases.toml parses");
        assert!(bases.get(&bases.default).is_ok());
    }

    #[test]
    fn an_unknown_base_is_a_bad_argument_and_names_the_known() {
        let error = bases().get("5.4").unwrap_err();
        assert_eq!(util::failure::exit_code(&error), ExitCode::from(2));
        assert!(error.to_string().contains("7.3, 6.9, 6.10"), "{error}");
    }

    #[test]
    fn what_stands_in_is_the_newest_of_the_others() {
        let bases = bases();
        let order = bases.from_newest(bases.get("7.3").unwrap());
        let order: Vec<_> = order.iter().map(|base| base.version.as_str()).collect();
        assert_eq!(order, ["7.3", "6.10", "6.9"]);
    }

    #[test]
    fn a_release_belongs_to_its_own_base_only() {
        assert!(bases().covers(Version(7, 3, 4)));
        assert!(!bases().covers(Version(7, 1, 4)));
        assert!(!bases().covers(Version(6, 1, 2)));
    }
}
