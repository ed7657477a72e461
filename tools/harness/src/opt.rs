// SPDX-License-Identifier: GPL-2.0

//! The verbs and what they take. The doc comments are what `make help` prints.

use build::{base::Bases, kernel::Source};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// ACPI Tables for arm64 kdump: crash an ACPI-only machine, and come back with its tables and its
/// dump.
#[derive(Debug, Parser)]
#[command(name = "make", disable_help_subcommand = true)]
pub struct Options {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Find what is needed on this machine, and install what is missing
    Deps,
    /// Crash the machine with the series and without it, and compare
    Crash(CrashOptions),
    /// Run all tests of the project
    Test(TestOptions),
    /// Fuzz the pure files with libFuzzer
    Fuzz(FuzzOptions),
    /// Do the long list of runs: hostile firmware, hostile device trees, the evidence, and every machine
    Matrix(MatrixOptions),
    /// Boot the kernel's own memblock with the series on this machine, as often as is asked for
    Differential(DifferentialOptions),
    /// Run what upstream would run on the series
    Check(CheckOptions),
    /// Measure what the series costs: bytes, instructions, memory and time
    Bench(BenchOptions),
    /// Write the series into out/patches, ready for git send-email or b4
    Patches(PatchesOptions),
    /// Build one kernel; prints the path of its Image
    Image(ImageOptions),
    /// Apply the series to your own tree: commits on a new branch in a git tree, in place otherwise
    Apply(ApplyOptions),
    /// Print this
    Help,
}

/// What `crash` takes.
#[derive(Debug, Args)]
pub struct CrashOptions {
    #[command(flatten)]
    pub kernel: KernelOptions,
    /// Bring back the fault of this year in the kernel: 2017
    #[arg(long, value_name = "YEAR")]
    pub reproduce: Option<Fault>,
}

/// What `test` takes.
#[derive(Debug, Args)]
pub struct TestOptions {
    /// Only the groups of tests whose name has this in it
    #[arg(long, value_name = "PATTERN")]
    pub group: Option<String>,
}

/// What `fuzz` takes.
#[derive(Debug, Args)]
pub struct FuzzOptions {
    /// Only the targets whose name has this in it; they are in tools/fuzz
    #[arg(long, value_name = "PATTERN")]
    pub target: Option<String>,
    /// How long each target is fuzzed; it goes on from what earlier runs have found
    #[arg(long, value_name = "NUMBER", default_value = "60", value_parser = clap::value_parser!(u32).range(1..))]
    pub seconds: u32,
    /// Add what was found to the kept corpus, and minimise it: 1
    #[arg(long, value_name = "0|1", default_value = "0")]
    pub keep: Flag,
}

/// What `matrix` takes.
#[derive(Debug, Args)]
pub struct MatrixOptions {
    #[command(flatten)]
    pub kernel: KernelOptions,
    /// Only the runs whose name has this in it
    #[arg(long, value_name = "PATTERN")]
    pub case: Option<String>,
    /// Configuration of the kernels that boot the cases: a file below configs/, without its ending
    #[arg(long, value_name = "NAME", default_value = "minimal")]
    pub flavour: String,
    /// Print the names, and boot nothing: 1
    #[arg(long, value_name = "0|1", default_value = "0")]
    pub list: Flag,
}

/// What `differential` takes.
#[derive(Debug, Args)]
pub struct DifferentialOptions {
    #[command(flatten)]
    pub kernel: KernelOptions,
    /// How many boots
    #[arg(long, value_name = "NUMBER", default_value_t = differential::CASES, value_parser = clap::value_parser!(u32).range(1..))]
    pub cases: u32,
    /// What they are generated from: other boots for another number
    #[arg(long, value_name = "NUMBER", default_value_t = differential::SEED)]
    pub seed: u64,
}

/// What `check` takes.
#[derive(Debug, Args)]
pub struct CheckOptions {
    /// Only the gate of this name, or all that have it in their name; each ends with a status of its own, and the run with the worst
    #[arg(long, value_name = "PATTERN")]
    pub gate: Option<String>,
}

/// What `bench` takes.
#[derive(Debug, Args)]
pub struct BenchOptions {
    #[command(flatten)]
    pub kernel: KernelOptions,
    /// Only the parts whose name has this in it: size, boot, steps, memory (with 16K and 64K pages, too: builds four kernels more the first time), smallest (crashkernel=), time
    #[arg(long, value_name = "PATTERN")]
    pub part: Option<String>,
}

/// What `patches` takes.
#[derive(Debug, Args)]
pub struct PatchesOptions {
    #[command(flatten)]
    pub kernel: KernelOptions,
    /// Version of the series; from 2 on the cover letter says what changed
    #[arg(long, value_name = "NUMBER", default_value = "1")]
    pub v: u32,
    /// Sign the patches off with your git identity: 1
    #[arg(long, value_name = "0|1", default_value = "0")]
    pub signoff: Flag,
    /// Print who should get the patches, as the tree's get_maintainer.pl says: 1
    #[arg(long, value_name = "0|1", default_value = "0")]
    pub cc: Flag,
}

/// What `image` takes.
#[derive(Debug, Args)]
pub struct ImageOptions {
    #[command(flatten)]
    pub kernel: KernelOptions,
    /// Configuration: a file below configs/, without its ending
    #[arg(long, value_name = "NAME", default_value = "minimal")]
    pub flavour: String,
    /// Whether the series is applied
    #[arg(long, value_name = "on|off", default_value = "on")]
    pub series: Switch,
}

/// What `apply` takes.
#[derive(Debug, Args)]
pub struct ApplyOptions {
    /// Your kernel tree
    #[arg(long, value_name = "DIR")]
    pub linux: PathBuf,
    /// Sign the patches off with your git identity: 1
    #[arg(long, value_name = "0|1", default_value = "0")]
    pub signoff: Flag,
}

/// Which kernel tree.
#[derive(Debug, Args)]
pub struct KernelOptions {
    /// Version of the kernel; bases.toml lists them
    #[arg(long, value_name = "VERSION")]
    pub base: Option<String>,
    /// Your own kernel tree instead of a base; nothing is ever built in it
    #[arg(long, value_name = "DIR", conflicts_with = "base")]
    pub linux: Option<PathBuf>,
}

impl KernelOptions {
    /// The tree that is asked for.
    pub fn source(self) -> anyhow::Result<Source> {
        if let Some(dir) = self.linux {
            return Ok(Source::Dir(dir));
        }
        let Some(version) = self.base else { return Ok(Source::Default) };
        Bases::load()?.get(&version)?;
        Ok(Source::Base(version))
    }
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Switch {
    /// On.
    On,
    /// Off.
    Off,
}

/// 1 or 0, as make's variables have it.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Flag {
    /// No.
    #[value(name = "0")]
    No,
    /// Yes.
    #[value(name = "1")]
    Yes,
}

/// A fault that can be brought back.
#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Fault {
    /// ACPI memory mapped as Device memory.
    #[value(name = "2017")]
    Mapping2017,
}
