// SPDX-License-Identifier: GPL-2.0

//! A memory map that is not that of the firmware.

use crate::memory;
use alloc::{boxed::Box, vec::Vec};
use anyhow::{Context, Result, anyhow};
use core::{
    ptr, slice,
    sync::atomic::{AtomicPtr, Ordering},
};
use orders::{Descriptor, Kind, Map, Pages};
use uefi::{
    Status,
    boot::{self, MemoryDescriptor},
    table::system_table_raw,
};
use uefi_raw::table::boot::{BootServices, MemoryAttribute, MemoryType};

/// The function that tells the memory map.
type GetMemoryMap = unsafe extern "efiapi" fn(
    *mut usize,
    *mut MemoryDescriptor,
    *mut usize,
    *mut usize,
    *mut u32,
) -> Status;

/// How many bytes the firmware's own map may have.
const OWN_MAP: usize = 2 << 20;

/// What the changed map is made from. Nothing of it grows: an allocation would change the map.
struct Change {
    map: Map,
    firmware: GetMemoryMap,
    own: *mut u8,
    all: Vec<Descriptor>,
}

/// The one change; it is made once, before the kernel starts, and by one processor.
static CHANGE: AtomicPtr<Change> = AtomicPtr::new(ptr::null_mut());

/// Has the kernel get the map that is ordered from now on.
pub fn change(map: Map) -> Result<()> {
    let system = system_table_raw().context("there is no system table")?;
    // SAFETY: The system table and the boot services are there until the kernel ends these, and
    // this application is the only one to change them.
    let services = unsafe { &mut *system.as_ref().boot_services };
    let change = Change {
        firmware: services.get_memory_map,
        own: memory::pages(OWN_MAP)?.as_ptr(),
        all: Vec::with_capacity(map.most(OWN_MAP / size_of::<MemoryDescriptor>())),
        map,
    };
    CHANGE.store(Box::into_raw(Box::new(change)), Ordering::SeqCst);
    services.get_memory_map = get_memory_map;
    services.header.crc = 0;
    // SAFETY: The table is as long as its header says.
    let bytes = unsafe {
        slice::from_raw_parts(
            ptr::from_ref::<BootServices>(services).cast(),
            services.header.size as usize,
        )
    };
    services.header.crc = boot::calculate_crc32(bytes)
        .map_err(|error| anyhow!("cannot change the memory map: {error}"))?;
    Ok(())
}

/// Tells the changed map as the firmware tells its own.
unsafe extern "efiapi" fn get_memory_map(
    size: *mut usize,
    map: *mut MemoryDescriptor,
    key: *mut usize,
    stride: *mut usize,
    version: *mut u32,
) -> Status {
    // SAFETY: `change()` has stored it for good, and nothing calls this function from itself.
    let change = unsafe { &mut *CHANGE.load(Ordering::SeqCst) };
    let (mut own_size, mut own_stride) = (OWN_MAP, 0);
    // SAFETY: There are so many bytes. The other pointers are the caller's.
    let status = unsafe {
        (change.firmware)(&mut own_size, change.own.cast(), key, &mut own_stride, version)
    };
    if status != Status::SUCCESS {
        return status;
    }
    // SAFETY: The firmware has filled so many bytes with descriptors of this size.
    let own = (0..own_size / own_stride)
        .map(|at| unsafe { change.own.add(at * own_stride).cast::<MemoryDescriptor>().read() })
        .map(own);
    change.map.apply(own, &mut change.all);

    let needed = change.all.len() * own_stride;
    // SAFETY: By the specification the caller hands over pointers to both numbers.
    let room = unsafe {
        stride.write(own_stride);
        size.replace(needed)
    };
    if room < needed || map.is_null() {
        return Status::BUFFER_TOO_SMALL;
    }
    for (at, descriptor) in change.all.iter().enumerate() {
        // SAFETY: The caller has room for all of them.
        unsafe {
            map.cast::<u8>().add(at * own_stride).cast::<MemoryDescriptor>().write(told(descriptor))
        };
    }
    Status::SUCCESS
}

fn own(descriptor: MemoryDescriptor) -> Descriptor {
    Descriptor {
        pages: Pages { start: descriptor.phys_start, count: descriptor.page_count },
        kind: Kind { memory_type: descriptor.ty.0, attributes: descriptor.att.bits() },
    }
}

fn told(descriptor: &Descriptor) -> MemoryDescriptor {
    MemoryDescriptor {
        ty: MemoryType(descriptor.kind.memory_type),
        phys_start: descriptor.pages.start,
        virt_start: 0,
        page_count: descriptor.pages.count,
        att: MemoryAttribute::from_bits_retain(descriptor.kind.attributes),
    }
}
