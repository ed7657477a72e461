// SPDX-License-Identifier: GPL-2.0

//! Memory as `/proc/iomem` shows it.
//!
//! C header: [`include/linux/ioport.h`](srctree/include/linux/ioport.h)

use super::Memblock;
use crate::{
    bindings,
    error::to_result,
    phys::PhysRange,
    prelude::*, //
};
use core::ptr::{
    addr_of_mut,
    NonNull, //
};

// The names outlive init memory, where the strings of what inlines this file go: statics stay in
// the read-only data of this crate.
static SYSTEM_RAM: [u8; 11] = *b"System RAM\0";
static RESERVED: [u8; 9] = *b"reserved\0";
static ACPI_TABLES: [u8; 12] = *b"ACPI Tables\0";

/// A resource as C has it.
pub type RawResource = bindings::resource;

/// What a resource says of its memory.
#[derive(Clone, Copy)]
pub enum Description {
    /// `System RAM`, which is busy.
    SystemRam,
    /// `reserved`: memory that is not mapped.
    Reserved,
    /// `ACPI Tables`, which are busy and, other than on x86, exclusive: without that /dev/mem
    /// would hand out with `CONFIG_STRICT_DEVMEM` what it refuses as long as it is System RAM.
    AcpiTables,
}

impl Description {
    #[inline]
    fn fill(self, range: PhysRange) -> RawResource {
        let (name, flags, desc) = match self {
            Self::SystemRam => (
                SYSTEM_RAM.as_ptr(),
                bindings::IORESOURCE_MEM | bindings::IORESOURCE_SYSRAM | bindings::IORESOURCE_BUSY,
                bindings::IORES_DESC_NONE,
            ),
            Self::Reserved => (
                RESERVED.as_ptr(),
                bindings::IORESOURCE_MEM,
                bindings::IORES_DESC_NONE,
            ),
            Self::AcpiTables => (
                ACPI_TABLES.as_ptr(),
                bindings::IORESOURCE_MEM
                    | bindings::IORESOURCE_BUSY
                    | bindings::IORESOURCE_EXCLUSIVE,
                bindings::IORES_DESC_ACPI_TABLES,
            ),
        };
        RawResource {
            name,
            start: range.start().as_u64(),
            end: range.last().as_u64(),
            flags: flags as c_ulong, // CAST: `c_ulong` has at least 32 bits.
            desc: desc as c_ulong,   // CAST: As above.
            ..Default::default()
        }
    }
}

/// Room for resources that are never freed.
///
/// # Invariants
///
/// - `first` points to `room` resources that are never freed.
/// - Nothing refers to those from `filled` on, and `filled` is not above `room`.
pub struct Resources {
    first: NonNull<RawResource>,
    room: usize,
    filled: usize,
}

impl Resources {
    /// Makes room for `room` resources; [`None`] if that is nothing or too much to count.
    ///
    /// Panics, in C, if there is no memory for them, for a kernel does not come up without.
    ///
    /// C function: `memblock_alloc_or_panic()`.
    ///
    /// # Safety
    ///
    /// The linear map is there: `paging_init()` has returned.
    #[inline]
    pub unsafe fn new(_memblock: Memblock<'_>, room: usize) -> Option<Self> {
        let size = room.checked_mul(size_of::<RawResource>())?;
        if size == 0 {
            return None;
        }
        // SAFETY: `Memblock` shows that memblock may be used. What it allocates it zeroes through
        // the linear map, which is there by the caller's promise.
        let memory = unsafe {
            bindings::__memblock_alloc_or_panic(
                size as u64,                      // CAST: `usize` has at most 64 bits.
                align_of::<RawResource>() as u64, // CAST: As above.
                c"Resources::new".as_char_ptr(),
            )
        };
        // INVARIANT: memblock returns memory of that size, and nobody else has it.
        Some(Self {
            first: NonNull::new(memory.cast())?,
            room,
            filled: 0,
        })
    }

    /// Publishes `range`; an error if there is no room left, or if it conflicts with another
    /// resource.
    ///
    /// C function: `insert_resource()`.
    #[inline]
    pub fn insert(&mut self, description: Description, range: PhysRange) -> Result {
        if self.filled == self.room {
            return Err(ENOSPC);
        }
        // SAFETY: `filled` is below `room`, so by the type invariant there is a resource.
        let resource = unsafe { self.first.add(self.filled) };
        self.filled += 1;
        // SAFETY: By the type invariant nothing refers to this resource yet, which may be written.
        unsafe { resource.write(description.fill(range)) };
        // SAFETY: `iomem_resource` is a static of C. The new one is never freed.
        to_result(unsafe {
            bindings::insert_resource(addr_of_mut!(bindings::iomem_resource), resource.as_ptr())
        })
    }

    /// How many resources there are, inserted or refused.
    #[inline]
    pub fn count(&self) -> usize {
        self.filled
    }

    /// Leaves the resources to C, for good.
    #[inline]
    pub fn into_raw(self) -> *mut RawResource {
        self.first.as_ptr()
    }
}
