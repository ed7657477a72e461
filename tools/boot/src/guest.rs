// SPDX-License-Identifier: GPL-2.0

//! What stands in the guest's file system.

use crate::{
    archive::Archive, asked::Asked, crash_case::Loader, dump_readers, hops::Hop,
    kexec_tools::KexecTools, program, selftests::Selftests,
};
use anyhow::{Context, Result};
use build::kernel::Kernel;
use std::{
    fs,
    path::{Path, PathBuf},
};
use util::place;

/// The parts that every initramfs is put together from.
pub struct Guest {
    busybox: PathBuf,
    scripts: PathBuf,
}

/// What the first kernel of a crash is told.
pub struct CrashOrders<'a> {
    /// The system call that loads the crash kernel.
    pub loader: Loader,
    /// The kexec-tools that call it.
    pub kexec_tools: KexecTools,
    /// How many pieces of evidence there are on the disk.
    pub evidence_pieces: usize,
    /// The crash kernel.
    pub image: &'a Path,
    /// Its command line.
    pub command_line: &'a str,
    /// Whether one of its processes takes all memory that it can have.
    pub takes_all_memory: bool,
    /// Whether the first kernel starts the watchdog.
    pub watchdog: bool,
    /// The kernel that runs the selftests, and these.
    pub selftests: Option<(&'a Kernel, &'a Selftests)>,
    /// The kernels to start before the last one of them crashes.
    pub hops: &'a [Hop<'a>],
    /// What is asked of the guest besides.
    pub asked: &'a Asked,
}

impl Guest {
    /// Finds the parts among the packages for the guest.
    pub fn find() -> Result<Self> {
        let root = build::unpacked::root("guest")?;
        Ok(Self {
            busybox: program::find(&root, &["bin/busybox", "usr/bin/busybox"])?,
            scripts: place::checkout()?.join("scripts/guest"),
        })
    }

    /// An initramfs that crashes: it has a crash kernel, and the initramfs of that inside.
    pub fn crash(&self, orders: &CrashOrders<'_>) -> Result<Archive> {
        let mut crash_initramfs = Vec::new();
        let mut crash = self.common()?.bytes("guest/case", orders.crash_text());
        if orders.asked.reads_dump {
            crash = dump_readers::put(crash)?;
        }
        crash.write(&mut crash_initramfs)?;
        let archive = self
            .common()?
            .bytes("guest/case", orders.text())
            .file("boot/Image", orders.image)?
            .bytes("boot/crash.cpio", crash_initramfs);
        let mut archive = orders.kexec_tools.kexec()?.put(archive, "sbin/kexec")?;
        if let Some((kernel, selftests)) = orders.selftests {
            archive = selftests.put(archive, &kernel.config)?;
        }
        for (path, image) in orders.hop_images() {
            archive = archive.file(&path, image)?;
        }
        Ok(archive)
    }

    /// An initramfs that does nothing but say that it has come up.
    pub fn boot_only(&self) -> Result<Archive> {
        Ok(self.common()?.bytes("guest/case", "script=boot-only\n"))
    }

    /// An initramfs that says what memory the kernel sees.
    pub fn memory(&self) -> Result<Archive> {
        Ok(self.common()?.bytes("guest/case", "script=memory\n"))
    }

    /// An initramfs that loads a crash kernel and crashes at once; the crash kernel runs `script` and
    /// nothing else. For measurements.
    pub fn crash_at_once(
        &self,
        loader: Loader,
        image: &Path,
        command_line: &str,
        script: &str,
    ) -> Result<Archive> {
        let mut crash_initramfs = Vec::new();
        let crash = self.common()?.bytes("guest/case", format!("script={script}\n"));
        crash.write(&mut crash_initramfs)?;
        let orders = format!(
            "script=bench-crash\nloader={}\ncrash_command_line='{command_line}'\n",
            loader.option()
        );
        let archive = self
            .common()?
            .bytes("guest/case", orders)
            .file("boot/Image", image)?
            .bytes("boot/crash.cpio", crash_initramfs);
        KexecTools::Stable.kexec()?.put(archive, "sbin/kexec")
    }

    fn common(&self) -> Result<Archive> {
        let mut archive = Archive::new()
            // The kernel opens it for the first process.
            .char_device("dev/console", 5, 1)
            .file("bin/busybox", &self.busybox)?
            .file("init", &self.scripts.join("init"))?;
        let scripts = fs::read_dir(&self.scripts)
            .with_context(|| format!("cannot read {}", self.scripts.display()))?;
        for script in scripts {
            let path = script?.path();
            if path.extension().is_some_and(|extension| extension == "sh") {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                archive = archive.file(&format!("guest/{name}"), &path)?;
            }
        }
        Ok(archive)
    }
}

