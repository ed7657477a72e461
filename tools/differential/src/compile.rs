// SPDX-License-Identifier: GPL-2.0

//! Builds a machine: the C of a kernel tree and the Rust of the series, for the host, both with
//! AddressSanitizer, and C with UndefinedBehaviorSanitizer.
//!
//! Rust is built as Kbuild does it: a crate for what is in rust/kernel, one for each object outside.

use crate::taken::Tree;
use anyhow::{Context, Result};
use build::{
    deps,
    find::libclang_dir,
    kernel::{PLAIN_C, Variant},
};
use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
};
use util::{command::Cmd, hash::Key, place};

/// A machine that can be started.
#[derive(Clone, Debug)]
pub struct Program {
    /// What is started.
    pub path: PathBuf,
    /// Where it leaves what it says, and the boot that failed.
    pub dir: PathBuf,
}

/// Which machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// What is changed in the kernel.
    pub variant: Variant,
    /// The binary logarithm of the size of a page.
    pub page_shift: u32,
    /// Whether the steps of the series are those in C.
    pub plain_c: bool,
}

impl Kind {
    fn name(self) -> String {
        let name = self.variant.name();
        if self.plain_c { format!("{name}-plain-c") } else { name.into() }
    }
}

/// Where the machine's own files are, in the checkout.
const OWN: &str = "tools/differential/machine";

/// C files of the machine.
const OWN_C: [&str; 3] = ["main", "memory", "boot"];

/// Headers of the kernel that are used as they are.
const HEADERS: [&str; 7] = ["memblock", "efi", "ioport", "of_fdt", "range", "libfdt", "libfdt_env"];

/// Headers that those include for what is not used here.
const EMPTY_HEADERS: [&str; 9] = [
    "linux/minmax.h",
    "linux/time.h",
    "linux/proc_fs.h",
    "linux/rtc.h",
    "linux/pstore.h",
    "linux/reboot.h",
    "linux/uuid.h",
    "asm/page.h",
    "asm/dma.h",
];

/// What the machine's kernel is configured with.
const CONFIG: [&str; 7] = [
    "CONFIG_64BIT",
    "CONFIG_PHYS_ADDR_T_64BIT",
    "CONFIG_EFI",
    "CONFIG_EFI_SOFT_RESERVE",
    "CONFIG_OF_FLATTREE",
    "CONFIG_OF_EARLY_FLATTREE",
    "CONFIG_BLK_DEV_INITRD",
];

/// The modules of the kernel crate that the series adds.
const MODULES: [&str; 5] = ["early_boot", "efi", "fdt", "memblock", "phys"];

/// The objects of the series outside of rust/.
const OBJECTS: [&str; 3] = [
    "arch/arm64/mm/acpi_tables.rs",
    "arch/arm64/mm/confine_memory.rs",
    "drivers/firmware/efi/acpi_reclaim.rs",
];

/// libfdt, which the kernel has from dtc.
const LIBFDT: [&str; 8] = [
    "fdt",
    "fdt_addresses",
    "fdt_empty_tree",
    "fdt_ro",
    "fdt_rw",
    "fdt_strerror",
    "fdt_sw",
    "fdt_wip",
];

/// The compilers.
struct Tools {
    clang: PathBuf,
    rustc: PathBuf,
    bindgen: PathBuf,
    libclang: PathBuf,
    described: String,
}

impl Tools {
    fn find() -> Result<Self> {
        let (llvm, rustc) = (deps::need("llvm")?, deps::need("rustc")?);
        deps::need("compiler-rt")?;
        let bindgen = deps::need("bindgen")?;
        let clang = llvm.paths[0].clone();
        Ok(Self {
            libclang: libclang_dir(&clang)?.context("libclang is gone")?,
            clang,
            rustc: rustc.paths[0].clone(),
            bindgen: bindgen.paths[0].clone(),
            described: [llvm.described, rustc.described, bindgen.described].join("\n"),
        })
    }
}

