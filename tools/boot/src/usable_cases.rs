// SPDX-License-Identifier: GPL-2.0

//! What becomes of a kernel with a `linux,usable-memory-range` that no loader should write (R5),
//! or that lists the ACPI tables (R4): one case each, with a stock kernel and with the series.

use crate::{
    Counts,
    guest::Guest,
    kexec_case::{GOOD, KexecCase},
    parallel,
    usable_outcome::{Expected, NOTHING, judge},
};
use anyhow::Result;
use build::{
    deps,
    kernel::{Source, Spec, Variant, obtain},
};

/// A property, and what comes of it.
struct Case {
    name: &'static str,
    /// Addresses and sizes.
    entries: &'static [(u64, u64)],
    tail: Tail,
    stock: Expected,
    series: Expected,
}

/// How a property ends.
#[derive(Clone, Copy, PartialEq)]
enum Tail {
    /// With its last entry.
    Whole,
    /// So many bytes before the end of its last entry.
    Cut(usize),
    /// With entries for the ACPI Reclaim memory of the EFI map.
    Tables,
}

use Expected::{AllMemory, GoodMemory, NothingAsMemory, Panic, Stop, TablesLost};
use Tail::{Cut, Tables, Whole};

const GOOD_ENTRY: (u64, u64) = (GOOD.start, GOOD.end - GOOD.start);

/// Where the UART of the machine is.
const DEVICE_ENTRY: (u64, u64) = (0x0900_0000, 0x1000);

const NOTHING_ENTRY: (u64, u64) = (NOTHING.start, NOTHING.end - NOTHING.start);

/// What a stock kernel says that has no memory at all left.
const NO_MEMORY: &str = "Failed to allocate page table page";

const CASES: [Case; 8] = [
    Case {
        name: "no-whole-entry",
        entries: &[GOOD_ENTRY],
        tail: Cut(1),
        stock: AllMemory,
        series: Stop,
    },
    Case { name: "empty", entries: &[], tail: Whole, stock: AllMemory, series: Stop },
    Case {
        name: "size-zero",
        entries: &[(GOOD.start, 0)],
        tail: Whole,
        stock: AllMemory,
        series: Stop,
    },
    Case {
        name: "wraps-around",
        entries: &[(0xffff_ffff_ffff_0000, 0x2_0000)],
        tail: Whole,
        stock: Panic(NO_MEMORY),
        series: Stop,
    },
    Case {
        name: "device",
        entries: &[DEVICE_ENTRY],
        tail: Whole,
        stock: Panic(NO_MEMORY),
        series: Stop,
    },
    Case {
        name: "good-and-nothing",
        entries: &[GOOD_ENTRY, NOTHING_ENTRY],
        tail: Whole,
        stock: NothingAsMemory,
        series: GoodMemory(Some("entry 1 (0x30000000,")),
    },
    Case {
        name: "good-and-half-an-entry",
        entries: &[GOOD_ENTRY, GOOD_ENTRY],
        tail: Cut(8),
        stock: AllMemory,
        series: GoodMemory(Some("no whole entry")),
    },
    Case {
        name: "good-and-tables",
        entries: &[GOOD_ENTRY],
        tail: Tables,
        stock: TablesLost,
        series: GoodMemory(None),
    },
];

impl Case {
    /// What the property has, without the tables.
    fn usable(&self) -> Vec<u8> {
        let numbers = self.entries.iter().flat_map(|(start, size)| [start, size]);
        let mut bytes: Vec<u8> = numbers.flat_map(|number| number.to_be_bytes()).collect();
        if let Cut(missing) = self.tail {
            bytes.truncate(bytes.len() - missing);
        }
        bytes
    }
}

/// Runs each case with a stock kernel and with the series; each is one test.
pub fn run(source: &Source) -> Result<Counts> {
    let qemu = deps::qemu()?;
    let guest = Guest::find()?;
    let kernel = |series| {
        let variant = Variant { series, mapping_2017: false };
        obtain(&Spec { source: source.clone(), variant, flavour: "minimal".into() })
    };
    let (stock, series) = (kernel(false)?, kernel(true)?);
    let tests: Vec<_> = CASES
        .iter()
        .flat_map(|case| {
            [("stock", &stock, case.stock), ("series", &series, case.series)].map(
                |(column, kernel, expected)| {
                    let start = KexecCase {
                        name: format!("usable-{}-{column}", case.name),
                        kernel,
                        usable: case.usable(),
                        tables_usable: case.tail == Tables,
                    };
                    (start, expected)
                },
            )
        })
        .collect();
    let names: Vec<_> = tests.iter().map(|(start, _)| start.name.as_str()).collect();
    let outcomes = parallel::run(&names, |at, progress| {
        let (start, expected) = &tests[at];
        // The log of a boot is large; all that is kept is what is said about it.
        let kexec = start.run(&qemu, &guest, progress)?;
        Ok((kexec.run.took, judge(start, &kexec, *expected)))
    })?;
    let mut counts = Counts::default();
    for (name, (took, outcome)) in names.iter().zip(outcomes) {
        let seconds = took.as_secs_f64();
        match outcome {
            Ok(said) => {
                counts.passed += 1;
                println!("{name}: {said} ({seconds:.1} s)");
            }
            Err(error) => {
                counts.failed += 1;
                println!("{name}: not as expected: {error:#} ({seconds:.1} s)");
            }
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usable(name: &str) -> Vec<u8> {
        CASES.iter().find(|case| case.name == name).unwrap().usable()
    }

    #[test]
    fn a_property_has_big_endian_cells() {
        let bytes = usable("good-and-tables");
        assert_eq!(bytes, [0, 0, 0, 0, 0x48, 0, 0, 0, 0, 0, 0, 0, 0x10, 0, 0, 0]);
    }

    #[test]
    fn what_is_cut_is_no_whole_entry() {
        assert_eq!(usable("no-whole-entry").len(), 15);
        assert_eq!(usable("good-and-half-an-entry").len(), 24);
        assert!(usable("empty").is_empty());
    }

    #[test]
    fn a_stock_kernel_never_does_what_the_series_does() {
        for case in &CASES {
            assert_ne!(case.stock, case.series, "{}", case.name);
        }
    }
}
