// SPDX-License-Identifier: GPL-2.0

//! An order: what a machine is to boot. `struct order` in machine/machine.h is the same.

use oracle::{Boot, Cells, Descriptor, Set, Span};
use std::fmt;

/// The attribute of mirrored memory.
pub const MORE_RELIABLE: u64 = 0x1_0000;

/// A boot, and what a [`Boot`] leaves open.
#[derive(Clone, Debug)]
pub struct Order {
    /// What the rules are about; its fields `last` and `room` follow from others.
    pub boot: Boot,
    /// How far one descriptor of the EFI memory map is from the next one, in bytes.
    pub stride: usize,
    /// The physical addresses have so many bits.
    pub phys_bits: u32,
    /// Whether `kernelcore=mirror` is given.
    pub mirror: bool,
    /// Where the kernel image is.
    pub image: Span,
    /// Where the initramfs is.
    pub initrd: Option<Span>,
    /// Where the device tree is.
    pub fdt: Option<Span>,
    /// Where the EFI memory map is.
    pub map_start: u64,
    /// How many page tables are made before there is a linear map.
    pub page_tables: u64,
    /// What may be written to through the linear map.
    pub writable: Set,
}

/// For people: what firmware, the loader and the user have given, and the rest in a few lines.
impl fmt::Display for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 40;
        let Self { boot, stride, .. } = self;
        let Boot { map, page, cells, acpi, soft_reserve, limit, last, linear_map, .. } = boot;
        writeln!(
            f,
            "  EFI memory map, {} descriptors, {stride} bytes from one to the next:",
            map.len()
        )?;
        for Descriptor { kind, start, pages, attributes } in map.iter().take(SHOWN) {
            writeln!(
                f,
                "    type {kind:#x} at {start:#x}, {pages:#x} pages, attributes {attributes:#x}"
            )?;
        }
        match &boot.property {
            None => writeln!(f, "  no property")?,
            Some(property) => {
                let Cells { address, size } = cells;
                writeln!(f, "  property of {address} + {size} cells, {} bytes:", property.len())?;
                for entry in property.chunks((4 * (address + size)).max(1)).take(SHOWN) {
                    let cells = entry.chunks(4).map(|cell| {
                        cell.iter().map(|byte| format!("{byte:02x}")).collect::<String>()
                    });
                    writeln!(f, "    {}", cells.collect::<Vec<_>>().join(" "))?;
                }
            }
        }
        writeln!(
            f,
            "  acpi {acpi}, soft reserve {soft_reserve}, mirror {}, mem= {limit:x?}",
            self.mirror
        )?;
        writeln!(
            f,
            "  {page:#x} bytes to a page, last address {last:#x}, linear map {linear_map:#x}"
        )?;
        write!(
            f,
            "  image {:?}, initramfs {:?}, device tree {:?}, map at {:#x}, {} page tables",
            self.image, self.initrd, self.fdt, self.map_start, self.page_tables
        )
    }
}

/// What a number is where there is no such thing.
const NONE: u64 = u64::MAX;

impl Order {
    /// What the machine reads.
    pub fn to_bytes(&self) -> Vec<u8> {
        let Self { boot, .. } = self;
        let size = |span: Option<Span>| span.map_or(0, |span| span.last - span.first + 1);
        let first = |span: Option<Span>| span.map_or(0, |span| span.first);
        let property = boot.property.as_deref();
        let numbers = [
            property.map_or(NONE, |bytes| bytes.len() as u64),
            self.map_bytes().len() as u64,
            self.writable.spans().len() as u64,
            boot.cells.address as u64,
            boot.cells.size as u64,
            self.stride as u64,
            self.map_start,
            u64::from(boot.acpi),
            u64::from(boot.soft_reserve),
            u64::from(self.mirror),
            boot.limit.unwrap_or(NONE),
            boot.linear_map,
            u64::from(self.phys_bits),
            self.image.first,
            size(Some(self.image)),
            first(self.initrd),
            size(self.initrd),
            first(self.fdt),
            size(self.fdt),
            self.page_tables,
            1,
        ];
        let mut bytes: Vec<u8> = numbers.into_iter().flat_map(u64::to_ne_bytes).collect();
        bytes.extend(property.unwrap_or_default());
        bytes.extend(self.map_bytes());
        let bounds = self.writable.spans().iter().flat_map(|span| [span.first, span.last]);
        bytes.extend(bounds.flat_map(u64::to_ne_bytes));
        bytes
    }

    /// The EFI memory map as firmware writes it.
    pub fn map_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for descriptor in &self.boot.map {
            let begin = bytes.len();
            bytes.extend(u64::from(descriptor.kind).to_le_bytes());
            let numbers = [descriptor.start, 0, descriptor.pages, descriptor.attributes];
            bytes.extend(numbers.into_iter().flat_map(u64::to_le_bytes));
            // What lies between two descriptors is firmware's, and nobody may look at it.
            bytes.resize(begin + self.stride, 0xff);
        }
        bytes
    }
}