/// The machine of `kind` with the kernel in `tree`; built when it is not there. It is kept by its
/// content outside of the checkout, so that a fresh clone has it, too.
pub fn program(tree: &Tree, kind: Kind) -> Result<Program> {
    let (tools, top) = (Tools::find()?, place::checkout()?);
    let name = format!("{}-{}-{}K", tree.pristine.name, kind.name(), 1 << kind.page_shift >> 10);
    let dir = place::out(Path::new("differential").join(name))?;
    let taken = [
        ("extracted/functions.h", tree.functions()?),
        ("extracted/limits.h", tree.limits()?),
        ("extracted/setup_arch.h", tree.setup_arch()?),
    ];
    let mut key = key(tree, &tools, &top)?
        .part("variant", kind.name())
        .part("page shift", kind.page_shift.to_string());
    for (file, text) in &taken {
        key = key.part(file, text);
    }
    let kept = place::cache("machines")?;
    let path = kept.join(key.short());
    if !path.exists() {
        let below = dir.join("build");
        let _ = fs::remove_dir_all(&below);
        let build = Build { tree, kind, tools, own: top.join(OWN), top, dir: below };
        build.headers(&taken)?;
        // Another run may build the same: whoever comes last puts it in place of the other.
        let program = tempfile::NamedTempFile::new_in(&kept)?;
        build.link(program.path())?;
        program.into_temp_path().persist(&path).context("cannot keep the machine")?;
    }
    Ok(Program { path, dir })
}

/// What a machine depends on, but for what is taken out of the tree.
fn key(tree: &Tree, tools: &Tools, top: &Path) -> Result<Key> {
    let mut key = Key::new().part("tree", &tree.pristine.identity).part("tools", &tools.described);
    let own = walk(&top.join(OWN))?;
    let series =
        ["rust/kernel", "arch", "drivers", "include", PLAIN_C].map(|dir| walk(&top.join(dir)));
    let series: Vec<_> = series.into_iter().collect::<Result<_>>()?;
    for path in own.iter().chain(series.iter().flatten()) {
        let label = path.strip_prefix(top).unwrap_or(path);
        key = key.file(&label.to_string_lossy(), path)?;
    }
    // This file is part of it, too.
    Ok(key.part("flags", include_str!("compile.rs")))
}

/// All files below `dir`, sorted.
fn walk(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() { files.extend(walk(&path)?) } else { files.push(path) }
    }
    files.sort();
    Ok(files)
}

/// One build.
struct Build<'a> {
    tree: &'a Tree<'a>,
    kind: Kind,
    tools: Tools,
    top: PathBuf,
    own: PathBuf,
    dir: PathBuf,
}

