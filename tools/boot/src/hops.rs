// SPDX-License-Identifier: GPL-2.0

//! Kernels that start one another by kexec, before one of them crashes.

use crate::{
    answers::{different_tables, first},
    crash_case::Loader,
    facts::Facts,
    iomem::{ACPI_TABLES, top_level},
    ktap,
    properties::{Answer, Look},
    span::list,
};
use anyhow::Result;
use build::kernel::Kernel;

/// One kernel starts the next.
#[derive(Clone, Copy)]
pub struct Hop<'a> {
    /// The system call that loads it.
    pub loader: Loader,
    /// The next kernel.
    pub kernel: &'a Kernel,
}

/// What a kernel said before it started the next.
pub struct Earlier {
    /// What it said; the error says what is missing.
    pub facts: Result<Facts>,
    /// Whether it is the same kernel as the one that crashed.
    pub same: bool,
}

/// So many hops, by each loader in turn. The last one starts `first`; every other hop, counted from
/// there, starts `through`.
pub fn hops<'a>(count: usize, first: &'a Kernel, through: Option<&'a Kernel>) -> Vec<Hop<'a>> {
    let hop = |number: usize| Hop {
        loader: Loader::ALL[number % Loader::ALL.len()],
        kernel: through.filter(|_| !is_same(number + 1, count, true)).unwrap_or(first),
    };
    (0..count).map(hop).collect()
}

/// Whether the kernel after so many hops of `count` is the one that will crash. Firmware starts that,
/// too.
pub fn is_same(after: usize, count: usize, other: bool) -> bool {
    !other || after == 0 || (count - after).is_multiple_of(2)
}

/// The tables, and where they are, are the same in each kernel.
pub fn same_tables(look: Look<'_>) -> Option<Answer> {
    let last = first(look)?;
    for (number, earlier) in look.crash.earlier.iter().enumerate() {
        let facts = earlier.facts.as_ref().ok()?;
        if let Err(problem) = same_in(facts, last, earlier.same) {
            return Some(Answer::new(false, format!("after {number} hops: {problem}")));
        }
    }
    let count = look.crash.earlier.len();
    Some(Answer::new(count == look.crash.asked.hops, format!("{count} hops")))
}

fn same_in(facts: &Facts, last: &Facts, same_kernel: bool) -> Result<(), String> {
    if let Some(failed) = ktap::failed(&facts.checks) {
        return Err(failed);
    }
    let reclaim = facts.acpi_reclaim();
    if reclaim.is_empty() || reclaim != last.acpi_reclaim() {
        return Err(format!("ACPI Reclaim is {}", list(&reclaim)));
    }
    let tables = top_level(&facts.iomem, ACPI_TABLES);
    let fits = match same_kernel {
        true => tables == top_level(&last.iomem, ACPI_TABLES),
        // It has the series and the other has not, or the other way round.
        false => tables.is_empty() || tables == facts.acpi_reclaim(),
    };
    if !fits {
        return Err(format!("ACPI Tables is {}", list(&tables)));
    }
    let different = different_tables(facts, last);
    if different.is_empty() { Ok(()) } else { Err(format!("different: {}", different.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ktap::Ending, made_up};

    #[test]
    fn the_last_hop_starts_the_kernel_that_crashes() {
        let kernel = |release: &str| Kernel {
            image: "Image".into(),
            vmlinux: "vmlinux".into(),
            config: "config".into(),
            release: release.into(),
            described: release.into(),
        };
        let (first, other) = (kernel("first"), kernel("other"));
        let names = |count, through| {
            let hops = hops(count, &first, through);
            hops.iter().map(|hop| hop.kernel.release.as_str()).collect::<Vec<_>>()
        };
        assert_eq!(names(2, None), ["first", "first"]);
        assert_eq!(names(3, Some(&other)), ["first", "other", "first"]);
        assert_eq!(names(2, Some(&other)), ["other", "first"]);
        let same = |count| (0..count).map(|after| is_same(after, count, true)).collect::<Vec<_>>();
        assert_eq!((same(2), same(3)), (vec![true, false], vec![true, true, false]));
        let loaders: Vec<_> = hops(3, &first, None).iter().map(|hop| hop.loader).collect();
        assert_eq!(loaders, [Loader::File, Loader::Load, Loader::File]);
    }

    #[test]
    fn a_hop_that_loses_the_tables_is_seen() {
        let last = Facts::made_up();
        let with = |change: fn(&mut Facts)| {
            let mut facts = Facts::made_up();
            change(&mut facts);
            facts
        };
        assert_eq!(same_in(&last, &last, true), Ok(()));
        let stock = with(|facts| facts.iomem.retain(|resource| resource.name != ACPI_TABLES));
        assert_eq!(same_in(&stock, &last, false), Ok(()));
        assert_eq!(same_in(&stock, &last, true).unwrap_err(), "ACPI Tables is none");
        let moved = with(|facts| facts.iomem[1].span.end += 0x1000);
        assert!(same_in(&moved, &last, false).is_err());
        let unmapped = with(|facts| facts.efi_map.clear());
        assert_eq!(same_in(&unmapped, &last, true).unwrap_err(), "ACPI Reclaim is none");
        let failed = with(|facts| facts.checks = vec![made_up::check(Ending::Failed)]);
        assert!(same_in(&failed, &last, true).unwrap_err().contains("check acpi failed"));
        let spoiled = with(|facts| facts.tables = [("DSDT".into(), "4567".into())].into());
        assert_eq!(same_in(&spoiled, &last, true).unwrap_err(), "different: DSDT");
    }
}
