// SPDX-License-Identifier: GPL-2.0

//! What a machine takes out of a kernel tree.

use crate::extract::{define, function, lines};
use anyhow::{Context, Result};
use build::{pristine::Pristine, series::Changes};
use std::path::{Path, PathBuf};

/// What is taken out of a file, in the order in which C wants it.
struct Source {
    file: &'static str,
    /// Functions; macros are in capital letters.
    names: &'static [&'static str],
    /// What not all of the supported kernels have, nor need.
    if_there: &'static [&'static str],
}

const NOTHING: Source = Source { file: "", names: &[], if_there: &[] };

const SOURCES: [Source; 13] = [
    Source { file: "include/linux/of.h", names: &["of_read_number"], ..NOTHING },
    Source { file: "lib/cmdline.c", names: &["next_arg"], ..NOTHING },
    Source {
        file: "kernel/params.c",
        names: &["dash2underscore", "parameqn", "parameq", "parse_one", "parse_args"],
        ..NOTHING
    },
    Source {
        file: "kernel/resource.c",
        names: &[
            "__request_resource",
            "__insert_resource",
            "insert_resource_conflict",
            "insert_resource",
        ],
        ..NOTHING
    },
    Source {
        file: "drivers/firmware/efi/memmap.c",
        names: &["__efi_memmap_init", "efi_memmap_init_early", "efi_memmap_unmap"],
        ..NOTHING
    },
    Source {
        file: "include/linux/crash_reserve.h",
        if_there: &["CRASHK_CMA_RANGES_MAX"],
        ..NOTHING
    },
    Source { file: "drivers/of/fdt.c", names: &["MAX_USABLE_RANGES"], ..NOTHING },
    Source {
        file: "drivers/of/fdt.c",
        names: &["of_get_flat_dt_prop", "dt_mem_next_cell"],
        if_there: &["of_flat_dt_get_addr_size_prop", "of_flat_dt_read_addr_size"],
    },
    Source {
        file: "drivers/of/fdt.c",
        names: &[
            "early_init_dt_scan_root",
            "early_init_dt_add_memory_arch",
            "early_init_dt_check_for_usable_mem_range",
        ],
        ..NOTHING
    },
    Source { file: "drivers/firmware/efi/efi.c", names: &["efi_find_mirror"], ..NOTHING },
    Source {
        file: "drivers/firmware/efi/efi-init.c",
        names: &["is_memory", "is_usable_memory", "reserve_regions", "efi_init"],
        ..NOTHING
    },
    Source {
        file: "arch/arm64/mm/init.c",
        names: &["arm64_memblock_init"],
        if_there: &[
            "arm64_linear_region_size",
            "arm64_last_phys_addr",
            "arm64_largest_paging_alloc",
        ],
    },
    Source { file: SETUP, names: &["request_standard_resources"], ..NOTHING },
];

const SETUP: &str = "arch/arm64/kernel/setup.c";

/// What bounds memblock on arm64.
const LIMITS: (&str, [&str; 3]) = (
    "arch/arm64/include/asm/memory.h",
    ["INIT_MEMBLOCK_MEMORY_REGIONS", "MIN_MEMBLOCK_ADDR", "MAX_MEMBLOCK_ADDR"],
);

/// The part of setup_arch() that decides about memory.
const SETUP_ARCH: (&str, &str) = ("efi_init();", "acpi_table_upgrade();");

/// A kernel tree with changes laid over it.
pub struct Tree<'a> {
    /// The tree as others made it.
    pub pristine: &'a Pristine,
    /// What is changed in it.
    pub changes: &'a Changes,
}

impl Tree<'_> {
    /// The text of one file.
    pub fn read(&self, file: &str) -> Result<String> {
        let bytes = match self.changes.get(Path::new(file)) {
            Some(bytes) => Some(bytes.clone()),
            None => self.pristine.read(Path::new(file))?,
        };
        let bytes =
            bytes.with_context(|| format!("{} has no file {file}", self.pristine.described))?;
        String::from_utf8(bytes).with_context(|| format!("{file} is no text"))
    }

    /// Where the file is that nothing is changed in.
    pub fn path(&self, file: &str) -> PathBuf {
        self.pristine.dir.join(file)
    }

    /// The functions, one after the other.
    pub fn functions(&self) -> Result<String> {
        let mut taken = String::new();
        for source in &SOURCES {
            let text = self.read(source.file)?;
            let context = || format!("{} of {}", source.file, self.pristine.described);
            taken += &format!("\n/* {} */\n", source.file);
            // What others of the same file call stands before them.
            for name in source.if_there {
                taken += &part(&text, name).unwrap_or_default();
            }
            for name in source.names {
                taken += &part(&text, name).with_context(context)?;
            }
        }
        Ok(taken)
    }

    /// What bounds memblock.
    pub fn limits(&self) -> Result<String> {
        let text = self.read(LIMITS.0)?;
        LIMITS.1.iter().map(|name| define(&text, name)).collect()
    }

    /// The calls of setup_arch().
    pub fn setup_arch(&self) -> Result<String> {
        let whole = function(&self.read(SETUP)?, "setup_arch")?;
        lines(&whole, SETUP_ARCH.0, SETUP_ARCH.1)
            .with_context(|| format!("setup_arch() of {}", self.pristine.described))
    }
}

/// The function or macro called `name`.
fn part(text: &str, name: &str) -> Result<String> {
    if name.chars().any(|letter| letter.is_ascii_lowercase()) {
        function(text, name)
    } else {
        define(text, name)
    }
}
