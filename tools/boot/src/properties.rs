// SPDX-License-Identifier: GPL-2.0

//! What is asked of each crash, and what a stock kernel answers.

use crate::{
    answers::{self, beside_stock, first, second},
    asked::Asked,
    budget,
    crash_case::{Crash, Loader},
    hops, kcore, processors, selftests,
};

/// What was measured for one property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whether the property holds.
    pub holds: bool,
    /// The measured value.
    pub says: String,
}

impl Answer {
    /// An answer that says `says` either way.
    pub fn new(holds: bool, says: impl Into<String>) -> Self {
        Self { holds, says: says.into() }
    }

    /// An answer that says `yes`, or else `no`.
    pub fn yes_or(holds: bool, no: impl Into<String>) -> Self {
        Self::new(holds, if holds { "yes".into() } else { no.into() })
    }
}

/// What a column of the table must answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// The property holds.
    Holds,
    /// The property was measured, and does not hold: otherwise asking for it proves nothing.
    Fails,
    /// It fails when the crash kernel was loaded by this loader, and holds with the other.
    FailsWith(Loader),
    /// The run ends before the property can be measured.
    NotReached,
}

impl Expected {
    /// What is expected when the crash kernel was loaded by `loader`.
    pub fn with(self, loader: Loader) -> Self {
        match self {
            Self::FailsWith(one) if one == loader => Self::Fails,
            Self::FailsWith(_) => Self::Holds,
            same => same,
        }
    }

    /// Whether the answer, with this loader, is the expected one.
    pub fn met_by(self, loader: Loader, answer: Option<&Answer>) -> bool {
        match self.with(loader) {
            Self::Holds => answer.is_some_and(|answer| answer.holds),
            Self::NotReached => answer.is_none(),
            Self::Fails | Self::FailsWith(_) => answer.is_some_and(|answer| !answer.holds),
        }
    }
}

/// Whose property it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The first kernel.
    First,
    /// The crash kernel, whichever kernel loaded it.
    Crash,
    /// Both kernels: it takes both.
    Both,
    /// The first kernel, which decides it for the crash kernel to see.
    Dump,
    /// The run as a whole.
    Run,
}

/// One crash, and the crash of the stock kernel beside it.
#[derive(Clone, Copy)]
pub struct Look<'a> {
    /// The crash that is asked.
    pub crash: &'a Crash,
    /// The same with the stock kernel, where there is one.
    pub stock: Option<&'a Crash>,
    /// How the crash kernel was loaded.
    pub loader: Loader,
}

/// When a property is asked for.
#[derive(Clone, Copy)]
pub enum When {
    /// Always.
    Always,
    /// When the guest was told to measure it.
    Told(fn(&Asked) -> bool),
    /// When a stock kernel crashes beside it, and its crash kernel comes up.
    BesideStock,
}

