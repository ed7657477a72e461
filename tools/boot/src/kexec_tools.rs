// SPDX-License-Identifier: GPL-2.0

//! The kexec-tools that load a crash kernel.

use crate::program::Program;
use anyhow::Result;
use build::{loader, unpacked};
use std::path::PathBuf;

/// Which kexec-tools load the crash kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KexecTools {
    /// Those of the distribution's stable release.
    #[default]
    Stable,
    /// The newest that the distribution has.
    Newest,
    /// Those that list the ACPI tables in `linux,usable-memory-range`, which was proposed in 2017.
    ListsTables,
}

impl KexecTools {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Stable, Self::Newest, Self::ListsTables];

    /// The name, for a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Newest => "newest",
            Self::ListsTables => "lists-tables",
        }
    }

    /// The version.
    pub fn version(self) -> Result<String> {
        let beside = match self {
            Self::Stable | Self::Newest => self.root()?,
            Self::ListsTables => loader::lists_acpi_tables()?,
        };
        unpacked::version(&beside, "kexec-tools")
    }

    /// kexec(8), fetched or built when it is not there.
    pub fn kexec(self) -> Result<Program> {
        match self {
            Self::Stable | Self::Newest => {
                Program::find(&self.root()?, &["sbin/kexec", "usr/sbin/kexec"])
            }
            Self::ListsTables => Ok(Program::alone(loader::lists_acpi_tables()?)),
        }
    }

    /// Where a distribution's are unpacked.
    fn root(self) -> Result<PathBuf> {
        unpacked::root(if self == Self::Newest { "newest-kexec-tools" } else { "guest" })
    }
}
