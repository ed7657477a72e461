// SPDX-License-Identifier: GPL-2.0

//! Lines of a console that no healthy boot has.

use crate::{
    cause::{ASKED, Cause, Lines},
    log::{Log, unstamped},
};
use regex::RegexSet;
use std::sync::LazyLock;

/// What a healthy boot never prints.
static TROUBLE: LazyLock<RegexSet> = LazyLock::new(|| {
    RegexSet::new([
        r"Kernel panic - not syncing",
        r"\bWARNING: ",
        r"\bBUG: ",
        r"\bkernel BUG at ",
        // SLUB names the cache.
        r"\bBUG \S+ \(",
        r"\bUBSAN: ",
        r"pagealloc: (single bit error|memory corruption)",
        r"INFO: trying to register non-static key",
        r"bad mem addr",
        r"Internal error: ",
        r"Unable to handle kernel ",
        r"ACPI (BIOS )?(Error|Exception)\b",
        r"ACPI BIOS Warning",
        r"rcu: INFO: ",
        r"soft lockup",
        r"blocked for more than \d+ seconds",
        r"printk messages dropped",
        r"Unhandled fault",
        r"SError Interrupt",
        r"Synchronous Exception at ",
        r"ASSERT \[",
        r"SLUB: Unable to allocate memory from node",
        r"Memory doesn't fit in the linear mapping",
        r"memremap attempted on mixed range",
        r"Failed to remap EFI memory map",
        r"Failed to map EFI Memory Attributes table",
    ])
    .unwrap()
});

/// The troublesome lines of a whole console: `firmware` is what stands before the first kernel.
///
/// What the guest asked for is none: each line that its cause brings, once, after the guest said that
/// it would crash.
pub fn scan(firmware: &str, kernels: &[Log], cause: Cause) -> Vec<String> {
    let mut asked = Lines::default();
    let mut found = Vec::new();
    let lines = firmware.lines().map(unstamped).chain(kernels.iter().flat_map(Log::lines));
    for line in lines {
        if line == ASKED {
            asked = cause.lines();
        } else if !asked.take(line) && TROUBLE.is_match(line) {
            found.push(line.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scan_one(text: &str) -> Vec<String> {
        scan("", &[Log::new(text)], Cause::Sysrq)
    }

    #[test]
    fn the_panic_that_was_asked_for_is_no_trouble() {
        let panic = "Kernel panic - not syncing: sysrq triggered crash\n";
        assert_eq!(scan_one(&format!("@phase| crash\n{panic}")), [""; 0]);
        assert_eq!(scan_one(panic).len(), 1, "nobody asked for it");
        assert_eq!(scan_one(&format!("@phase| crash\n{panic}{panic}")).len(), 1, "twice");
    }

    #[test]
    fn what_a_cause_brings_is_no_trouble_and_nothing_else() {
        let oops = "@phase| crash\n\
            Unable to handle kernel NULL pointer dereference at virtual address 0000000000000000\n\
            Internal error: Oops: 0000000096000044 [#1]  SMP\n";
        let scan = |text: &str, cause| scan("", &[Log::new(text)], cause);
        assert_eq!(scan(oops, Cause::NullPointer), [""; 0]);
        assert_eq!(scan(oops, Cause::Sysrq).len(), 2);
        assert_eq!(scan(&oops.replace("00000\n", "00008\n"), Cause::NullPointer).len(), 1);
        assert_eq!(scan(&format!("{oops}WARNING: CPU: 0\n"), Cause::NullPointer).len(), 1);
    }

    #[test]
    fn finds_each_kind() {
        for line in [
            "Kernel panic - not syncing: Unable to initialise architected timer",
            "WARNING: CPU: 0 PID: 1 at mm/memremap.c:1",
            "BUG: sleeping function called from invalid context",
            "kernel BUG at mm/memblock.c:1!",
            "BUG kmalloc-64 (Not tainted): Right Redzone overwritten",
            "UBSAN: array-index-out-of-bounds in mm/memblock.c:1:2",
            "pagealloc: memory corruption",
            "INFO: trying to register non-static key.",
            "  5555555555555555 bad mem addr 0x0000000040000000 - 0x0000000040001000 reserved",
            "Unable to handle kernel paging request at virtual address 0",
            "Internal error: Oops: 0000000096000061 [#1]  SMP",
            "ACPI BIOS Error (bug): Could not resolve symbol",
            "ACPI Error: AE_NOT_FOUND",
            "rcu: INFO: rcu_sched self-detected stall on CPU",
            "** 12 printk messages dropped **",
            "SLUB: Unable to allocate memory from node 1",
            "Memory doesn't fit in the linear mapping, VA_BITS too small",
            "memremap attempted on mixed range 0x000000007c430000 size: 0x10000",
            "efi: Failed to remap EFI memory map",
            "efi: memattr: Failed to map EFI Memory Attributes table @ 0x7c430018",
        ] {
            assert_eq!(scan_one(line).len(), 1, "{line}");
        }
    }

    #[test]
    fn a_healthy_line_is_no_trouble() {
        let healthy = "ACPI: Interpreter enabled\nACPI: BGRT 0x0\nefi: Processing EFI memory map:";
        assert_eq!(scan_one(healthy), [""; 0]);
    }
}
