// SPDX-License-Identifier: GPL-2.0

//! A fence around the memory that the kernel is to have: what is outside is filled with a pattern,
//! so that each word that is written there shows.
//!
//! The kernel finds the fence to be memory like any other: it belongs to a loader, and that has no
//! use for it once the kernel has started.

use crate::memory;
use alloc::vec::Vec;
use anyhow::{Result, bail};
use orders::{EFI_PAGE, LINE, Pages};
use uefi::{
    boot::{self, MemoryType},
    mem::memory_map::MemoryMap,
    println,
};

/// Takes all free memory but what is in `open`.
pub fn put_up(open: &[Pages]) -> Result<()> {
    loop {
        let taken: u64 = free_outside(open)?.into_iter().map(take).sum();
        if taken == 0 {
            return Ok(());
        }
    }
}

/// Takes what is still free of `pages`, and returns how many that are: the firmware may have taken
/// some for itself since it was asked what is free.
fn take(pages: Pages) -> u64 {
    if memory::take(pages).is_ok() {
        println!("{LINE}fence {:#x}-{:#x}", pages.start, pages.end() - 1);
        return pages.count;
    }
    let lower = Pages { count: pages.count / 2, ..pages };
    if lower.count == 0 {
        return 0;
    }
    let upper = Pages { start: lower.end(), count: pages.count - lower.count };
    take(lower) + take(upper)
}

/// The free memory outside of `open`.
fn free_outside(open: &[Pages]) -> Result<Vec<Pages>> {
    let map = match boot::memory_map(MemoryType::LOADER_DATA) {
        Ok(map) => map,
        Err(error) => bail!("there is no memory map: {error}"),
    };
    let free = map.entries().filter(|entry| entry.ty == MemoryType::CONVENTIONAL);
    let mut free: Vec<(u64, u64)> = free
        .map(|entry| (entry.phys_start, entry.phys_start + entry.page_count * EFI_PAGE))
        .collect();
    for gap in open {
        free = free
            .into_iter()
            .flat_map(|(start, end)| [(start, end.min(gap.start)), (start.max(gap.end()), end)])
            .filter(|(start, end)| start < end)
            .collect();
    }
    let pages = |(start, end)| Pages { start, count: (end - start) / EFI_PAGE };
    Ok(free.into_iter().map(pages).collect())
}
