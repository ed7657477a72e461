// SPDX-License-Identifier: GPL-2.0

//! What every part of the harness needs: commands as values, failures with an exit status, the
//! places where things are kept.

pub mod command;
pub mod disk;
pub mod failure;
pub mod hash;
pub mod name;
pub mod place;
pub mod table;