impl CrashOrders<'_> {
    /// The orders as assignments of the shell.
    fn text(&self) -> String {
        assignments(&[
            ("script", "crash-first"),
            ("loader", self.loader.option()),
            ("evidence_pieces", &self.evidence_pieces.to_string()),
            ("watchdog", yes_or_no(self.watchdog)),
            ("cause", self.asked.cause.name()),
            ("hops", &self.hop_words()),
            ("description", self.asked.description()),
            ("efi_runtime", yes_or_no(self.asked.efi_runtime)),
            ("selftests", yes_or_no(self.asked.selftests)),
            ("crash_command_line", self.command_line),
        ])
    }

    /// The loader and the image of each hop, as one word of the shell.
    fn hop_words(&self) -> String {
        let images = self.hop_images();
        let path = |hop: &Hop<'_>| {
            let image = images.iter().find(|(_, image)| *image == hop.kernel.image);
            image.map(|(path, _)| path.as_str()).unwrap_or_default().to_owned()
        };
        let word = |hop: &Hop<'_>| format!("{}:/{}", hop.loader.option(), path(hop));
        self.hops.iter().map(word).collect::<Vec<_>>().join(" ")
    }

    /// The images of all hops, each once, and where they stand.
    fn hop_images(&self) -> Vec<(String, &Path)> {
        let mut images: Vec<(String, &Path)> = Vec::new();
        for (number, hop) in self.hops.iter().enumerate() {
            if images.iter().all(|(_, image)| *image != hop.kernel.image) {
                images.push((format!("boot/Image-{number}"), &hop.kernel.image));
            }
        }
        images
    }

    /// The orders of the crash kernel.
    fn crash_text(&self) -> String {
        assignments(&[
            ("script", "crash"),
            ("takes_all_memory", yes_or_no(self.takes_all_memory)),
            ("description", self.asked.description()),
            ("efi_runtime", yes_or_no(self.asked.efi_runtime)),
            ("headers_only", yes_or_no(self.asked.headers_only)),
            ("reads_dump", yes_or_no(self.asked.reads_dump)),
            ("cause_says", self.asked.cause.says()),
        ])
    }
}

/// Assignments of the shell; no value has a quote or the end of a line in it: machines.toml may not have
/// such options.
fn assignments(orders: &[(&str, &str)]) -> String {
    orders.iter().map(|(name, value)| format!("{name}='{value}'\n")).collect()
}

fn yes_or_no(whether: bool) -> &'static str {
    if whether { "yes" } else { "no" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{cause::Cause, hops};
    use util::command::Cmd;

    #[test]
    fn each_hop_has_its_loader_and_its_image() {
        let kernel = |image: &str| Kernel {
            image: image.into(),
            vmlinux: "vmlinux".into(),
            config: "config".into(),
            release: "7.3.4".into(),
            described: "7.3.4".into(),
        };
        let (first, other) = (kernel("first"), kernel("other"));
        let hops = hops::hops(4, &first, Some(&other));
        let orders = CrashOrders { hops: &hops, ..orders(&ASKED) };
        let images: Vec<_> = orders.hop_images();
        assert_eq!(images.len(), 2, "each once");
        let words = "-s:/boot/Image-0 -c:/boot/Image-1 -s:/boot/Image-0 -c:/boot/Image-1";
        assert_eq!(orders.hop_words(), words);
        assert_eq!(images[1], ("boot/Image-1".into(), Path::new("first")));
    }

    const ASKED: Asked = Asked {
        cause: Cause::Sysrq,
        hops: 0,
        efi_runtime: false,
        headers_only: true,
        device_tree: false,
        reads_dump: true,
        selftests: false,
    };

    fn orders(asked: &Asked) -> CrashOrders<'_> {
        CrashOrders {
            loader: Loader::Load,
            kexec_tools: KexecTools::Stable,
            evidence_pieces: 3,
            image: Path::new("Image"),
            command_line: "console=ttyAMA0 panic=-1",
            takes_all_memory: true,
            watchdog: true,
            selftests: None,
            hops: &[],
            asked,
        }
    }

    #[test]
    fn orders_are_assignments() {
        let orders = orders(&ASKED);
        let script = format!(
            "{}echo $loader $evidence_pieces $watchdog $cause \"$crash_command_line\"",
            orders.text()
        );
        let said = Cmd::new("sh").args(["-euc", &script]).read().unwrap();
        assert_eq!(said, "-c 3 yes sysrq console=ttyAMA0 panic=-1\n");
        let script = format!(
            "{}echo $script $takes_all_memory $efi_runtime $reads_dump $cause_says",
            orders.crash_text()
        );
        assert_eq!(
            Cmd::new("sh").args(["-euc", &script]).read().unwrap(),
            "crash yes no yes sysrq triggered crash\n"
        );
    }
}
