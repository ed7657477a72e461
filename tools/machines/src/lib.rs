// SPDX-License-Identifier: GPL-2.0

//! The machines to crash: `machines.toml` of the checkout.
//!
//! An entry is a machine, the kernels that run on it, and how it is crashed. What must come of it is
//! what must come of every crash; an entry says where that is otherwise, and why.

mod hardware;
mod text;

pub use hardware::{Firmware, Gic, Hardware};

use anyhow::Result;
use serde::Deserialize;
use util::{place, table};

/// How much memory a crash kernel has, in bytes, where nothing else is said.
pub const CRASH_MEMORY: u64 = 256 << 20;

/// What the first kernel is told so that the crash kernel has so many bytes.
pub fn reservation(bytes: u64) -> String {
    format!("crashkernel={}M", bytes >> 20)
}

/// What a crash kernel is told besides, where nothing else is said: it is what most servers tell it.
pub const CRASH_OPTIONS: &str = "nr_cpus=1 reset_devices";

/// One machine, its kernels, and its crashes.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// The name.
    pub name: String,
    /// What is special about it, in a few words: its result begins with them.
    pub what: String,
    /// The numbers of the hazards, of those that `machines.toml` lists, that it guards against.
    pub hazards: Vec<u32>,
    /// The machine.
    pub hardware: Hardware,
    /// The configuration of the kernel that crashes.
    pub first: String,
    /// The configuration of the crash kernel.
    pub crash: String,
    /// Which of the two kernels have the series; each is a column.
    pub columns: Vec<Column>,
    /// The names of the loaders, each of which crashes each column.
    pub loaders: Vec<String>,
    /// The name of the kexec-tools.
    pub kexec_tools: String,
    /// What the first kernel is told of `crashkernel=`.
    pub reservation: String,
    /// What the first kernel is told besides.
    pub options: String,
    /// What the crash kernel is told besides.
    pub crash_options: String,
    /// The name of what makes the first kernel panic.
    pub cause: String,
    /// The name of a case of `cases.toml` whose firmware starts the first kernel.
    pub case: Option<String>,
    /// How many times one kernel starts another by kexec before the crash.
    pub hops: usize,
    /// Whether every other one of them has the series where the one that crashes has not, and the
    /// other way round.
    pub alternates: bool,
    /// Whether the dump is read by the programs that read dumps.
    pub reads_dump: bool,
    /// Whether the first kernel runs the kernel's own selftests of kexec.
    pub selftests: bool,
    /// Whether EFI variables are read in both kernels.
    pub efi_runtime: bool,
    /// Whether the dump is left out: there is more memory than anyone can wait for.
    pub headers_only: bool,
    /// How many times as long as usual each phase may take.
    pub patience: u32,
    /// What its kernels have to say: that the machine is what it should be.
    pub says: Vec<Says>,
    /// What of the console is expected trouble; each has to be there.
    pub trouble: Vec<Trouble>,
    /// Whether the log of the first kernel is longer than what it keeps: the guest then does not know where
    /// tables are.
    pub log_overflows: bool,
    /// What comes of the tables in a crash kernel with the series.
    pub tables: Tables,
    /// In which columns the crash kernel does not come up.
    pub dies: Vec<Column>,
    /// What comes of it otherwise than usual.
    pub unlike: Vec<Unlike>,
    /// Whether `make test` crashes it as well.
    pub quick: bool,
}

/// Which kernels have the series.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Column {
    /// Neither.
    Stock,
    /// Both.
    Series,
    /// The crash kernel alone.
    StockSeries,
    /// The first kernel alone.
    SeriesStock,
}

impl Column {
    /// The name, as in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stock => "stock",
            Self::Series => "series",
            Self::StockSeries => "stock-series",
            Self::SeriesStock => "series-stock",
        }
    }

    /// Whether the first kernel has the series.
    pub fn first(self) -> bool {
        matches!(self, Self::Series | Self::SeriesStock)
    }

    /// Whether the crash kernel has the series.
    pub fn crash(self) -> bool {
        matches!(self, Self::Series | Self::StockSeries)
    }
}

/// What comes of the ACPI tables in a crash kernel with the series.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tables {
    /// They are in memory, reserved.
    #[default]
    Kept,
    /// They are left out of memory, as in stock, for they would cost the crash kernel memory of its own.
    LeftOut,
    /// Some of them cannot be mapped, in either kernel and with or without the series.
    Unmapped,
    /// There are none: the machine is described by a device tree.
    Absent,
}

/// Something that a kernel has to say.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Says {
    /// Part of a line of its log.
    pub line: String,
    /// Which kernel.
    #[serde(default)]
    pub by: By,
    /// Where; everywhere, if there is none.
    #[serde(default)]
    pub columns: Vec<Column>,
}

/// A line of trouble that is expected.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Trouble {
    /// Part of it.
    pub line: String,
    /// Where; everywhere, if there is none.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// Why.
    pub why: String,
}

/// One of two kernels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The one that crashes.
    #[default]
    First,
    /// The one that saves the dump.
    Crash,
}

/// A property that is otherwise than usual.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Unlike {
    /// Its key.
    pub property: String,
    /// Where; everywhere, if there is none.
    #[serde(default)]
    pub columns: Vec<Column>,
    /// With which loader; with each, if there is none.
    pub loader: Option<String>,
    /// What is expected.
    pub expected: Expected,
    /// Why.
    pub why: String,
}

/// What is expected of a property.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// It holds.
    Holds,
    /// It is measured, and does not hold.
    Fails,
    /// The run ends before it can be measured.
    NotReached,
    /// It has no meaning on this machine.
    Unasked,
}

impl Says {
    /// Whether it is about this column.
    pub fn concerns(&self, column: Column) -> bool {
        concerns(&self.columns, column)
    }
}

impl Trouble {
    /// Whether it is about this column.
    pub fn concerns(&self, column: Column) -> bool {
        concerns(&self.columns, column)
    }
}

/// Whether `columns`, of which none means all, have `column`.
fn concerns(columns: &[Column], column: Column) -> bool {
    columns.is_empty() || columns.contains(&column)
}

impl Unlike {
    /// Whether it is about this column and this loader.
    pub fn concerns(&self, column: Column, loader: &str) -> bool {
        concerns(&self.columns, column) && self.loader.as_deref().is_none_or(|one| one == loader)
    }
}

/// The machines of the checkout.
pub fn load() -> Result<Vec<Entry>> {
    table::load(&place::checkout()?.join("machines.toml"), parse)
}

/// The machines that `text` has.
pub fn parse(text: &str) -> Result<Vec<Entry>> {
    text::parse(text)
}
