// SPDX-License-Identifier: GPL-2.0

//! Whether the disk has room for what a verb is going to write: looked at before it begins, for in the middle
//! of it hours may be lost.

use crate::opt::{Flag, Verb};
use anyhow::Result;
use build::{room, source_package};
use std::{
    env,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};
use util::{
    disk::{self, MIB, Need},
    place,
};
use walkdir::WalkDir;

/// What a verb writes, as was measured: see "What they need" in README.md.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Writes {
    /// Kernels that it builds where they are not there yet, each in a tree of its own.
    kernels: u64,
    /// Below out/ at most, in MiB: machines that run, and dumps until they are judged.
    out: u64,
    /// Below target/ in all, in MiB: the harness, tests, fuzz targets.
    target: u64,
}

/// A base, packages and firmware, where the cache has none, in MiB.
const FIRST: u64 = 4000;

fn writes(verb: &Verb) -> Option<Writes> {
    let some = |kernels, out, target| Some(Writes { kernels, out, target });
    match verb {
        Verb::Help | Verb::Deps | Verb::Apply(_) => None,
        Verb::Image(_) => some(1, 0, 0),
        Verb::Crash(_) | Verb::Patches(_) => some(2, 1000, 0),
        Verb::Test(options) if options.group.is_some() => some(2, 1000, 0),
        Verb::Test(_) => some(7, 1500, 5500),
        Verb::Matrix(options) if options.list == Flag::Yes => None,
        Verb::Matrix(options) if options.case.is_some() => some(2, 1500, 0),
        Verb::Matrix(_) => some(20, 2000, 1500),
        Verb::Check(options) if options.gate.is_some() => some(1, 500, 0),
        Verb::Check(_) => some(8, 500, 0),
        Verb::Bench(_) => some(7, 1000, 0),
        Verb::Differential(_) => some(0, 300, 0),
        Verb::Fuzz(_) => some(0, 100, 2000),
    }
}

/// Fails where there is too little room for `verb`. Kernel trees that were not used for long make room.
pub fn check(verb: &Verb) -> Result<()> {
    let Some(writes) = writes(verb) else { return Ok(()) };
    let trees = place::cache("trees")?;
    let first =
        if writes.kernels > 0 && source_package::all_kept()?.is_empty() { FIRST } else { 0 };
    let (target, out, boots) = (target()?, place::out("")?, place::out("boots")?);
    let need = |what: &str, dir: &Path, mib| Need { what: what.into(), dir: dir.into(), mib };
    // What is there is written over.
    let left = |mib: u64, dir: &Path| mib.saturating_sub(taken_by(dir) / MIB);
    let (out, target_left) = (left(writes.out, &out), left(writes.target, &target));
    let needs = [
        need("kernel trees", &trees, first + trees_to_make(writes.kernels, room::count(&trees)?)),
        need("machines", &boots, out),
        need("tests", &target, target_left),
    ];
    // What is made again takes more than what is got back.
    let kept = usize::try_from(writes.kernels)?;
    room::make_for(&trees, kept, &|| disk::missing(&needs, &trees))?;
    disk::check(&needs)
}

/// What the trees take that are not there yet, in MiB.
fn trees_to_make(kernels: u64, there: usize) -> u64 {
    kernels.saturating_sub(there as u64) * room::TREE
}

/// Where cargo builds; this program was built there.
fn target() -> Result<PathBuf> {
    let set = env::var_os("CARGO_TARGET_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    Ok(set.unwrap_or(place::checkout()?.join("target")))
}

/// How many bytes on the disk are below `dir`: a dump has holes.
fn taken_by(dir: &Path) -> u64 {
    let entries = WalkDir::new(dir).into_iter().flatten().filter_map(|entry| entry.metadata().ok());
    entries.filter(|metadata| metadata.is_file()).map(|metadata| metadata.blocks() * 512).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{opt::Options, variables};
    use clap::{CommandFactory, Parser};
    use std::fs;

    fn of(line: &str) -> Option<Writes> {
        let words = variables::words(line.split(' ').map(Into::into)).unwrap();
        let arguments = variables::arguments(&Options::command(), &words).unwrap();
        let command = std::iter::once("make".to_string()).chain(arguments);
        writes(&Options::try_parse_from(command).unwrap().verb)
    }

    #[test]
    fn what_boots_or_builds_asks_for_room_and_nothing_else_does() {
        for verb in ["crash", "test", "matrix", "check", "bench", "patches", "image", "fuzz"] {
            assert!(of(verb).is_some_and(|writes| writes != Writes::default()), "{verb}");
        }
        assert!(of("differential").is_some());
        for verb in ["help", "deps", "apply LINUX=a", "matrix LIST=1"] {
            assert_eq!(of(verb), None, "{verb}");
        }
    }

    #[test]
    fn a_part_asks_for_less() {
        let less = |whole, part| {
            let (whole, part) = (of(whole).unwrap(), of(part).unwrap());
            part.kernels < whole.kernels && part.out <= whole.out && part.target <= whole.target
        };
        assert!(less("test", "test GROUP=crash"));
        assert!(less("matrix", "matrix CASE=crash"));
        assert!(less("check", "check GATE=w1"));
    }

    #[test]
    fn what_is_there_is_not_asked_for_again() {
        assert_eq!(trees_to_make(3, 1), 2 * room::TREE);
        assert_eq!(trees_to_make(3, 7), 0);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("d")).unwrap();
        for name in ["a", "d/b"] {
            fs::write(dir.path().join(name), vec![1; MIB as usize]).unwrap();
        }
        let taken = taken_by(dir.path());
        assert!((2 * MIB..3 * MIB).contains(&taken), "{taken}");
        fs::File::create(dir.path().join("holes")).unwrap().set_len(64 * MIB).unwrap();
        assert_eq!(taken_by(dir.path()), taken);
    }
}
