// SPDX-License-Identifier: GPL-2.0

//! The kexec-tools that load a crash kernel.

use crate::program::Program;
use anyhow::Result;
use build::unpacked;

/// Which kexec-tools load the crash kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum KexecTools {
    /// Those of the distribution's stable release.
    #[default]
    Stable,
    /// The newest that the distribution has.
    Newest,
}

impl KexecTools {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Stable, Self::Newest];

    /// The name, for a case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stable => "stable",
            Self::Newest => "newest",
        }
    }

    /// The version of their package.
    pub fn version(self) -> Result<String> {
        unpacked::version(&unpacked::root(self.packages())?, "kexec-tools")
    }

    /// kexec(8), fetched when it is not there.
    pub fn kexec(self) -> Result<Program> {
        Program::find(&unpacked::root(self.packages())?, &["sbin/kexec", "usr/sbin/kexec"])
    }

    /// What is unpacked for them.
    fn packages(self) -> &'static str {
        match self {
            Self::Stable => "guest",
            Self::Newest => "newest-kexec-tools",
        }
    }
}
