// SPDX-License-Identifier: GPL-2.0

//! The kernel's own selftests of kexec, taken from its tree and run in the first kernel.

use crate::{archive::Archive, facts::Facts, program::Program, properties::Answer};
use anyhow::{Context, Result};
use build::{kernel::Source, pristine::Pristine, unpacked};
use std::path::Path;

/// Where a tree has them.
const DIR: &str = "tools/testing/selftests/kexec";

/// What they have in common.
const LIBRARY: &str = "kexec_common_lib.sh";

/// Those that are for arm64, too, one for each system call, and what each says when a kernel was loaded.
/// They pass as well when it was not and that could have a reason.
const TESTS: [(&str, &str); 2] = [
    ("test_kexec_file_load.sh", "status 0: kexec_file_load succeeded [PASS]"),
    ("test_kexec_load.sh", "status 0: kexec_load succeeded [PASS]"),
];

/// What they ask about the image that they load. The last one knows an option that busybox's does not.
const PROGRAMS: [&str; 3] = ["pesign", "getfattr", "tail"];

/// What pesign loads without naming it: the cryptography of NSS.
const PLUGINS: [&str; 3] = ["libsoftokn3.so", "libfreebl3.so", "libfreeblpriv3.so"];

/// The selftests of a tree.
pub struct Selftests {
    scripts: Vec<(&'static str, Vec<u8>)>,
}

impl Selftests {
    /// Those of the tree that kernels are built from.
    pub fn of(source: &Source) -> Result<Self> {
        let tree = Pristine::obtain(source)?;
        let script = |name: &'static str| {
            let text = tree.read(&Path::new(DIR).join(name))?;
            Ok((name, text.with_context(|| format!("{} has no {DIR}/{name}", tree.described))?))
        };
        let scripts = [LIBRARY]
            .into_iter()
            .chain(TESTS.map(|(name, _)| name))
            .map(script)
            .collect::<Result<_>>()?;
        Ok(Self { scripts })
    }

    /// `archive` with them, with the programs that they start, and with `config`, the .config of the
    /// kernel that they test.
    pub fn put(&self, archive: Archive, config: &Path) -> Result<Archive> {
        let mut archive = archive.file("boot/config", config)?;
        for (name, text) in &self.scripts {
            archive = archive.bytes(&format!("guest/selftests/{name}"), text.clone());
        }
        let root = unpacked::root("selftests")?;
        for name in PROGRAMS {
            let program = Program::find(&root, &[&format!("usr/bin/{name}")])?;
            archive = program.put(archive, &format!("bin/{name}"))?;
        }
        for name in PLUGINS {
            let path = format!("usr/lib/aarch64-linux-gnu/{name}");
            archive = Program::find(&root, &[&path])?.put(archive, &path)?;
        }
        Ok(archive)
    }
}

/// Whether all of them passed, and loaded a kernel.
pub fn passed(facts: &Facts) -> Option<Answer> {
    if facts.selftests.is_empty() {
        return None;
    }
    let not_passed = TESTS.iter().find_map(|(name, passed)| match facts.selftests.get(*name) {
        Some(said) if said == passed => None,
        Some(said) => Some(format!("{name}: {said}")),
        None => Some(format!("{name} was not run")),
    });
    Some(match not_passed {
        None => Answer::new(true, format!("{} of {}", TESTS.len(), TESTS.len())),
        Some(why) => Answer::new(false, why),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_to_pass() {
        let mut facts = Facts::made_up();
        assert!(passed(&facts).is_none());
        let [(first, said_first), (second, said_second)] = TESTS;
        facts.selftests.insert(first.into(), said_first.into());
        assert_eq!(passed(&facts).unwrap().says, format!("{second} was not run"));
        facts.selftests.insert(second.into(), said_second.into());
        assert!(passed(&facts).unwrap().holds);
        for other in ["status 0: kexec_file_load failed [PASS]", "status 4: pesign not found"] {
            facts.selftests.insert(first.into(), other.into());
            assert_eq!(passed(&facts).unwrap(), Answer::new(false, format!("{first}: {other}")));
        }
    }
}
