// SPDX-License-Identifier: GPL-2.0

//! What the functions of the series cost: instructions from each call to its return, in real boots
//! with memory maps of many sizes, in Rust and in C.

use crate::{
    counter::{Counts, Plan},
    firmware::Firmware,
    machine::{CPU, Machine},
    symbols::Symbols,
};
use anyhow::{Context, Result, bail, ensure};
use boot::{boots, directories::of_bench};
use build::{deps::Qemu, kernel::Kernel};
use regex::Regex;
use serde::Serialize;
use std::{collections::BTreeMap, path::Path};

/// How many descriptors, and how many ranges of ACPI Reclaim memory.
pub const DESCRIPTORS: [usize; 5] = [16, 64, 256, 1024, 4096];
/// How many ranges of ACPI Reclaim memory are among them, where they do not touch.
pub const RANGES: [usize; 3] = [1, 16, 256];

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Step {
    /// Reserves ACPI Reclaim memory.
    Reserve,
    /// Publishes memory in /proc/iomem.
    Publish,
    /// Confines a crash kernel to what it was given.
    Enforce,
}

impl Step {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Reserve, Self::Publish, Self::Enforce];

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Publish => "publish",
            Self::Enforce => "enforce",
        }
    }

    /// The functions that C calls for it.
    fn functions(self) -> &'static [&'static str] {
        match self {
            Self::Reserve => &[
                "efi_reserve_acpi_reclaim",
                "efi_protect_acpi_reclaim",
                "efi_reserve_acpi_reclaim_late",
            ],
            Self::Publish => &["arm64_request_memory_resources"],
            Self::Enforce => &["fdt_enforce_memory_region"],
        }
    }
}

/// The function after which nothing is of interest.
const LAST: &str = "arm64_request_memory_resources";

/// How a mark is named where a function has returned.
const RETURNED: &str = ".returned";

/// What the kernel is told.
const COMMAND_LINE: &str = "console=ttyAMA0 nokaslr quiet";

/// What a step cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// Instructions in the code that is compared.
    pub own: u64,
    /// In memblock, on its behalf.
    pub memblock: u64,
    /// In all else that it calls: printing, the device tree, resources.
    pub rest: u64,
    /// All of these by symbol, the most expensive first.
    pub by_symbol: Vec<(String, u64)>,
}

impl Cost {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.own + self.memblock + self.rest
    }
}

/// Boots `kernel` with what `firmware` says, and returns what each step cost.
pub fn count(
    kernel: &Kernel,
    name: &str,
    firmware: Firmware,
    qemu: &Qemu,
    plugin: &Path,
) -> Result<BTreeMap<Step, Cost>> {
    let case = of_bench(&format!("steps-{name}"));
    measure(kernel, &case, firmware, qemu, plugin)
        .with_context(|| format!("counting '{case}', {firmware:?}"))
}

fn measure(
    kernel: &Kernel,
    case: &str,
    firmware: Firmware,
    qemu: &Qemu,
    plugin: &Path,
) -> Result<BTreeMap<Step, Cost>> {
    let machine = Machine { qemu, dir: boots::dir(case)?, memory: firmware.memory(), cpu: CPU };
    let symbols = Symbols::read(&kernel.vmlinux)?;
    for local in LOCAL {
        symbols.address(local)?;
    }
    let plan = plan(&symbols)?;
    let cmd = machine
        .cmd()
        .args(firmware.options(&kernel.image, COMMAND_LINE, &machine.dir)?)
        .args(plan.options(plugin, &machine.dir)?);
    machine.run(&cmd)?;
    let counts = plan.counts(&machine.dir)?;
    let mut costs = BTreeMap::new();
    for step in Step::ALL {
        let mut cost = Cost::default();
        for function in step.functions() {
            let (from, to) = call(&counts, function)?;
            cost.add(plan.between(from, to).by_symbol, &symbols);
        }
        cost.by_symbol.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        costs.insert(step, cost);
    }
    Ok(costs)
}

/// Marks at each function and behind each of its calls.
fn plan(symbols: &Symbols) -> Result<Plan> {
    let mut plan = Plan::new(symbols);
    for function in Step::ALL.iter().flat_map(|step| step.functions()) {
        let address = symbols.address(function)?;
        plan = plan.mark(address, function);
        let returns = symbols.returns_of(address);
        ensure!(!returns.is_empty(), "nothing calls {function}");
        for address in returns {
            let name = format!("{function}{RETURNED}");
            plan = match *function {
                LAST => plan.end(address, &name, 1),
                _ => plan.mark(address, &name),
            };
        }
    }
    Ok(plan)
}

