// SPDX-License-Identifier: GPL-2.0

//! A machine that does the same each time.
//!
//! Time is counted in instructions (`-icount shift=0`: each takes a nanosecond), so that timer
//! interrupts come where they came before. There is one processor, which waits for no other; no
//! disk, which would answer when the host's does; and nothing that gives random numbers.

use anyhow::{Context, Result, bail};
use boot::{
    archive::Archive,
    run::{self, End, Phase},
};
use build::deps::Qemu;
use orders::{KERNEL_FILE, ORDERS_FILE, Orders};
use std::{
    fs::{self, File},
    path::{Path, PathBuf},
};
use util::command::Cmd;

/// A machine, switched off.
pub struct Machine<'a> {
    /// QEMU and the firmware.
    pub qemu: &'a Qemu,
    /// Where the machine's files are; it belongs to this machine alone.
    pub dir: PathBuf,
    /// Memory, in MiB.
    pub memory: u64,
    /// The model of its processor; [`CPU`], if nothing speaks against it.
    pub cpu: &'a str,
}

/// The model of the processor: it starts the firmware as quickly as any.
pub const CPU: &str = "cortex-a57";

impl Machine<'_> {
    /// The command that switches it on, with nothing to run.
    pub fn cmd(&self) -> Cmd {
        Cmd::new(&self.qemu.program)
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none"])
            .args(["-machine", "virt,gic-version=3,memory-backend=memory", "-accel", "tcg"])
            .args(["-cpu", self.cpu, "-smp", "1", "-m", &self.memory.to_string()])
            // Most of a large memory is never touched, and the host is not asked to keep it.
            .args([
                "-object",
                &format!("memory-backend-ram,id=memory,size={}M,reserve=off", self.memory),
            ])
            .args(["-icount", "shift=0,sleep=off", "-rtc", "base=2026-01-01T00:00:00,clock=vm"])
    }

    /// Options that give it a disk that all of its memory fits on. What is done with a disk takes as
    /// long as the host makes it take.
    pub fn disk(&self) -> Result<[String; 4]> {
        let path = self.dir.join("disk");
        let disk =
            File::create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        disk.set_len((self.memory + 64) << 20)?;
        let drive = format!(
            "if=none,id=dump,format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap,file={}",
            option_value(&path)
        );
        Ok([
            "-drive".into(),
            drive,
            "-device".into(),
            "virtio-blk-device,drive=dump,werror=report".into(),
        ])
    }

    /// Options that tell the UEFI application, if the firmware starts that, what to do before it starts
    /// `kernel`.
    pub fn orders(&self, orders: &Orders, kernel: &Path) -> Result<Vec<String>> {
        let file = self.dir.join("orders");
        fs::write(&file, orders.to_bytes())
            .with_context(|| format!("cannot write {}", file.display()))?;
        let option = |(name, path): (&str, &Path)| {
            ["-fw_cfg".into(), format!("name={name},file={}", option_value(path))]
        };
        Ok([(ORDERS_FILE, file.as_path()), (KERNEL_FILE, kernel)].map(option).concat())
    }

    /// Switches it on with `cmd`, and waits for the plugin to switch it off.
    pub fn run(&self, cmd: &Cmd) -> Result<()> {
        let run = run::run(cmd, &self.dir, &[COUNTED], &|_| {})?;
        match run.end {
            End::Stopped(_, status) if status.success() => Ok(()),
            end => bail!("{end}; see {}", self.dir.join("console.log").display()),
        }
    }

    /// The command that switches it on, with a kernel that the firmware starts.
    pub fn cmd_with_firmware(
        &self,
        kernel: &Path,
        archive: &Archive,
        command_line: &str,
    ) -> Result<Cmd> {
        let initramfs = self.dir.join("initramfs.cpio");
        archive.save(&initramfs)?;
        let flash = |unit, path: &Path| {
            let path = option_value(path);
            // Nothing of what the firmware writes is wanted again.
            ["-drive".into(), format!("if=pflash,format=raw,unit={unit},snapshot=on,file={path}")]
        };
        Ok(self
            .cmd()
            .args(flash(0, &self.qemu.firmware_code))
            .args(flash(1, &self.qemu.firmware_vars))
            .arg("-kernel")
            .arg(kernel)
            .arg("-initrd")
            .arg(initramfs)
            .args(["-append", command_line]))
    }
}

/// Until the plugin ends the machine: no line of the console ends this phase.
const COUNTED: Phase = Phase { name: "counted", ends_with: "\0", seconds: 240 };

/// A comma in a value of a QEMU option is written twice.
pub fn option_value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}
