// SPDX-License-Identifier: GPL-2.0

//! Room on disks: how much there is, and what to do when it is too little.

use crate::{place, setup};
use anyhow::{Error, Result, anyhow};
use rustix::fs::statvfs;
use std::{
    collections::BTreeMap,
    fs,
    io::{
        self,
        ErrorKind::{QuotaExceeded, StorageFull},
    },
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// A mebibyte, in bytes.
pub const MIB: u64 = 1 << 20;

/// A disk with less than this is full: what is written to it next is lost.
const FULL: u64 = 16 * MIB;

/// What the system says when it is.
const NO_SPACE: [&str; 2] = ["No space left on device", "Disk quota exceeded"];

/// What is going to be written.
#[derive(Clone, Debug)]
pub struct Need {
    /// What it is.
    pub what: String,
    /// The directory that it goes to, which is there.
    pub dir: PathBuf,
    /// How much it is, in MiB.
    pub mib: u64,
}

/// How many bytes can be written below `dir`.
pub fn free(dir: &Path) -> Result<u64> {
    let there = statvfs(dir).map_err(|error| cannot_look(dir, error.into()))?;
    Ok(there.f_bavail.saturating_mul(there.f_frsize))
}

/// How many bytes are missing for those of `needs` that are on the disk of `dir`.
pub fn missing(needs: &[Need], dir: &Path) -> Result<u64> {
    let disk = |dir: &Path| {
        let there = fs::metadata(dir);
        there.map(|there| there.dev()).map_err(|error| cannot_look(dir, error))
    };
    let mut needed = 0;
    for need in needs {
        if disk(&need.dir)? == disk(dir)? {
            needed += need.mib * MIB;
        }
    }
    Ok(needed.saturating_sub(free(dir)?))
}

fn cannot_look(dir: &Path, error: io::Error) -> Error {
    anyhow!("cannot look at {}: {error}", dir.display())
}

/// Sees to it that there is room for all of `needs`, which may be on one disk.
pub fn check(needs: &[Need]) -> Result<()> {
    let mut disks: BTreeMap<u64, Vec<&Need>> = BTreeMap::new();
    for need in needs.iter().filter(|need| need.mib > 0) {
        let disk = fs::metadata(&need.dir).map_err(|error| cannot_look(&need.dir, error))?;
        disks.entry(disk.dev()).or_default().push(need);
    }
    for needs in disks.into_values() {
        let Some(first) = needs.first() else { continue };
        let (free, needed) = (free(&first.dir)? / MIB, needs.iter().map(|need| need.mib).sum());
        if free < needed {
            let each = needs.iter().map(|need| {
                format!("{} for {} below {}", mib(need.mib), need.what, need.dir.display())
            });
            let each = each.collect::<Vec<_>>().join(", ");
            return Err(setup!(
                "the disk is too full: {} are free, and {} are needed: {each}; {}",
                mib(free),
                mib(needed),
                advice()
            ));
        }
    }
    Ok(())
}

/// Fails when the disk that `dir` is on is full.
pub fn check_not_full(dir: &Path) -> Result<()> {
    let left = free(dir)?;
    if left >= FULL {
        return Ok(());
    }
    Err(setup!("{} for {}: {} are free", NO_SPACE[0], dir.display(), mib(left / MIB)))
}

/// Whether `error` comes of a full disk: then whatever is done next fails, too.
pub fn is_full(error: &Error) -> bool {
    let kinds = error.chain().filter_map(|cause| Some(cause.downcast_ref::<io::Error>()?.kind()));
    if kinds.into_iter().any(|kind| matches!(kind, StorageFull | QuotaExceeded)) {
        return true;
    }
    // Of a program there is no more than what it said.
    let said = format!("{error:#}");
    NO_SPACE.iter().any(|words| said.contains(words))
}

/// What to do about a full disk.
pub fn advice() -> String {
    let shown = |dir: Result<PathBuf>| dir.map(|dir| dir.display().to_string()).ok();
    let trees = shown(place::cache("trees"));
    let out = shown(place::out("boots"));
    let target = shown(place::checkout().map(|top| top.join("target")));
    let all: Vec<_> = [out, target, trees].into_iter().flatten().collect();
    format!(
        "what is in {} can be removed and is made again, and {} moves what is kept between runs to another \
         disk",
        all.join(", "),
        place::CACHE_VARIABLE
    )
}

/// A number of MiB, for people.
fn mib(mib: u64) -> String {
    if mib < 1024 { format!("{mib} MiB") } else { format!("{:.1} GiB", mib as f64 / 1024.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::exit_code;
    use anyhow::Context;
    use std::process::ExitCode;

    fn need(what: &str, dir: &Path, mib: u64) -> Need {
        Need { what: what.into(), dir: dir.into(), mib }
    }

    #[test]
    fn what_is_on_one_disk_is_added_up() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path();
        let more_than_half = free(here).unwrap() / MIB * 2 / 3;
        check(&[need("machines", here, more_than_half)]).unwrap();
        let both = [need("machines", here, more_than_half), need("trees", here, more_than_half)];
        let error = check(&both).unwrap_err();
        assert_eq!(exit_code(&error), ExitCode::from(2));
        let said = error.to_string();
        let there = format!(" for trees below {}", here.display());
        assert!(said.contains(" for machines below ") && said.contains(&there), "{said}");
        assert!(said.contains(place::CACHE_VARIABLE), "{said}");
    }

    #[test]
    fn only_what_is_on_the_same_disk_is_missing_there() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path();
        let all = free(here).unwrap() / MIB;
        assert_eq!(missing(&[need("machines", here, all / 2)], here).unwrap(), 0);
        let elsewhere = need("machines", Path::new("/proc"), 2 * all);
        assert_eq!(missing(std::slice::from_ref(&elsewhere), here).unwrap(), 0);
        assert!(missing(&[elsewhere, need("trees", here, 2 * all)], here).unwrap() > 0);
    }

    #[test]
    fn a_full_disk_is_known_by_its_error_and_by_what_a_program_said() {
        let full = Error::new(io::Error::from_raw_os_error(28)).context("cannot write console.log");
        assert!(is_full(&full), "{full:#}");
        assert!(is_full(&anyhow!(
            "`cp a b` failed: exit status: 1\ncp: b: No space left on device"
        )));
        assert!(is_full(&anyhow!("cannot write: Disk quota exceeded (os error 122)")));
        assert!(!is_full(&anyhow!("`cp a b` failed: exit status: 1\ncp: b: Is a directory")));
    }

    #[test]
    fn a_disk_with_nothing_left_is_full() {
        check_not_full(&std::env::temp_dir()).unwrap();
        // Nothing can be written there at all.
        let error = check_not_full(Path::new("/proc")).context("a boot").unwrap_err();
        assert!(is_full(&error), "{error:#}");
        assert_eq!(exit_code(&error), ExitCode::from(2));
    }

    #[test]
    fn sizes_are_short() {
        assert_eq!([mib(300), mib(1536)], ["300 MiB", "1.5 GiB"]);
    }
}
