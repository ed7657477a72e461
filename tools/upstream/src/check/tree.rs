// SPDX-License-Identifier: GPL-2.0

//! The trees that the gates compile in; all of them start as a copy of a built one.

use super::context::{self, Context};
use anyhow::{Context as _, Result};
use build::{
    build_tree::{BuildTree, Role},
    config::{self, Options},
    kernel::{Spec, Variant, obtain},
    series::Changes,
};
use std::{
    fs,
    path::{Path, PathBuf},
    thread::available_parallelism,
};
use util::command::Cmd;

/// The configuration that everything is compiled with, as a flavour.
const FLAVOUR: &str = "minimal";

/// What a tree is for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// The base, as stock kernels are built.
    Stock,
    /// The series with its option on.
    On,
    /// The series with its option off.
    Off,
    /// The series in a kernel without Rust.
    NoRust,
}

impl Kind {
    /// Names that sort before `series` and `stock`: those two are what others are copied from.
    fn variant(self) -> &'static str {
        match self {
            Self::Stock => Variant::STOCK.name(),
            Self::On => "check-on",
            Self::Off => "check-off",
            Self::NoRust => "check-no-rust",
        }
    }
}

/// A tree that nobody else uses as long as this exists.
pub struct Tree {
    build: BuildTree,
    /// The kernel tree.
    pub dir: PathBuf,
}

/// What a make came to.
pub struct Made {
    /// All that it said.
    pub text: String,
    /// Why it failed, if it did.
    pub failed: Option<String>,
}

impl Tree {
    /// The tree for `kind`, as it was left.
    pub fn open(context: &Context, kind: Kind) -> Result<Self> {
        let pristine = &context.pristine;
        let role = Role {
            pristine: pristine.name.clone(),
            flavour: FLAVOUR.into(),
            variant: kind.variant().into(),
        };
        if !BuildTree::has_relative(&role, pristine)? {
            let (source, flavour) = (context::SOURCE, FLAVOUR.into());
            obtain(&Spec { source, variant: Variant::STOCK, flavour })?;
        }
        let build = BuildTree::open(&role, pristine)?;
        let dir = build.tree();
        Ok(Self { build, dir })
    }

    /// The tree for `kind`, with all of the series, configured.
    pub fn ready(context: &Context, kind: Kind) -> Result<Self> {
        let mut tree = Self::open(context, kind)?;
        let none = Changes::new();
        let changes = if kind == Kind::Stock { &none } else { context.changes()? };
        tree.set(context, changes, &options(context, kind, changes)?)?;
        Ok(tree)
    }

    /// Makes the tree the base with `changes`, configured with `options`.
    pub fn set(&mut self, context: &Context, changes: &Changes, options: &Options) -> Result<()> {
        self.build.sync(&context.pristine, changes)?;
        config::configure(&self.dir, &context.toolchain, options)
    }

    /// Makes sure that the next make compiles `files`, whatever it finds: what is not compiled
    /// has no warning either.
    pub fn forget(&self, files: &[PathBuf]) -> Result<()> {
        for file in files {
            let object = self.dir.join(file).with_extension("o");
            if object.exists() {
                fs::remove_file(&object)
                    .with_context(|| format!("cannot remove {}", object.display()))?;
            }
        }
        Ok(())
    }

    /// make in the tree, with what it says in `log`.
    pub fn make<A: AsRef<std::ffi::OsStr>>(
        &self,
        context: &Context,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Made> {
        made(context.toolchain.make(&self.dir).args(arguments), log)
    }
}

/// Runs a make with all cores.
pub fn made(cmd: Cmd, log: &Path) -> Result<Made> {
    let jobs = available_parallelism().map_or(1, |cores| cores.get());
    let cmd = cmd.arg(format!("-j{jobs}"));
    let ended = cmd.run_logged(log);
    let text = fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    let text = String::from_utf8_lossy(&text).into_owned();
    fs::write(log, format!("$ {cmd}\n{text}"))?;
    let failed = ended.err().map(|_| format!("{}\n(all of it: {})", errors(&text), log.display()));
    Ok(Made { text, failed })
}

/// The first errors in what a make said; its last lines if none looks like one.
fn errors(text: &str) -> String {
    let is_error = |line: &&str| {
        let line = line.to_lowercase();
        (line.contains("error: ") || line.starts_with("error") || line.contains("undefined symbol"))
            && !line.starts_with("make")
    };
    let first: Vec<_> = text.lines().filter(is_error).take(QUOTED).collect();
    if !first.is_empty() {
        return first.join("\n");
    }
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(QUOTED)..].join("\n")
}

/// How many lines of a failed make are quoted.
const QUOTED: usize = 6;

/// What a tree of `kind` with `changes` is configured with.
///
/// An option of the series is asked for from the patch on that brings it.
pub fn options(context: &Context, kind: Kind, changes: &Changes) -> Result<Options> {
    let mut options = config::wanted(&context.checkout, FLAVOUR, &Variant::STOCK)?;
    let with = Variant { series: true, ..Variant::STOCK };
    let all = config::wanted(&context.checkout, FLAVOUR, &with)?;
    for (name, value) in all {
        let is_new = !options.contains_key(&name);
        if is_new && kind != Kind::Stock && defined(changes, &name) {
            options.insert(name, if kind == Kind::On { value } else { "n".into() });
        }
    }
    if kind == Kind::NoRust {
        options.insert("RUST".into(), "n".into());
    }
    Ok(options)
}

/// Whether a Kconfig file among `changes` defines the option `name`.
fn defined(changes: &Changes, name: &str) -> bool {
    let line = format!("config {name}");
    changes.iter().any(|(path, bytes)| {
        path.file_name().is_some_and(|file| file.to_string_lossy().starts_with("Kconfig"))
            && String::from_utf8_lossy(bytes).lines().any(|one| one == line)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_make_is_told_by_its_first_errors() {
        let text = "  CC a.o\na.c:1:1: error: x\nmake[1]: *** [a.o] Error 1\n";
        assert_eq!(errors(text), "a.c:1:1: error: x");
        assert_eq!(errors("one\nmake: *** Error 2"), "one\nmake: *** Error 2");
    }

    #[test]
    fn an_option_is_there_when_a_patch_brought_it() {
        let kconfig = b"config A\n\tbool\nconfig EFI_X\n\tbool\n".to_vec();
        let changes = Changes::from([("drivers/efi/Kconfig".into(), kconfig)]);
        assert!(defined(&changes, "EFI_X") && !defined(&changes, "EFI"));
        assert!(!defined(&Changes::from([("a.c".into(), b"config X\n".to_vec())]), "X"));
    }
}
