// SPDX-License-Identifier: GPL-2.0

//! What goes to the mailing lists: the patches, and what upstream's own tools say of them.

pub mod check;
pub mod cover;
pub mod patches;
pub mod recipients;
pub mod repository;
pub mod round_trip;
