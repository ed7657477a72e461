// SPDX-License-Identifier: GPL-2.0

//! The compilers that the kernel is built with.

use crate::{
    deps,
    find::{all_on_path, libclang_dir},
};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};
use util::command::Cmd;

/// A fixed time, user and host: the same input makes the same kernel.
const FIXED: [(&str, &str); 4] = [
    ("KBUILD_BUILD_TIMESTAMP", "2017-12-01 00:00:00 UTC"),
    ("KBUILD_BUILD_USER", "acpi"),
    ("KBUILD_BUILD_HOST", "kdump"),
    ("KBUILD_BUILD_VERSION", "1"),
];

/// What another make, or the user's shell, may have left in the environment and Kbuild would heed.
const NOT_INHERITED: [&str; 9] = [
    "MAKEFLAGS",
    "MFLAGS",
    "MAKELEVEL",
    "KBUILD_OUTPUT",
    "KBUILD_EXTMOD",
    "KCFLAGS",
    "KRUSTFLAGS",
    "CROSS_COMPILE",
    "LOCALVERSION",
];

/// The compilers, found once.
#[derive(Clone, Debug)]
pub struct Toolchain {
    arguments: Vec<String>,
    libclang: PathBuf,
    /// Everything about the tools that a kernel depends on.
    pub described: String,
}

impl Toolchain {
    /// Finds the compilers on this machine.
    pub fn find() -> Result<Self> {
        let llvm = deps::need("llvm")?;
        let rustc = deps::need("rustc")?;
        let bindgen = deps::need("bindgen")?;
        let libclang = libclang_dir(&llvm.paths[0])?.context("libclang is gone")?;
        let suffix = if llvm.suffix.is_empty() { "1" } else { &llvm.suffix };
        let rustc_path = &rustc.paths[0];
        let mut arguments = vec![
            format!("LLVM={suffix}"),
            format!("RUSTC={}", rustc_path.display()),
            format!("HOSTRUSTC={}", rustc_path.display()),
            format!("BINDGEN={}", bindgen.paths[0].display()),
        ];
        for (variable, name) in [("RUSTDOC", "rustdoc"), ("RUSTFMT", "rustfmt")] {
            // What is beside the compiler belongs to it; another one on PATH is better than none.
            let beside = rustc_path.with_file_name(name);
            let program =
                if beside.exists() { Some(beside) } else { all_on_path(name)?.into_iter().next() };
            if let Some(program) = program {
                arguments.push(format!("{variable}={}", program.display()));
            }
        }
        Ok(Self {
            arguments,
            libclang,
            described: [llvm.described, rustc.described, bindgen.described].join("\n"),
        })
    }

    /// make in the kernel tree `tree`, with these compilers, for arm64.
    pub fn make(&self, tree: &Path) -> Cmd {
        self.make_for("arm64", tree)
    }

    /// The same for the architecture `arch`.
    pub fn make_for(&self, arch: &str, tree: &Path) -> Cmd {
        let mut cmd = Cmd::new("make")
            .dir(tree)
            .env("LIBCLANG_PATH", &self.libclang)
            .env("LC_ALL", "C")
            .arg(format!("ARCH={arch}"))
            .args(&self.arguments);
        for name in NOT_INHERITED {
            cmd = cmd.env(name, "");
        }
        for (name, value) in FIXED {
            cmd = cmd.env(name, value);
        }
        cmd
    }
}
