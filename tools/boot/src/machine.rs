// SPDX-License-Identifier: GPL-2.0

//! The machine, as data: QEMU's `virt` under UEFI.

use anyhow::{Context, Result};
use build::deps::Qemu;
use machines::{Gic, Hardware};
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
    /// What it is made of.
    pub hardware: Hardware,
    /// What QEMU hands to the firmware: names and files.
    pub files: Vec<(&'static str, PathBuf)>,
}

/// The disk, among the machine's files.
const DISK: &str = "vmcore";

/// The firmware's variables, among them as well.
const VARIABLES: &str = "vars.fd";

/// Where a machine of more memory, in MiB, is likely to have more than the host: most of it is never
/// touched, and the host is not asked to keep it.
const RESERVED_BY_HOST: u64 = 4096;

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
        self.dir.join(VARIABLES)
    }

    /// The command that switches it on.
    pub fn cmd(&self) -> Cmd {
        let flash = |unit: u8, path: &Path, more: &str| {
            format!("if=pflash,format=raw,unit={unit},file={}{more}", option_value(path))
        };
        Cmd::new(&self.qemu.program)
            .args(["-nodefaults", "-no-user-config", "-no-reboot"])
            .args(["-display", "none", "-monitor", "none", "-serial", "stdio", "-nic", "none"])
            .args(["-machine", &self.board(), "-accel", "tcg", "-cpu", &self.hardware.cpu])
            .args(["-smp", &self.hardware.cpus.to_string()])
            .args(["-m", &self.hardware.memory.to_string()])
            .args(self.memory())
            .args(self.random_numbers())
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
            // Where the host has no room for the dump, the guest is told. Otherwise it would be stopped, and
            // waited for.
            .args(["-device", "virtio-blk-device,drive=dump,werror=report"])
            .args(if self.hardware.watchdog { &["-device", "i6300esb"][..] } else { &[] })
            .arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(self.initramfs())
            .args(["-append", &self.command_line])
            .args(self.files.iter().flat_map(|(name, path)| {
                ["-fw_cfg".into(), format!("name={name},file={}", option_value(path))]
            }))
    }

    fn board(&self) -> String {
        let (virt, gic) = match self.hardware.gic {
            Gic::V2 => ("virt", "2"),
            // With `its=off` the tables go on to describe an ITS, and stock Linux dies of asking it.
            Gic::V3NoIts => ("virt-6.1", "3"),
            Gic::V3 => ("virt", "3"),
        };
        let acpi = if self.hardware.device_tree { ",acpi=off" } else { "" };
        let memory = if self.has_backend() { ",memory-backend=memory" } else { "" };
        format!("{virt},gic-version={gic}{acpi}{memory}")
    }

    fn has_backend(&self) -> bool {
        self.hardware.nodes == 1 && self.hardware.memory > RESERVED_BY_HOST
    }

    /// The options for memory and its nodes.
    fn memory(&self) -> Vec<String> {
        let Hardware { memory, nodes, cpus, .. } = self.hardware;
        let backend = |id: &str, size: u64| {
            let object = format!("memory-backend-ram,id={id},size={size}M,reserve=off");
            ["-object".to_string(), object]
        };
        if nodes == 1 {
            return if self.has_backend() { backend("memory", memory).into() } else { vec![] };
        }
        let processors = |node: u32| cpus * node / nodes..cpus * (node + 1) / nodes;
        (0..nodes)
            .flat_map(|node| {
                let id = format!("memory{node}");
                let cpus = processors(node);
                let what =
                    format!("node,nodeid={node},memdev={id},cpus={}-{}", cpus.start, cpus.end - 1);
                backend(&id, memory / u64::from(nodes)).into_iter().chain(["-numa".into(), what])
            })
            .collect()
    }

    /// The options of a device that gives the same random numbers each time.
    fn random_numbers(&self) -> Vec<String> {
        let Some(seed) = self.hardware.seed else { return vec![] };
        let seed = seed.to_string();
        ["-seed", &seed, "-object", "rng-builtin,id=random", "-device", "virtio-rng-pci,rng=random"]
            .map(str::to_string)
            .into()
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

    /// All of the machine's memory fits on the disk, and the headers of the dump.
    fn disk_bytes(&self) -> u64 {
        (self.hardware.memory + 64) << 20
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

/// Removes what the script in `dir`, a machine's, makes anew, and is large: the disk and the variables.
pub fn clean(dir: &Path) -> Result<()> {
    for name in [VARIABLES, DISK] {
        let path = dir.join(name);
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
    }
    Ok(())
}

/// Removes all that is in `dir`, a machine's, but its console: an initramfs that crashes has a kernel and
/// another initramfs in it, and there are hundreds.
pub fn clean_but_console(dir: &Path) -> Result<()> {
    let context = || format!("cannot read {}", dir.display());
    for entry in fs::read_dir(dir).with_context(context)? {
        let path = entry.with_context(context)?.path();
        if path.is_file() && path.file_name().is_some_and(|name| name != crate::run::CONSOLE) {
            fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))?;
        }
    }
    Ok(())
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
            hardware: Hardware::of(1024),
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
        assert!(line.contains(",werror=report"), "a full disk would stop it: {line}");
        assert!(line.contains(" -append 'console=ttyAMA0 quiet' "), "{line}");
        assert!(line.ends_with(" -fw_cfg 'name=opt/a,file=a,,b'"), "{line}");
    }

    #[test]
    fn a_watchdog_is_there_when_it_is_asked_for() {
        let qemu = qemu();
        let mut machine = machine(&qemu, Path::new("a"));
        assert!(!machine.cmd().to_string().contains("i6300esb"));
        machine.hardware.watchdog = true;
        assert!(machine.cmd().to_string().contains(" -device i6300esb "));
    }

    #[test]
    fn nodes_share_memory_and_processors() {
        let qemu = qemu();
        let mut machine = machine(&qemu, Path::new("a"));
        assert!(!machine.cmd().to_string().contains("-numa"));
        machine.hardware.nodes = 2;
        machine.hardware.cpus = 5;
        let line = machine.cmd().to_string();
        let object = "memory-backend-ram,id=memory1,size=512M,reserve=off";
        assert!(line.contains(object), "{line}");
        assert!(line.contains("nodeid=0,memdev=memory0,cpus=0-1"), "{line}");
        assert!(line.contains("nodeid=1,memdev=memory1,cpus=2-4"), "{line}");
    }

    #[test]
    fn the_host_keeps_no_memory_for_a_large_machine() {
        let qemu = qemu();
        let mut machine = machine(&qemu, Path::new("a"));
        assert!(!machine.cmd().to_string().contains("backend"));
        machine.hardware.memory = 40 << 10;
        let line = machine.cmd().to_string();
        assert!(line.contains("memory-backend-ram,id=memory,size=40960M,reserve=off"), "{line}");
        assert!(line.contains("memory-backend=memory"), "{line}");
    }

    #[test]
    fn the_board_is_what_is_asked_for() {
        let qemu = qemu();
        let mut machine = machine(&qemu, Path::new("a"));
        assert_eq!(machine.board(), "virt,gic-version=3");
        machine.hardware =
            Hardware { gic: Gic::V2, device_tree: true, seed: Some(7), ..machine.hardware };
        assert_eq!(machine.board(), "virt,gic-version=2,acpi=off");
        let line = machine.cmd().to_string();
        assert!(line.contains(" -seed 7 ") && line.contains("virtio-rng"), "{line}");
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
        clean(dir.path()).unwrap();
        assert!(!machine.variables().exists() && !machine.disk().exists());
        fs::write(dir.path().join(crate::run::CONSOLE), "said").unwrap();
        clean_but_console(dir.path()).unwrap();
        let left = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["console.log"]);
        assert!(lines[3].starts_with("cp ") && lines[3].ends_with("/vars.fd"), "{script}");
        assert!(lines[6].starts_with("exec qemu-system-aarch64 "), "{script}");
    }
}
