// SPDX-License-Identifier: GPL-2.0

//! Crashes a machine for what its crash kernel has to say.

use crate::machine::Machine;
use anyhow::{Context, Result};
use boot::{
    boots,
    crash_case::Loader,
    guest::Guest,
    log::{self, Log},
    run::{self, End, Phase},
};
use build::{deps::Qemu, kernel::Kernel};
use machines::CRASH_OPTIONS;
use orders::Orders;
use std::path::Path;

/// What both kernels are told. An address that is drawn by lot would change what fits.
const COMMAND_LINE: &str = "console=ttyAMA0 nokaslr printk.devkmsg=on panic=-1";

const PHASES: [Phase; 3] = [
    Phase { name: "firmware", ends_with: log::FIRST_LINE, seconds: 120 },
    Phase { name: "first kernel", ends_with: "@phase| crash", seconds: 120 },
    Phase { name: "crash kernel", ends_with: "@phase| end", seconds: 120 },
];

/// A crash to come.
pub struct Crash<'a> {
    /// Its name, and that of its directory below out/boots.
    pub name: String,
    /// Both kernels.
    pub kernel: &'a Kernel,
    /// The model of the machine's processor.
    pub cpu: &'a str,
    /// Its memory, in MiB.
    pub memory: u64,
    /// What the first kernel is told of `crashkernel=`.
    pub reservation: String,
    /// What the crash kernel is told besides.
    pub options: &'a str,
    /// What the first process of the crash kernel does.
    pub script: &'a str,
    /// Whether there is a disk for the dump; without one, each run is the same.
    pub disk: bool,
    /// The UEFI application that starts the first kernel, and what it does before; [`None`]: the
    /// firmware of the machine starts it.
    pub firmware: Option<(&'a Path, Orders)>,
}

impl Crash<'_> {
    /// Crashes, and returns the crash kernel's log; [`None`] if it did not come to its end.
    pub fn run(&self, qemu: &Qemu, guest: &Guest) -> Result<Option<Log>> {
        let machine =
            Machine { qemu, dir: boots::dir(&self.name)?, memory: self.memory, cpu: self.cpu };
        let image = &self.kernel.image;
        let archive = guest.crash_at_once(
            Loader::File,
            image,
            &format!("{COMMAND_LINE} {CRASH_OPTIONS} {}", self.options),
            self.script,
        )?;
        let command_line = format!("{COMMAND_LINE} {}", self.reservation);
        let cmd = match &self.firmware {
            None => machine.cmd_with_firmware(image, &archive, &command_line)?,
            Some((application, orders)) => machine
                .cmd_with_firmware(application, &archive, &command_line)?
                .args(machine.orders(orders, image)?),
        };
        let cmd = if self.disk { cmd.args(machine.disk()?) } else { cmd };
        let run = run::run(&cmd, &machine.dir, &PHASES, &|_| {})
            .with_context(|| format!("the crash '{}'", self.name))?;
        let (_, mut kernels) = log::kernels(&run.console);
        let ended = run.end == End::Complete && kernels.len() == 2;
        Ok(if ended { kernels.pop() } else { None })
    }
}
