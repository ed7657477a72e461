// SPDX-License-Identifier: GPL-2.0

//! The series against the kernel's own code: boots of any kind, on the host.
//!
//! The memblock of a kernel tree, what arm64 and EFI do with it before there is a linear map, and the
//! Rust of the series, glue and all, make a program of the host (machine/). It boots what is
//! generated here. What memblock's lists are then, and what it hands out until there is no more, is
//! held against the oracle; the same program without the series shows what it is good for. With the
//! steps of the series in C, of tools/bench/plain_c, the same must come of each boot, line by line.

mod check;
mod compile;
mod expect;
mod extract;
mod fixed;
mod generate;
mod machine;
mod order;
mod run;
mod stock;
mod taken;

pub use run::{CASES, Options, Report, SEED, run};
