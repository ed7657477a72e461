// SPDX-License-Identifier: GPL-2.0

//! Memory by its physical address.

use anyhow::{Result, anyhow};
use core::{ptr::NonNull, slice};
use orders::{EFI_PAGE, Pages, fill};
use uefi::boot::{self, AllocateType, MemoryType};

/// Allocates these very pages and fills them with the pattern.
///
/// They belong to a loader as far as the firmware knows: it would round memory of most other kinds
/// to more than a page.
pub fn take(pages: Pages) -> Result<()> {
    let count = usize::try_from(pages.count)?;
    let place = AllocateType::Address(pages.start);
    let taken = boot::allocate_pages(place, MemoryType::LOADER_DATA, count).map_err(|error| {
        anyhow!("{count} pages at {:#x} are not to be had: {error}", pages.start)
    })?;
    // SAFETY: The pages were just allocated, and nothing else refers to them.
    fill(unsafe { words(taken, count) }, pages.start);
    Ok(())
}

/// A copy of `bytes` that is never freed.
pub fn keep(bytes: &[u8], kind: MemoryType) -> Result<NonNull<u8>> {
    let copy = boot::allocate_pool(kind, bytes.len())
        .map_err(|error| anyhow!("{} bytes are not to be had: {error}", bytes.len()))?;
    // SAFETY: The pool has as many bytes, and is new.
    unsafe { copy.as_ptr().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len()) };
    Ok(copy)
}

/// New pages of the loader, anywhere, that are never freed.
pub fn pages(bytes: usize) -> Result<NonNull<u8>> {
    let count = bytes.div_ceil(EFI_PAGE as usize);
    boot::allocate_pages(AllocateType::AnyPages, MemoryType::LOADER_DATA, count)
        .map_err(|error| anyhow!("{count} pages are not to be had: {error}"))
}

/// The words of `count` pages.
///
/// # Safety
///
/// The pages are allocated, and nothing else refers to them while the words are in use.
pub unsafe fn words<'a>(pages: NonNull<u8>, count: usize) -> &'a mut [u64] {
    let words = count * (EFI_PAGE as usize / size_of::<u64>());
    // SAFETY: The caller's promise; every word of initialised or uninitialised memory of the
    // machine has some value, and pages are aligned.
    unsafe { slice::from_raw_parts_mut(pages.as_ptr().cast(), words) }
}