impl Build<'_> {
    /// What C and Rust include: links into the tree, and what was taken out of it.
    fn headers(&self, taken: &[(&str, String)]) -> Result<()> {
        for dir in ["include/linux", "include/asm", "extracted", "kernel"] {
            fs::create_dir_all(self.dir.join(dir))?;
        }
        for (file, text) in taken {
            fs::write(self.dir.join(file), text)?;
        }
        for header in EMPTY_HEADERS {
            fs::write(self.dir.join("include").join(header), "")?;
        }
        for header in HEADERS {
            let header = format!("include/linux/{header}.h");
            symlink(self.tree.path(&header), self.dir.join(&header))?;
        }
        // As the Makefile of tools/testing/memblock has them.
        for header in ["asm", "cmpxchg"] {
            let from = self.tree.path(&format!("tools/arch/x86/include/asm/{header}.h"));
            symlink(from, self.dir.join(format!("include/asm/{header}.h")))?;
        }
        symlink(self.tree.path("mm/memblock.c"), self.dir.join("memblock.c"))?;
        let own_header = "include/linux/efi_acpi_tables.h";
        symlink(self.top.join(own_header), self.dir.join(own_header))?;

        let mut modules = String::new();
        for module in MODULES {
            for name in [module.to_string(), format!("{module}.rs")] {
                let from = self.top.join("rust/kernel").join(&name);
                if from.exists() {
                    symlink(from, self.dir.join("kernel").join(name))?;
                }
            }
            modules += &format!("pub mod {module};\n");
        }
        Ok(fs::write(self.dir.join("kernel/modules.rs"), modules)?)
    }

    /// What the preprocessor is told.
    fn cpp(&self) -> Result<Vec<String>> {
        let mut flags = vec![format!("-DPAGE_SHIFT={}", self.kind.page_shift)];
        flags.extend(CONFIG.map(|option| format!("-D{option}")));
        if self.kind.variant.series {
            flags.push("-DCONFIG_EFI_ACPI_TABLES".into());
        }
        if self.kind.plain_c {
            flags.push(format!("-I{}", self.top.join(PLAIN_C).join("include").display()));
        }
        if !self.tree.read("include/linux/memblock.h")?.contains("__memblock_reserve(") {
            flags.push("-DMACHINE_OLD_MEMBLOCK".into());
        }
        let dirs = [
            self.dir.clone(),
            self.own.clone(),
            self.own.join("include"),
            self.dir.join("include"),
            self.tree.path("tools/testing/memblock"),
            self.tree.path("tools/include"),
            self.tree.path("scripts/dtc/libfdt"),
        ];
        flags.extend(["-include".into(), "extracted/limits.h".into()]);
        flags.extend(dirs.iter().map(|dir| format!("-I{}", dir.display())));
        Ok(flags)
    }

    /// The object of a C file, which may be written for the kernel and not for the machine.
    fn object(&self, file: &Path) -> Result<PathBuf> {
        let name = file.file_name().context("a file has a name")?;
        let object = self.dir.join(name).with_extension("o");
        let is_of_kernel = file.starts_with(self.top.join(PLAIN_C));
        let around: &[&str] = if is_of_kernel { &["-include", "bindings.h"] } else { &[] };
        Cmd::new(&self.tools.clang)
            .args(["-c", "-O1", "-g", "-Wall", "-Wno-format", "-Wno-unused", "-Wno-visibility"])
            .args([
                "-Wno-incompatible-pointer-types",
                "-Wno-compare-distinct-pointer-types",
                "-Wno-macro-redefined",
                "-fsanitize=address,undefined",
            ])
            // Firmware may put descriptors anywhere, and C reads them there.
            .args(["-fno-sanitize=alignment", "-fno-sanitize-recover=all"])
            .args(self.cpp()?)
            .args(around)
            .arg("-o")
            .arg(&object)
            .arg(file)
            .read()?;
        Ok(object)
    }

    fn rustc(&self, crate_type: &str) -> Cmd {
        Cmd::new(&self.tools.rustc)
            .env("RUSTC_BOOTSTRAP", "1")
            .env("KERNEL_MODULES", self.dir.join("kernel/modules.rs"))
            .env("KERNEL_BINDINGS", self.dir.join("bindings.rs"))
            .args(["--edition", "2021", "--crate-type", crate_type, "--out-dir"])
            .arg(&self.dir)
            .arg("-L")
            .arg(&self.dir)
            .args(["-Copt-level=1", "-g", "-Coverflow-checks=on", "-Cdebug-assertions=on"])
    }

    /// The Rust objects, and all of the library that they need, in one archive.
    fn rust(&self) -> Result<PathBuf> {
        self.bindings()?;
        let macros = self.rustc("proc-macro").arg(self.own.join("macros.rs"));
        macros.read()?;
        let cfg = |cmd: Cmd| cmd.args(["-Zsanitizer=address", "-Cpanic=abort"]);
        cfg(self.rustc("rlib"))
            .args(["--cfg", "CONFIG_EFI_SOFT_RESERVE", "--extern", "macros"])
            .arg(self.own.join("kernel.rs"))
            .read()?;
        for object in OBJECTS {
            cfg(self.rustc("rlib"))
                .args(["--extern", "kernel"])
                .arg(self.top.join(object))
                .read()?;
        }
        cfg(self.rustc("staticlib")).arg(self.own.join("machine.rs")).read()?;
        Ok(self.dir.join("libmachine.a"))
    }

    /// What Rust knows of C.
    fn bindings(&self) -> Result<()> {
        Cmd::new(&self.tools.bindgen)
            .env("LIBCLANG_PATH", &self.tools.libclang)
            .arg(self.own.join("bindings.h"))
            // As Kbuild calls it.
            .args(["--use-core", "--with-derive-default", "--ctypes-prefix", "ffi"])
            .args([
                "--no-layout-tests",
                "--no-doc-comments",
                "--enable-function-attribute-detection",
            ])
            .arg("--output")
            .arg(self.dir.join("bindings.rs"))
            .args(["--", "-w"])
            .args(self.cpp()?)
            .read()?;
        Ok(())
    }

    fn link(&self, program: &Path) -> Result<()> {
        let mut files: Vec<_> =
            OWN_C.iter().map(|name| self.own.join(format!("{name}.c"))).collect();
        files.push(self.dir.join("memblock.c"));
        files.push(self.tree.path("tools/lib/ctype.c"));
        files.extend(LIBFDT.map(|name| self.tree.path(&format!("scripts/dtc/libfdt/{name}.c"))));
        if self.kind.plain_c {
            let twin = |object: &str| self.top.join(PLAIN_C).join(object).with_extension("c");
            files.extend(OBJECTS.map(twin));
        }
        let objects: Vec<_> = files.iter().map(|file| self.object(file)).collect::<Result<_>>()?;
        let in_rust = self.kind.variant.series && !self.kind.plain_c;
        let rust = if in_rust { Some(self.rust()?) } else { None };
        // The runtime of the sanitizers is clang's; a compiler of the distribution for Rust has none.
        Cmd::new(&self.tools.clang)
            .arg("-fsanitize=address,undefined")
            .args(&objects)
            .args(rust)
            .args(["-lgcc_s", "-o"])
            .arg(program)
            .read()?;
        Ok(())
    }
}
