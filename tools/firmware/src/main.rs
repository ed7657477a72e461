// SPDX-License-Identifier: GPL-2.0

//! Stands for firmware that does not do what one would hope for.
//!
//! EDK2 starts this application where it would start the kernel. It takes memory, moves the ACPI
//! tables, hands over a device tree and changes the memory map as the harness orders, and then
//! starts the kernel, with the command line that it was given itself. The kernel's initramfs is
//! EDK2's business.
//!
//! All memory is mapped at its physical address while it runs.

#![no_main]
#![no_std]

extern crate alloc;

mod acpi;
mod fence;
mod fw_cfg;
mod kernel;
mod memory;
mod memory_map;

use anyhow::{Result, anyhow};
use orders::{KERNEL_FILE, LINE, ORDERS_FILE, Orders};
use uefi::{
    Guid, Status,
    boot::{self, MemoryType},
    guid, println,
    runtime::{self, ResetType},
};

/// The configuration table that is a flat device tree.
const DEVICE_TREE_GUID: Guid = guid!("b1b621d5-f19c-41a5-830b-d9152c69aae0");

#[uefi::entry]
fn main() -> Status {
    // The firmware has cleared the screen, and that is no line.
    println!();
    let Err(error) = run();
    println!("{LINE}{error:#}");
    // Without a kernel there is nothing more to see.
    runtime::reset(ResetType::SHUTDOWN, Status::ABORTED, None)
}

/// Does as it is told; comes back where it cannot.
fn run() -> Result<core::convert::Infallible> {
    let file = |name| fw_cfg::file(name).map(|file| (file, name));
    let (orders, name) = file(ORDERS_FILE)?;
    let orders = Orders::from_bytes(orders.bytes()).map_err(|_| anyhow!("{name} is no orders"))?;
    let (kernel, _) = file(KERNEL_FILE)?;

    for range in &orders.map.ranges {
        memory::take(range.pages)?;
    }
    if orders.move_tables {
        acpi::move_into(&orders.map.ranges)?;
    }
    if !orders.device_tree.is_empty() {
        hand_over(&orders.device_tree)?;
    }
    if !orders.open.is_empty() {
        fence::put_up(&orders.open)?;
    }
    memory_map::change(orders.map)?;
    kernel::start(kernel)
}

/// Makes `tree` a configuration table.
fn hand_over(tree: &[u8]) -> Result<()> {
    let tree = memory::keep(tree, MemoryType::BOOT_SERVICES_DATA)?;
    // SAFETY: The table is never freed.
    unsafe { boot::install_configuration_table(&DEVICE_TREE_GUID, tree.as_ptr().cast()) }
        .map_err(|error| anyhow!("cannot hand over a device tree: {error}"))
}
