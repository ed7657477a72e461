// SPDX-License-Identifier: GPL-2.0

//! The part of `make test` that boots.

use crate::{
    Counts,
    crash::{self, CrashOptions},
    evidence_cases,
    guest::Guest,
    kunit, machine_cases, matrix,
};
use anyhow::Result;
use build::{
    deps,
    kernel::{Source, Spec, Variant, obtain},
};

/// A group of tests that boot kernels built from a tree.
pub struct Group {
    /// Its name.
    pub name: &'static str,
    /// Runs it.
    pub run: fn(&Source) -> Result<Counts>,
}

/// The groups, the quick ones first.
pub const GROUPS: [Group; 6] = [
    Group { name: "KUnit", run: kunit },
    Group { name: "machines", run: machine_cases::quick },
    Group { name: "hostile firmware", run: matrix::run_quick },
    Group { name: "evidence", run: evidence_cases::quick },
    Group { name: "crash", run: |source| crash(source, false) },
    Group { name: "crash, mapping of 2017", run: |source| crash(source, true) },
];

/// The kernel's own tests of what the series adds, at boot.
pub fn kunit(source: &Source) -> Result<Counts> {
    let kernel = obtain(&Spec {
        source: source.clone(),
        variant: Variant { series: true, mapping_2017: false },
        flavour: "kunit".into(),
    })?;
    kunit::run(&kernel, &deps::qemu()?, &Guest::find()?)
}

fn crash(source: &Source, reproduce_2017: bool) -> Result<Counts> {
    let options = CrashOptions { source: source.clone(), reproduce_2017 };
    let counts = crash::run(&options)?.counts;
    if counts.failed == 0 {
        crash::clean(reproduce_2017)?;
    }
    Ok(counts)
}
