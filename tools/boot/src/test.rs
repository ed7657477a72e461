// SPDX-License-Identifier: GPL-2.0

//! The part of `make test` that boots.

use crate::{
    Counts,
    crash::{self, CrashOptions},
    guest::Guest,
    kunit, usable_cases,
};
use anyhow::Result;
use build::{
    deps,
    kernel::{Source, Spec, Variant, obtain},
};

/// Runs KUnit, the crashes of a mixed pair of kernels, what is wrong about usable memory, and the
/// crashes of `make crash` and of `make crash REPRODUCE=2017`.
pub fn run(source: &Source) -> Result<Counts> {
    let mut counts = group("kunit", || {
        let kernel = obtain(&Spec {
            source: source.clone(),
            variant: Variant { series: true, mapping_2017: false },
            flavour: "kunit".into(),
        })?;
        kunit::run(&kernel, &deps::qemu()?, &Guest::find()?)
    })?;
    counts += group("crash, one kernel with the series", || crash::mixed(source))?;
    counts += group("usable memory", || usable_cases::run(source))?;
    for reproduce_2017 in [false, true] {
        let options = CrashOptions { source: source.clone(), reproduce_2017 };
        let name = if reproduce_2017 { "crash, mapping of 2017" } else { "crash" };
        counts += group(name, || Ok(crash::run(&options)?.counts))?;
    }
    Ok(counts)
}

/// One group of tests. A group that cannot be run is one failed test, so that the others are run
/// all the same; what is missing on this machine stops them all.
fn group(name: &str, tests: impl FnOnce() -> Result<Counts>) -> Result<Counts> {
    let counts = match tests() {
        Ok(counts) => counts,
        Err(error) if error.downcast_ref::<util::failure::Setup>().is_some() => return Err(error),
        Err(error) => {
            println!("{name}: {error:#}");
            Counts { passed: 0, failed: 1 }
        }
    };
    println!("{name}: {} passed, {} failed", counts.passed, counts.failed);
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::bail;

    #[test]
    fn a_group_that_cannot_run_is_a_failed_test() {
        let counts = group("boots", || bail!("no kernel has come up")).unwrap();
        assert_eq!(counts, Counts { passed: 0, failed: 1 });
    }

    #[test]
    fn what_is_missing_stops_all() {
        assert!(group("boots", || Err(util::setup!("no QEMU"))).is_err());
    }
}
