// SPDX-License-Identifier: GPL-2.0

//! The machine, as data: QEMU's `virt` under UEFI.

use anyhow::{Context, Result};
use build::deps::Qemu;
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use util::command::Cmd;

/// One machine, switched off.
pub struct Machine<'a> {
    /// QEMU and the firmware.
    pub qemu: &'a Qemu,
    /// Where the machine's files are; it belongs to this machine alone.
    pub dir: PathBuf,
    /// The kernel that the firmware starts.
    pub kernel: PathBuf,
    /// Its command line.
    pub command_line: String,
    /// Memory, in MiB.
    pub memory: u64,
    /// Whether it has a watchdog: an Intel 6300ESB, on PCI.
    pub watchdog: bool,
    /// What QEMU hands to the firmware: names and files.
    pub files: Vec<(&'static str, PathBuf)>,
}

/// A processor that starts the firmware as quickly as any, and that faults unaligned accesses to
/// Device memory.
const CPU: &str = "cortex-a57";

/// The disk, among the machine's files.
pub const DISK: &str = "vmcore";

/// How many processors. With one alone, QEMU up to 10.1 lets unaligned accesses to Device memory
/// pass, and the fault of 2017 does not show.
const PROCESSORS: &str = "2";

/// Where the PL011 of `virt` is; the early console is told, because an ACPI machine tells only
/// after the EFI map was read.
pub const EARLY_CONSOLE: &str = "earlycon=pl011,0x9000000";