/// One row of the table.
pub struct Property {
    /// What machines.toml calls it.
    pub key: &'static str,
    /// What it is.
    pub name: &'static str,
    /// Whose it is.
    pub of: Of,
    /// What a stock kernel answers. The series must hold every property.
    pub stock: Expected,
    /// When it is asked for.
    pub when: When,
    /// Measures it; `None` when the run did not come that far.
    pub ask: fn(Look<'_>) -> Option<Answer>,
}

impl Property {
    const fn new(
        key: &'static str,
        name: &'static str,
        of: Of,
        stock: Expected,
        ask: fn(Look<'_>) -> Option<Answer>,
    ) -> Self {
        Self { key, name, of, stock, when: When::Always, ask }
    }

    /// The same, when it is asked for only then.
    const fn when(self, when: When) -> Self {
        Self { when, ..self }
    }

    /// Whether it is a comparison with stock.
    pub fn is_beside_stock(&self) -> bool {
        matches!(self.when, When::BesideStock)
    }

    /// Whether it is asked for, in a crash of which this was asked.
    pub fn is_asked(&self, asked: &Asked, beside_stock: bool) -> bool {
        match self.when {
            When::Always => true,
            When::Told(told) => told(asked),
            When::BesideStock => beside_stock,
        }
    }

    /// What must be answered where the crash kernel dies before it can say anything, as stock's does on
    /// a kernel with the mapping of 2017; `first` is what the first kernel must answer.
    pub fn of_dying(&self, first: Expected) -> Expected {
        match self.of {
            Of::First => first,
            Of::Crash | Of::Both | Of::Dump => Expected::NotReached,
            Of::Run => Expected::Fails,
        }
    }
}

use Expected::{Fails, Holds};
use Of::{Both as OfBoth, Crash as OfCrash, Dump as OfDump, First as OfFirst, Run as OfRun};

/// All properties, in the order of the table.
pub static PROPERTIES: &[Property] = &[
    Property::new("run-complete", "run came to its end", OfRun, Holds, answers::complete),
    Property::new(
        "console-clean",
        "console: no panic, WARN, BUG, ACPI error",
        OfRun,
        Holds,
        answers::untroubled,
    ),
    Property::new(
        "crash-cause",
        "crash was the one that was asked for",
        OfFirst,
        Holds,
        answers::caused,
    ),
    Property::new(
        "no-alignment-fault",
        "crash kernel: no alignment fault (as of 2017)",
        OfRun,
        Holds,
        answers::no_alignment_fault,
    ),
    Property::new("first-checks", "guest's own checks, first kernel", OfFirst, Holds, |look| {
        answers::checks(first(look)?)
    }),
    Property::new("crash-checks", "guest's own checks, crash kernel", OfCrash, Holds, |look| {
        answers::checks(second(look)?)
    }),
    Property::new(
        "acpi-ranges-logged",
        "one line of the log per ACPI range, both kernels",
        OfBoth,
        Fails,
        answers::announced,
    ),
    Property::new(
        "first-published",
        "ACPI Tables in /proc/iomem, first kernel",
        OfFirst,
        Fails,
        |look| answers::published(first(look)?),
    ),
    Property::new(
        "first-published-bounds",
        "  bounds are the EFI map's ACPI Reclaim",
        OfFirst,
        Fails,
        |look| answers::bounds(first(look)?),
    ),
    Property::new("first-published-childless", "  nothing below it", OfFirst, Fails, |look| {
        answers::childless(first(look)?)
    }),
    Property::new("first-u-root", "  u-root takes it for ACPI, too", OfFirst, Fails, |look| {
        answers::u_root(first(look)?)
    }),
    Property::new(
        "first-kexec-tools",
        "  kexec-tools load no kernel over it",
        OfFirst,
        Holds,
        |look| answers::kept_off(first(look)?),
    ),
    Property::new(
        "crash-published",
        "ACPI Tables in /proc/iomem, crash kernel",
        OfCrash,
        Fails,
        |look| answers::published(second(look)?),
    ),
    Property::new(
        "crash-published-bounds",
        "  bounds are the EFI map's ACPI Reclaim",
        OfCrash,
        Fails,
        |look| answers::bounds(second(look)?),
    ),
    Property::new("crash-published-childless", "  nothing below it", OfCrash, Fails, |look| {
        answers::childless(second(look)?)
    }),
    Property::new(
        "first-system-ram",
        "System RAM + ACPI Tables as in stock, first kernel",
        OfFirst,
        Holds,
        answers::same_sum,
    ),
    Property::new(
        "crash-system-ram",
        "System RAM as in stock, crash kernel",
        OfCrash,
        Holds,
        answers::same_ram,
    ),
    Property::new(
        "first-memblock-memory",
        "memblock.memory has ACPI Reclaim, first kernel",
        OfFirst,
        Holds,
        |look| answers::in_memory(first(look)?),
    ),
    Property::new(
        "crash-memblock-memory",
        "memblock.memory has ACPI Reclaim, crash kernel",
        OfCrash,
        Fails,
        |look| answers::in_memory(second(look)?),
    ),
    Property::new(
        "first-memblock-reserved",
        "memblock.reserved has ACPI Reclaim, first kernel",
        OfFirst,
        Holds,
        |look| answers::reserved(first(look)?),
    ),
    Property::new(
        "crash-memblock-reserved",
        "memblock.reserved has ACPI Reclaim, crash kernel",
        OfCrash,
        Fails,
        |look| answers::reserved(second(look)?),
    ),
    Property::new(
        "tables-listed",
        "usable memory has ACPI where the loader lists it",
        OfCrash,
        Holds,
        answers::listed,
    ),
    Property::new(
        "crash-memblock-confined",
        "no other memory of the crashed kernel in memblock",
        OfCrash,
        Holds,
        |look| answers::confined(second(look)?),
    ),
    Property::new(
        "crash-mem-total",
        "MemTotal within crashkernel=, crash kernel",
        OfCrash,
        Holds,
        answers::mem_total,
    ),
    Property::new(
        "first-mem-budget",
        "MemTotal as in stock, but for new sections, first kernel",
        OfFirst,
        Holds,
        |look| Some(budget::mem_total(first(look)?, look.stock?.first.as_ref().ok()?)),
    )
    .when(When::BesideStock),
    Property::new(
        "crash-mem-budget",
        "MemTotal as in stock, but for new sections, crash kernel",
        OfCrash,
        Holds,
        |look| Some(budget::mem_total(second(look)?, look.stock?.second.as_ref().ok()?)),
    )
    .when(When::BesideStock),
    Property::new("zones", "zones as in stock, but for the tables", OfBoth, Holds, |look| {
        Some(budget::zones_as_in_stock(beside_stock(look)?))
    })
    .when(When::BesideStock),
    Property::new("swiotlb", "bounce buffers (swiotlb) as in stock", OfBoth, Holds, |look| {
        Some(budget::swiotlb_as_in_stock(beside_stock(look)?))
    })
    .when(When::BesideStock),
    Property::new("processors", "processors online, as told", OfBoth, Holds, |look| {
        Some(processors::online(first(look)?, second(look)?))
    }),
    Property::new(
        "tables-same",
        "tables the same in both kernels (sha256)",
        OfCrash,
        Holds,
        answers::same_tables,
    ),
    Property::new(
        "crash-no-ioremap",
        "ioremaps of ACPI Reclaim pages, crash kernel",
        OfCrash,
        Fails,
        |look| answers::remapped(second(look)?),
    ),
    Property::new(
        "first-dev-mem",
        "/dev/mem: read, write, mmap refused, first kernel",
        OfFirst,
        Holds,
        |look| answers::refused(first(look)?),
    ),
    Property::new(
        "crash-dev-mem",
        "/dev/mem: read, write, mmap refused, crash kernel",
        OfCrash,
        Fails,
        |look| answers::refused(second(look)?),
    ),
    Property::new(
        "dev-mem-beside",
        "  beside the tables as in stock, both kernels",
        OfBoth,
        Holds,
        answers::beside_refused,
    )
    .when(When::BesideStock),
    Property::new("kcore", "/proc/kcore has all RAM that it has in stock", OfBoth, Holds, |look| {
        Some(kcore::as_in_stock(beside_stock(look)?))
    })
    .when(When::BesideStock),
    Property::new("selftests", "the kernel's own selftests of kexec", OfFirst, Holds, |look| {
        selftests::passed(first(look)?)
    })
    .when(When::Told(|asked| asked.selftests)),
    Property::new("hops", "tables the same after each kexec", OfFirst, Holds, hops::same_tables)
        .when(When::Told(|asked| asked.hops > 0)),
    Property::new(
        "efi-runtime",
        "EFI variables the same in both kernels",
        OfBoth,
        Holds,
        answers::same_efi_variables,
    )
    .when(When::Told(|asked| asked.efi_runtime)),
    Property::new("dump-saved", "/proc/vmcore saved to its end", OfCrash, Holds, answers::saved),
    Property::new(
        "dump-whole",
        "  dump is all memory of the crashed kernel",
        OfCrash,
        Holds,
        answers::whole,
    ),
    Property::new(
        "dump-memory",
        "  and what stock's is, less the tables with -c",
        OfDump,
        Expected::FailsWith(Loader::Load),
        answers::memory_as_in_stock,
    )
    .when(When::BesideStock),
    Property::new("makedumpfile-log", "  makedumpfile finds its log", OfDump, Holds, |look| {
        answers::reader(second(look)?, "makedumpfile-log")
    })
    .when(When::Told(|asked| asked.reads_dump)),
    Property::new("makedumpfile-filtered", "  and leaves pages out", OfDump, Holds, |look| {
        answers::reader(second(look)?, "makedumpfile-filtered")
    })
    .when(When::Told(|asked| asked.reads_dump)),
    Property::new("vmcore-dmesg", "  vmcore-dmesg finds its log", OfDump, Holds, |look| {
        answers::reader(second(look)?, "vmcore-dmesg")
    })
    .when(When::Told(|asked| asked.reads_dump)),
    Property::new(
        "dump-tables",
        "  dump has the tables with -s, not with -c",
        OfDump,
        Expected::FailsWith(Loader::Load),
        answers::tables_in_dump,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_check_that_stock_should_fail_must_be_seen_to_fail() {
        let met = |expected: Expected, holds: Option<bool>| {
            let answer = holds.map(|holds| Answer::new(holds, ""));
            expected.met_by(Loader::File, answer.as_ref())
        };
        for (expected, passed, failed, not_reached) in [
            (Holds, true, false, false),
            (Fails, false, true, false),
            (Expected::FailsWith(Loader::File), false, true, false),
            (Expected::FailsWith(Loader::Load), true, false, false),
            (Expected::NotReached, false, false, true),
        ] {
            assert_eq!(met(expected, Some(true)), passed, "{expected:?} of what holds");
            assert_eq!(met(expected, Some(false)), failed, "{expected:?} of what fails");
            assert_eq!(met(expected, None), not_reached, "{expected:?} of nothing");
        }
    }

    #[test]
    fn each_key_is_one_of_a_kind_and_in_kebab_case() {
        let keys: BTreeSet<_> = PROPERTIES.iter().map(|property| property.key).collect();
        assert_eq!(keys.len(), PROPERTIES.len());
        for key in keys {
            let word = |word: &str| {
                !word.is_empty()
                    && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
            };
            assert!(key.split('-').all(word), "{key}");
        }
    }

    #[test]
    fn each_rule_of_the_crash_is_seen_to_fail_on_stock() {
        let keys = |expected| {
            let of = PROPERTIES.iter().filter(move |property| property.stock == expected);
            of.map(|property| property.key).collect::<Vec<_>>()
        };
        let fails = [
            "acpi-ranges-logged",
            "first-published",
            "first-published-bounds",
            "first-published-childless",
            "first-u-root",
            "crash-published",
            "crash-published-bounds",
            "crash-published-childless",
            "crash-memblock-memory",
            "crash-memblock-reserved",
            "crash-no-ioremap",
            "crash-dev-mem",
        ];
        assert_eq!(keys(Fails), fails);
        assert_eq!(keys(Expected::FailsWith(Loader::Load)), ["dump-memory", "dump-tables"]);
    }
}
