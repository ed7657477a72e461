// SPDX-License-Identifier: GPL-2.0

//! Boots kernels under UEFI in QEMU, crashes them, and measures what comes back.

pub mod answers;
pub mod archive;
pub mod asked;
pub mod boots;
pub mod budget;
pub mod case_boot;
pub mod case_crash;
pub mod case_verdict;
pub mod cause;
pub mod compatibility;
pub mod crash;
pub mod crash_case;
pub mod debugger;
pub mod directories;
pub mod dump_readers;
pub mod efi_map;
pub mod evidence;
pub mod evidence_cases;
pub mod evidence_outcome;
pub mod facts;
pub mod fence;
pub mod firmware_boot;
pub mod guest;
pub mod guest_memory;
pub mod hops;
pub mod iomem;
pub mod iomem_readers;
pub mod kcore;
pub mod kexec_tools;
pub mod ktap;
pub mod kunit;
pub mod letter;
pub mod log;
pub mod machine;
pub mod machine_cases;
pub mod machine_units;
pub mod machine_verdict;
#[cfg(test)]
mod made_up;
pub mod matrix;
pub mod memblock;
pub mod panic_path;
pub mod parallel;
pub mod processors;
pub mod program;
pub mod properties;
pub mod report;
pub mod rules;
pub mod run;
pub mod selftests;
pub mod span;
pub mod table;
pub mod test;
pub mod trouble;
pub mod usable_memory;
pub mod vmcore;
pub mod witness;

/// How many checks passed, and how many did not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Passed.
    pub passed: usize,
    /// Failed.
    pub failed: usize,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}
