// SPDX-License-Identifier: GPL-2.0

//! From the machine as it is to a built kernel: packages, sources, the series, the build.

pub mod apply;
pub mod apt;
pub mod apt_sources;
pub mod base;
pub mod bridge;
pub mod build_tree;
pub mod cocci;
pub mod compile;
pub mod config;
pub mod deps;
pub mod find;
pub mod firmware;
pub mod insertion;
pub mod kernel;
pub mod libraries;
pub mod loader;
pub mod lock;
pub mod need;
pub mod pristine;
pub mod progress;
pub mod replace;
pub mod room;
pub mod secure_boot;
pub mod series;
pub mod shared;
pub mod size;
pub mod source_package;
pub mod toolchain;
pub mod unpacked;
pub mod user_tree;
pub mod version;
