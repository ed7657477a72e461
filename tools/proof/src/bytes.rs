// SPDX-License-Identifier: GPL-2.0

//! EFI memory maps as firmware writes them.

use kernel::efi::{Descriptor, Descriptors};

/// The bytes of a map with a descriptor every `step` bytes.
pub fn bytes_of(map: &[oracle::Descriptor], step: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(map.len() * step);
    for descriptor in map {
        let end = bytes.len() + step;
        bytes.extend(descriptor.kind.to_le_bytes());
        // Padding, and VirtualStart below, mean nothing here.
        bytes.extend([0xa5; 4]);
        bytes.extend(descriptor.start.to_le_bytes());
        bytes.extend([0x5a; 8]);
        bytes.extend(descriptor.pages.to_le_bytes());
        bytes.extend(descriptor.attributes.to_le_bytes());
        bytes.resize(end, 0xff);
    }
    bytes
}

/// The map as the kernel reads it from its bytes.
pub fn descriptors_of(map: &[oracle::Descriptor]) -> Vec<Descriptor> {
    let bytes = bytes_of(map, Descriptor::SIZE);
    let map = Descriptors::new_checked(&bytes, Descriptor::SIZE);
    map.expect("a step is a descriptor").iter().collect()
}
