// SPDX-License-Identifier: GPL-2.0

//! What a kernel is handed by firmware, made up: an EFI memory map of any size, and no firmware.
//!
//! The kernel is started as its EFI stub starts it, or kexec: behind the stub, with a device tree
//! that has nothing but `/chosen`, where that has the EFI system table and the memory map. All of
//! early boot's own code runs on it. There are no ACPI tables in ACPI Reclaim memory, so the kernel
//! would not come further than that.

use anyhow::{Context, Result, ensure};
use std::{
    fs,
    path::{Path, PathBuf},
};
use vm_fdt::FdtWriter;

/// Where memory begins on `virt`.
const MEMORY: u64 = 0x4000_0000;
/// Where things are in the first descriptor of the map. QEMU puts a device tree at its start.
const START: u64 = MEMORY + 0x10_0000;
const SYSTEM_TABLE: u64 = MEMORY + 0x11_0000;
const VENDOR: u64 = SYSTEM_TABLE + 0x400;
const TABLES: u64 = SYSTEM_TABLE + 0x800;
const DEVICE_TREE: u64 = MEMORY + 0x18_0000;
const KERNEL: u64 = MEMORY + 0x20_0000;
const MAP: u64 = MEMORY + 0x200_0000;
/// The size of the first descriptor.
const HEAD: u64 = 64 << 20;
/// The size of each other one.
const PIECE: u64 = 256 << 10;

/// The size of a descriptor, and of a step: firmware steps wider.
const STEP: usize = 48;
/// The most descriptors: early_memremap() maps 256 KiB.
const MOST: usize = 5000;

const EFI_PAGE: u64 = 4096;
/// Types of memory.
const BOOT_SERVICES_DATA: u32 = 4;
const CONVENTIONAL: u32 = 7;
const ACPI_RECLAIM: u32 = 9;
/// Uncached, write-combining, write-through, write-back.
const ATTRIBUTES: u64 = 0xf;

/// What firmware says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Firmware {
    /// How many descriptors the memory map has.
    pub descriptors: usize,
    /// How many ranges of ACPI Reclaim memory are among them, none of which touch.
    pub ranges: usize,
    /// Whether the map is in falling order, and not in rising order.
    pub falling: bool,
    /// Whether there is a `linux,usable-memory-range`, of the first descriptor.
    pub crash: bool,
}

impl Firmware {
    /// How much memory the machine needs, in MiB.
    pub fn memory(&self) -> u64 {
        (HEAD + PIECE * self.descriptors as u64).div_ceil(1 << 20)
    }

    /// QEMU's options that load all of it, with its files in `dir`.
    pub fn options(&self, image: &Path, command_line: &str, dir: &Path) -> Result<Vec<String>> {
        let (places, tables) = (self.map()?, system_table());
        let files = [
            ("start", START, start()),
            ("system-table", SYSTEM_TABLE, tables),
            ("device-tree", DEVICE_TREE, self.device_tree(places.len(), command_line)?),
            ("map", MAP, places),
        ];
        let mut options = load(image, KERNEL);
        for (name, address, bytes) in files {
            let path: PathBuf = dir.join(name);
            fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
            options.extend(load(&path, address));
        }
        options.extend(["-device".into(), format!("loader,addr={START:#x},cpu-num=0")]);
        Ok(options)
    }

    /// The EFI memory map.
    fn map(&self) -> Result<Vec<u8>> {
        let pieces = self.descriptors.checked_sub(1).context("a map has a descriptor")?;
        ensure!(self.descriptors <= MOST, "more than {MOST} descriptors cannot be mapped");
        ensure!(2 * self.ranges <= pieces, "{} ranges would touch", self.ranges);
        let mut descriptors = vec![descriptor(CONVENTIONAL, MEMORY, HEAD)];
        for piece in 0..pieces {
            // Spread evenly; the last piece of each share is a range.
            let share = |piece| piece * self.ranges / pieces;
            let kind = match piece {
                _ if share(piece + 1) > share(piece) => ACPI_RECLAIM,
                _ if piece % 2 == 0 => BOOT_SERVICES_DATA,
                _ => CONVENTIONAL,
            };
            descriptors.push(descriptor(kind, MEMORY + HEAD + PIECE * piece as u64, PIECE));
        }
        if self.falling {
            descriptors.reverse();
        }
        Ok(descriptors.concat())
    }

    fn device_tree(&self, map_size: usize, command_line: &str) -> Result<Vec<u8>> {
        let mut fdt = FdtWriter::new()?;
        let root = fdt.begin_node("")?;
        fdt.property_u32("#address-cells", 2)?;
        fdt.property_u32("#size-cells", 2)?;
        let chosen = fdt.begin_node("chosen")?;
        fdt.property_string("bootargs", command_line)?;
        fdt.property_u64("linux,uefi-system-table", SYSTEM_TABLE)?;
        fdt.property_u64("linux,uefi-mmap-start", MAP)?;
        fdt.property_u32("linux,uefi-mmap-size", u32::try_from(map_size)?)?;
        fdt.property_u32("linux,uefi-mmap-desc-size", u32::try_from(STEP)?)?;
        fdt.property_u32("linux,uefi-mmap-desc-ver", 1)?;
        fdt.property_u32("linux,uefi-secure-boot", 0)?;
        if self.crash {
            fdt.property_array_u64("linux,usable-memory-range", &[MEMORY, HEAD])?;
        }
        fdt.end_node(chosen)?;
        fdt.end_node(root)?;
        Ok(fdt.finish()?)
    }
}

