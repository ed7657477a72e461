// SPDX-License-Identifier: GPL-2.0

//! The programs that read a dump in the crash kernel.

use crate::{archive::Archive, program::Program};
use anyhow::Result;
use build::unpacked;

/// `archive` with `/sbin/makedumpfile` and `/sbin/vmcore-dmesg`, which are fetched when they are not
/// there.
pub fn put(archive: Archive) -> Result<Archive> {
    let makedumpfile = unpacked::root("makedumpfile")?;
    let makedumpfile =
        Program::find(&makedumpfile, &["usr/bin/makedumpfile", "usr/sbin/makedumpfile"])?;
    let kexec_tools = unpacked::root("guest")?;
    let vmcore_dmesg =
        Program::find(&kexec_tools, &["sbin/vmcore-dmesg", "usr/sbin/vmcore-dmesg"])?;
    vmcore_dmesg.put(makedumpfile.put(archive, "sbin/makedumpfile")?, "sbin/vmcore-dmesg")
}