impl Machine<'_> {
    /// The initramfs.
    pub fn initramfs(&self) -> PathBuf {
        self.dir.join("initramfs.cpio")
    }

    /// The disk that the crash kernel writes the dump on.
    pub fn disk(&self) -> PathBuf {
        self.dir.join(DISK)
    }

    fn variables(&self) -> PathBuf {
        self.dir.join("vars.fd")
    }

    /// The command that switches it on.
    pub fn cmd(&self) -> Cmd {
        let flash = |unit: u8, path: &Path, more: &str| {
            format!("if=pflash,format=raw,unit={unit},file={}{more}", option_value(path))
        };
        Cmd::new(&self.qemu.program)
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none"])
            .args(["-machine", "virt,gic-version=3", "-accel", "tcg", "-cpu", CPU])
            .args(["-smp", PROCESSORS, "-m", &self.memory.to_string()])
            .args(["-rtc", "base=2026-01-01T00:00:00"])
            .arg("-drive")
            .arg(flash(0, &self.qemu.firmware_code, ",readonly=on"))
            .arg("-drive")
            .arg(flash(1, &self.variables(), ""))
            // The dump is mostly zeros: they become holes, and nobody waits for the host's disk.
            .arg("-drive")
            .arg(format!(
                "if=none,id=dump,format=raw,cache=unsafe,discard=unmap,detect-zeroes=unmap,file={}",
                option_value(&self.disk())
            ))
            .args(["-device", "virtio-blk-device,drive=dump"])
            .args(if self.watchdog { &["-device", "i6300esb"][..] } else { &[] })
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(self.initramfs())
            .args(["-append", &self.command_line])
            .args(self.files.iter().flat_map(|(name, path)| {
                ["-fw_cfg".into(), format!("name={name},file={}", option_value(path))]
            }))
    }

    /// Makes what the machine needs to be switched on, and the script that does it all again.
    pub fn prepare(&self) -> Result<()> {
        fs::copy(&self.qemu.firmware_vars, self.variables()).with_context(|| {
            format!("cannot copy the firmware's variables {}", self.qemu.firmware_vars.display())
        })?;
        // A copy of a file that only its owner may write is not writable either.
        fs::set_permissions(self.variables(), fs::Permissions::from_mode(0o644))?;
        let disk = fs::File::create(self.disk())
            .with_context(|| format!("cannot make {}", self.disk().display()))?;
        disk.set_len(self.disk_bytes())?;
        let script = self.dir.join("qemu.sh");
        fs::write(&script, self.script())?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Removes what the script makes anew, and is large.
    pub fn clean(&self) -> Result<()> {
        for path in [self.variables(), self.disk()] {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
        Ok(())
    }

    /// All of the machine's memory fits on the disk, and the headers of the dump.
    fn disk_bytes(&self) -> u64 {
        (self.memory + 64) << 20
    }

    fn script(&self) -> String {
        let fresh_variables = Cmd::new("cp").arg(&self.qemu.firmware_vars).arg(self.variables());
        let empty_disk = Cmd::new("truncate").args(["-s", "0"]).arg(self.disk());
        let whole_disk =
            Cmd::new("truncate").args(["-s", &self.disk_bytes().to_string()]).arg(self.disk());
        format!(
            "#!/bin/sh\n# Does this boot again, with the console on the terminal. {}\n\
             set -e\n{fresh_variables}\n{empty_disk}\n{whole_disk}\nexec {}\n",
            describe(self.qemu),
            self.cmd()
        )
    }
}

/// What runs: QEMU, its version, and the firmware.
pub fn describe(qemu: &Qemu) -> String {
    format!(
        "{} ({}), firmware {}",
        version(qemu),
        qemu.program.display(),
        qemu.firmware_code.display()
    )
}

/// Which QEMU it is.
pub fn version(qemu: &Qemu) -> String {
    let (major, minor, patch) = qemu.version;
    format!("QEMU {major}.{minor}.{patch}")
}

/// A comma in a value of a QEMU option is written twice.
pub(crate) fn option_value(path: &Path) -> String {
    path.display().to_string().replace(',', ",,")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn qemu() -> Qemu {
        Qemu {
            program: "qemu-system-aarch64".into(),
            version: (10, 0, 2),
            firmware_code: "code.fd".into(),
            firmware_vars: "vars.fd".into(),
        }
    }

    fn machine<'a>(qemu: &'a Qemu, dir: &'a Path) -> Machine<'a> {
        Machine {
            qemu,
            dir: dir.into(),
            kernel: "Image".into(),
            command_line: "console=ttyAMA0 quiet".into(),
            memory: 1024,
            watchdog: false,
            files: vec![("opt/a", "a,b".into())],
        }
    }

    #[test]
    fn the_command_is_what_a_shell_takes() {
        let qemu = qemu();
        let line = machine(&qemu, Path::new("a,b")).cmd().to_string();
        assert!(line.starts_with("qemu-system-aarch64 -nodefaults "), "{line}");
        assert!(line.contains(" -no-reboot "), "a panic must end the run: {line}");
        assert!(line.contains(" -nic none "), "{line}");
        assert!(!line.contains(" -smp 1 "), "one processor hides the fault of 2017: {line}");
        assert!(line.contains("file=code.fd,readonly=on"), "{line}");
        assert!(line.contains("file=a,,b/vmcore"), "{line}");
        assert!(line.contains(" -append 'console=ttyAMA0 quiet' "), "{line}");
        assert!(line.ends_with(" -fw_cfg 'name=opt/a,file=a,,b'"), "{line}");
    }

    #[test]
    fn a_watchdog_is_there_when_it_is_asked_for() {
        let qemu = qemu();
        let mut machine = machine(&qemu, Path::new("a"));
        assert!(!machine.cmd().to_string().contains("i6300esb"));
        machine.watchdog = true;
        assert!(machine.cmd().to_string().contains(" -device i6300esb "));
    }

    #[test]
    fn the_script_begins_with_fresh_variables() {
        let dir = tempfile::tempdir().unwrap();
        let mut qemu = qemu();
        qemu.firmware_vars = dir.path().join("template.fd");
        fs::write(&qemu.firmware_vars, "variables").unwrap();
        let machine = machine(&qemu, dir.path());
        machine.prepare().unwrap();
        assert_eq!(fs::read(machine.variables()).unwrap(), b"variables");
        assert_eq!(fs::metadata(machine.disk()).unwrap().len(), (1024 + 64) << 20);
        let script = fs::read_to_string(dir.path().join("qemu.sh")).unwrap();
        let lines: Vec<_> = script.lines().collect();
        assert_eq!(lines[0], "#!/bin/sh");
        assert!(lines[3].starts_with("cp ") && lines[3].ends_with("/vars.fd"), "{script}");
        assert!(lines[6].starts_with("exec qemu-system-aarch64 "), "{script}");
    }
}
