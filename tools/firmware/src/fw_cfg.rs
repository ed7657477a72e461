// SPDX-License-Identifier: GPL-2.0

//! Files that QEMU hands to the firmware of its machine `virt`.
//!
//! Specification: `docs/specs/fw_cfg.rst` of QEMU.

use crate::memory;
use anyhow::{Context, Result, bail};
use core::{
    hint,
    ptr::{self, NonNull},
    slice,
    sync::atomic::{Ordering, fence},
};

/// Where a transfer is started: the high half of its address, then the low one.
const DMA_REGISTER: *mut u64 = 0x0902_0010 as *mut u64;

/// The list of files.
const DIRECTORY: u16 = 0x19;

const ERROR: u32 = 1 << 0;
const READ: u32 = 1 << 1;
const SELECT: u32 = 1 << 3;

/// A transfer: all numbers are big-endian.
#[repr(C)]
struct Transfer {
    control: u32,
    length: u32,
    address: u64,
}

/// An entry of the list.
const ENTRY: usize = 64;

/// A file in memory that is never freed.
pub struct File {
    start: NonNull<u8>,
    size: usize,
}

impl File {
    /// What is in it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: `file()` has filled so many bytes, and nobody changes them.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.size) }
    }
}

/// Reads the file called `name`.
pub fn file(name: &str) -> Result<File> {
    let mut count = [0; 4];
    read(DIRECTORY, &mut count)?;
    let count = u32::from_be_bytes(count) as usize;
    let mut list = alloc::vec![0; size_of::<u32>() + count * ENTRY];
    read(DIRECTORY, &mut list)?;
    let (size, key) = list[size_of::<u32>()..]
        .chunks_exact(ENTRY)
        .find(|entry| {
            let found = entry[8..].split(|byte| *byte == 0).next();
            found == Some(name.as_bytes())
        })
        .map(|entry| {
            let size = u32::from_be_bytes([entry[0], entry[1], entry[2], entry[3]]);
            (size as usize, u16::from_be_bytes([entry[4], entry[5]]))
        })
        .with_context(|| alloc::format!("QEMU has handed over no {name}"))?;
    let start = memory::pages(size)?;
    // SAFETY: So many bytes were just allocated, and nothing else refers to them.
    read(key, unsafe { slice::from_raw_parts_mut(start.as_ptr(), size) })?;
    Ok(File { start, size })
}

/// Fills `bytes` from the beginning of the item `key`.
fn read(key: u16, bytes: &mut [u8]) -> Result<()> {
    let mut transfer = Transfer {
        control: (u32::from(key) << 16 | SELECT | READ).to_be(),
        length: u32::try_from(bytes.len())?.to_be(),
        address: (bytes.as_mut_ptr() as u64).to_be(),
    };
    let address = ptr::from_mut(&mut transfer) as u64;
    let control = &raw mut transfer.control;
    fence(Ordering::SeqCst);
    // SAFETY: It is the register of this machine. QEMU reads the transfer and fills `bytes`, which
    // are both in use by nobody else until it is done.
    unsafe { DMA_REGISTER.write_volatile(address.to_be()) };
    loop {
        // SAFETY: It points to the transfer above.
        match u32::from_be(unsafe { control.read_volatile() }) {
            0 => break,
            left if left & ERROR != 0 => bail!("QEMU refuses to hand over item {key:#x}"),
            _ => hint::spin_loop(),
        }
    }
    fence(Ordering::SeqCst);
    Ok(())
}
