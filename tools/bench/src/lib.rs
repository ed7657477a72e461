// SPDX-License-Identifier: GPL-2.0

//! What the series costs: bytes, instructions, memory and time, side by side with stock and with the
//! same steps in C.

pub mod boot_count;
pub mod counter;
pub mod crash;
pub mod crash_memory;
pub mod curve;
pub mod firmware;
pub mod function_count;
pub mod goal;
pub mod layout;
pub mod machine;
pub mod memory;
pub mod part;
pub mod plain_c;
pub mod size;
pub mod smallest;
pub mod symbols;

use anyhow::{Context, Result};
use boot::{Counts, guest::Guest};
use build::{
    deps::{self, Qemu},
    kernel::{Kernel, Source, Spec, Variant, obtain},
};
use goal::Goal;
use part::{PARTS, Part};
use serde::Serialize;
use std::{fs, path::PathBuf};
use util::{place, setup};

/// What to measure.
#[derive(Clone, Debug)]
pub struct BenchOptions {
    /// The tree that the kernels are built from.
    pub source: Source,
    /// Only the parts whose name has this in it.
    pub part: Option<String>,
}

/// What is measured, and with what.
pub struct Bench {
    /// The tree that the kernels are built from.
    pub source: Source,
    /// Without the series.
    pub stock: Kernel,
    /// With the series.
    pub series: Kernel,
    /// With the same steps in C.
    pub plain_c: Kernel,
    /// QEMU and the firmware.
    pub qemu: Qemu,
    /// The guest's programs.
    pub guest: Guest,
    /// The plugin of QEMU.
    pub plugin: PathBuf,
    /// Whether each boot is counted twice, and that of the kernel in C, too.
    pub thorough: bool,
}

impl Bench {
    fn prepare(source: &Source, thorough: bool) -> Result<Self> {
        Ok(Self {
            source: source.clone(),
            stock: kernel(source, "minimal", false)?,
            series: kernel(source, "minimal", true)?,
            plain_c: plain_c::kernel(source)?,
            qemu: deps::qemu()?,
            guest: Guest::find()?,
            plugin: counter::plugin()?,
            thorough,
        })
    }

    /// A kernel of another configuration, with or without the series.
    fn kernel(&self, flavour: &str, series: bool) -> Result<Kernel> {
        kernel(&self.source, flavour, series)
    }
}

fn kernel(source: &Source, flavour: &str, series: bool) -> Result<Kernel> {
    let variant = Variant { series, mapping_2017: false };
    obtain(&Spec { source: source.clone(), variant, flavour: flavour.into() })
}

/// Measures, prints what came out, and counts the goals that are met.
pub fn run(options: &BenchOptions) -> Result<Counts> {
    let pattern = options.part.as_deref().unwrap_or_default();
    let parts: Vec<_> = PARTS.iter().filter(|part| part.name.contains(pattern)).collect();
    if parts.is_empty() {
        let names: Vec<_> = PARTS.iter().map(|part| part.name).collect();
        return Err(setup!("no part has '{pattern}' in its name; these are: {}", names.join(", ")));
    }
    let bench = Bench::prepare(&options.source, true)?;
    let goals = measure(&bench, &parts)?;
    keep("goals", &goals)?;
    Ok(judge(&goals))
}

/// The part of `make test`: what takes no long time, and depends on no clock. A goal that is not met
/// must not get worse.
pub fn test(source: &Source) -> Result<Counts> {
    let parts: Vec<_> = PARTS.iter().filter(|part| part.in_test).collect();
    let goals = measure(&Bench::prepare(source, false)?, &parts)?;
    Ok(judge(&goals.into_iter().map(Goal::for_test).collect::<Vec<_>>()))
}

fn measure(bench: &Bench, parts: &[&Part]) -> Result<Vec<Goal>> {
    println!("machine  {}", boot::machine::describe(&bench.qemu));
    println!("stock    {}", bench.stock.described);
    println!("series   {}", bench.series.described);
    println!("C        {}", bench.plain_c.described);
    let mut goals: Vec<Goal> = Vec::new();
    for part in parts {
        println!("\n== {}: {}", part.name, part.about);
        goals.extend((part.run)(bench).with_context(|| format!("measuring {}", part.name))?);
    }
    Ok(goals)
}

/// Prints the goals, and counts those that are met.
fn judge(goals: &[Goal]) -> Counts {
    println!("\n{}", goal::table(goals));
    goal::count(goals)
}

/// Keeps raw data in `out/bench`.
fn keep(name: &str, data: &impl Serialize) -> Result<()> {
    let path = place::out("bench")?.join(format!("{name}.json"));
    fs::write(&path, serde_json::to_vec_pretty(data)?)
        .with_context(|| format!("cannot write {}", path.display()))
}
