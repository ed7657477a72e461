// SPDX-License-Identifier: GPL-2.0

//! The kernel's Rust objects, for the machine to link with.

extern crate acpi_reclaim;
extern crate acpi_tables;
extern crate confine_memory;