fn load(path: &Path, address: u64) -> Vec<String> {
    let path = crate::machine::option_value(path);
    vec!["-device".into(), format!("loader,file={path},addr={address:#x},force-raw=on")]
}

/// Starts the kernel as the boot protocol asks for.
fn start() -> Vec<u8> {
    let code: [u32; 6] = [
        0x5800_00c0, // ldr x0, device tree
        0xaa1f_03e1, // mov x1, xzr
        0xaa1f_03e2, // mov x2, xzr
        0xaa1f_03e3, // mov x3, xzr
        0x5800_0084, // ldr x4, kernel
        0xd61f_0080, // br x4
    ];
    let code = code.iter().flat_map(|word| word.to_le_bytes());
    code.chain(DEVICE_TREE.to_le_bytes()).chain(KERNEL.to_le_bytes()).collect()
}

/// An EFI_MEMORY_DESCRIPTOR.
fn descriptor(kind: u32, start: u64, size: u64) -> Vec<u8> {
    let mut bytes = u64::from(kind).to_le_bytes().to_vec();
    for number in [start, 0, size / EFI_PAGE, ATTRIBUTES] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize(STEP, 0);
    bytes
}

/// An EFI_SYSTEM_TABLE, the name of a vendor, and one configuration table: that of ACPI 2.0.
fn system_table() -> Vec<u8> {
    const HEADER: [u64; 3] = [0x5453_5953_2049_4249, 2 << 16 | 70 | 120 << 32, 0];
    let mut bytes = Vec::new();
    for number in HEADER.into_iter().chain([VENDOR]).chain([0; 9]).chain([1, TABLES]) {
        bytes.extend(number.to_le_bytes());
    }
    bytes.resize((VENDOR - SYSTEM_TABLE) as usize, 0);
    bytes.extend("made up\0".encode_utf16().flat_map(u16::to_le_bytes));
    bytes.resize((TABLES - SYSTEM_TABLE) as usize, 0);
    bytes.extend([0x71, 0xe8, 0x68, 0x88, 0xf1, 0xe4, 0xd3, 0x11]);
    bytes.extend([0xbc, 0x22, 0x00, 0x80, 0xc7, 0x3c, 0x88, 0x81]);
    bytes.extend((MEMORY + HEAD).to_le_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firmware(descriptors: usize, ranges: usize) -> Firmware {
        Firmware { descriptors, ranges, falling: false, crash: true }
    }

    fn number(bytes: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(*bytes[at..].first_chunk().unwrap())
    }

    #[test]
    fn a_map_has_what_was_asked_for_and_no_gap() {
        for (descriptors, ranges) in [(16, 1), (64, 16), (4096, 256), (3, 1), (513, 256)] {
            let mut firmware = firmware(descriptors, ranges);
            let map = firmware.map().unwrap();
            assert_eq!(map.len(), descriptors * STEP);
            let of_acpi = |step: &[u8]| number(step, 0) == u64::from(ACPI_RECLAIM);
            let steps: Vec<_> = map.chunks(STEP).collect();
            assert_eq!(steps.iter().filter(|step| of_acpi(step)).count(), ranges);
            for pair in steps.windows(2) {
                assert!(!(of_acpi(pair[0]) && of_acpi(pair[1])), "two ranges touch");
                let end = number(pair[0], 8) + number(pair[0], 24) * EFI_PAGE;
                assert_eq!(end, number(pair[1], 8));
            }
            firmware.falling = true;
            assert_eq!(firmware.map().unwrap()[..STEP], *steps[descriptors - 1]);
        }
        assert!(firmware(16, 8).map().is_err());
        assert!(firmware(0, 0).map().is_err());
        assert!(firmware(MOST + 1, 0).map().is_err());
    }

    #[test]
    fn things_do_not_overlap() {
        assert_eq!(system_table().len(), (TABLES - SYSTEM_TABLE) as usize + 24);
        assert!(MAP + (MOST * STEP) as u64 <= MEMORY + HEAD);
        let tree = firmware(16, 1).device_tree(16 * STEP, &"x".repeat(2000)).unwrap();
        assert!(DEVICE_TREE + tree.len() as u64 <= KERNEL);
    }

    #[test]
    fn a_crash_kernel_is_told_what_it_may_use() {
        let tree = |crash| {
            let firmware = Firmware { crash, ..firmware(16, 1) };
            String::from_utf8_lossy(&firmware.device_tree(768, "quiet").unwrap()).into_owned()
        };
        assert!(tree(true).contains("linux,usable-memory-range"));
        assert!(!tree(false).contains("linux,usable-memory-range"));
    }
}
