// SPDX-License-Identifier: GPL-2.0

//! Versions of tools, packages and kernels.

use serde::{Deserialize, de};
use std::fmt;

/// A version of up to three numbers; what is not there counts as 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u32, pub u32, pub u32);

impl Version {
    /// The version at the start of `text`: digits and dots, up to anything else.
    pub fn parse(text: &str) -> Option<Self> {
        let end = text.find(|c: char| c != '.' && !c.is_ascii_digit()).unwrap_or(text.len());
        let mut numbers = text[..end].split('.').filter(|number| !number.is_empty());
        let first = numbers.next()?.parse().ok()?;
        let mut next = || numbers.next().map_or(Some(0), |number| number.parse().ok());
        Some(Self(first, next()?, next()?))
    }

    /// The version in what a tool prints about itself: the first word that is numbers and dots.
    pub fn in_output(text: &str) -> Option<Self> {
        text.split_whitespace()
            .map(|word| word.trim_start_matches(['(', 'v']))
            .filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'))
            .find_map(Self::parse)
    }

    /// The upstream version of a Debian package: what is between the epoch and the revision.
    pub fn of_package(text: &str) -> Option<Self> {
        Self::parse(text.split_once(':').map_or(text, |(_epoch, rest)| rest))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)?;
        if self.2 != 0 {
            write!(f, ".{}", self.2)?;
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: de::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| de::Error::custom(format!("'{text}' is no version")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_as_numbers() {
        assert!(Version::parse("1.100.0") > Version::parse("1.95.1"));
        assert!(Version::parse("9.0") < Version::parse("10"));
        assert_eq!(Version::parse("7.3"), Version::parse("7.3.0"));
    }

    #[test]
    fn a_version_ends_where_the_numbers_end() {
        assert_eq!(Version::parse("6.12.95-1~bpo12+1"), Some(Version(6, 12, 95)));
        assert_eq!(Version::parse("7.3~rc7"), Some(Version(7, 3, 0)));
        assert_eq!(Version::parse("1.1.1.deb"), Some(Version(1, 1, 1)));
        assert_eq!(Version::parse("none"), None);
        assert_eq!(Version::parse(""), None);
    }

    #[test]
    fn an_epoch_is_no_part_of_the_version() {
        assert_eq!(Version::of_package("1:19.1.7-3~deb12u1"), Some(Version(19, 1, 7)));
        assert_eq!(Version::of_package("2.6.4-8.2"), Some(Version(2, 6, 4)));
    }

    #[test]
    fn tools_say_their_version_in_many_ways() {
        for (output, version) in [
            ("rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)", (1, 96, 0)),
            ("Debian clang version 19.1.7 (3~deb12u1)\nTarget: x86_64", (19, 1, 7)),
            ("QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)", (10, 0, 2)),
            ("spatch version 1.1.1 compiled with OCaml version 4.13.1", (1, 1, 1)),
            ("bindgen 0.72.1", (0, 72, 1)),
            ("GNU Make 4.3\nBuilt for x86_64-pc-linux-gnu", (4, 3, 0)),
            ("\nThis is perl 5, version 36, subversion 0 (v5.36.0) built", (5, 36, 0)),
        ] {
            let (a, b, c) = version;
            assert_eq!(Version::in_output(output), Some(Version(a, b, c)), "{output}");
        }
    }
}