/// The counts where `function` was called and where it returned: once in a boot.
fn call<'a>(counts: &'a [Counts], function: &str) -> Result<(&'a Counts, &'a Counts)> {
    let at = |name: &str| counts.iter().filter(|counts| counts.mark == name).collect::<Vec<_>>();
    match (&at(function)[..], &at(&format!("{function}{RETURNED}"))[..]) {
        ([from], [to]) => Ok((from, to)),
        (from, to) => bail!(
            "{function} was called {} times and returned {} times, and not once",
            from.len(),
            to.len()
        ),
    }
}

/// What stands for the local functions of the object files that are compared, in Rust and in C.
const LOCAL: [&str; 3] = ["acpi_reclaim_rs", "acpi_tables_rs", "confine_memory_rs"];

/// A function of such an object that is no part of a step: a symbol stands for what is local behind it,
/// too.
const OTHER: &str = "arm64_enforce_memory_limit";

/// Where the C files declare what they share with each other.
const SHARED_IN_C: &str = include_str!("../plain_c/include/linux/acpi_reclaim.h");

/// The functions that C files share: each stands for what is local behind it, too.
fn shared_in_c() -> Vec<&'static str> {
    let declared = Regex::new(r"(?m)^((?:\w+ )+)(\w+)\(").expect("it is one");
    let found = declared.captures_iter(SHARED_IN_C).map(|found| found.extract::<2>().1);
    found.filter(|[kind, _]| !kind.starts_with("static")).map(|[_, name]| name).collect()
}

impl Cost {
    fn add(&mut self, spent: Vec<(String, u64)>, symbols: &Symbols) {
        let shared = shared_in_c();
        for (symbol, count) in spent {
            if is_own(&symbol, &shared) {
                self.own += count;
            } else if is_memblock(&symbol, symbols.file_of(&symbol)) {
                self.memblock += count;
            } else {
                self.rest += count;
            }
            match self.by_symbol.iter_mut().find(|(name, _)| *name == symbol) {
                Some((_, sum)) => *sum += count,
                None => self.by_symbol.push((symbol, count)),
            }
        }
    }
}

fn is_own(symbol: &str, shared: &[&str]) -> bool {
    let called = Step::ALL.iter().any(|step| step.functions().contains(&symbol));
    called || symbol == OTHER || LOCAL.contains(&symbol) || shared.contains(&symbol)
}

fn is_memblock(symbol: &str, file: Option<&str>) -> bool {
    file == Some("memblock.c") || symbol.contains("memblock") || symbol.starts_with("__next_mem")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_code_is_told_from_what_it_calls() {
        let shared = shared_in_c();
        for symbol in ["efi_reserve_acpi_reclaim", "confine_memory_rs", "phys_ranges_count"] {
            assert!(is_own(symbol, &shared), "{symbol}");
        }
        for symbol in
            ["vsnprintf", "acpi_tables_init", "_RNvNtCs2Dx_4core3fmt5write", "memblock_remove"]
        {
            assert!(!is_own(symbol, &shared), "{symbol}");
        }
        assert!(is_memblock("memblock_isolate_range", Some("memblock.c")));
        assert!(is_memblock("__next_mem_range", None));
        assert!(!is_memblock("memcpy", None));
    }

    #[test]
    fn what_c_files_share_is_what_their_header_declares() {
        let shared = shared_in_c();
        for name in ["acpi_gaps_init_within", "phys_ranges_count", "stop_early_boot"] {
            assert!(shared.contains(&name), "{shared:?}");
        }
        // It is inlined.
        assert!(!shared.contains(&"phys_range_extend"), "{shared:?}");
    }

    #[test]
    fn costs_are_added_up_by_kind() {
        let symbols = Symbols::read(&std::env::current_exe().unwrap()).unwrap();
        let spent = |count| {
            ["efi_reserve_acpi_reclaim", "memblock_reserve", "vsnprintf"]
                .map(|name| (name.to_owned(), count))
                .into()
        };
        let mut cost = Cost::default();
        cost.add(spent(3), &symbols);
        cost.add(spent(4), &symbols);
        assert_eq!((cost.own, cost.memblock, cost.rest, cost.total()), (7, 7, 7, 21));
        assert_eq!(cost.by_symbol.len(), 3);
    }
}
