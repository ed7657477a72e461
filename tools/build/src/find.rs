// SPDX-License-Identifier: GPL-2.0

//! Looks for what is needed on this machine.

use crate::{
    deps,
    need::{Check, Need},
    version::Version,
};
use anyhow::Result;
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};
use util::{command::Cmd, place};

/// A need that is met.
#[derive(Clone, Debug)]
pub struct Found {
    /// The programs, or the files, in the order of the need.
    pub paths: Vec<PathBuf>,
    /// The suffix that the programs were found with.
    pub suffix: String,
    /// Version of the first program.
    pub version: Option<Version>,
    /// All that the first program says about its version.
    pub described: String,
}

/// The need as this machine meets it, or why it does not.
pub fn find(need: &Need) -> Result<std::result::Result<Found, String>> {
    if !need.files.is_empty() {
        return Ok(find_files(need));
    }
    let mut reasons = Vec::new();
    for suffix in &need.suffixes {
        let first = format!("{}{suffix}", need.programs[0]);
        for program in all_on_path(&first)? {
            match accept(need, suffix, program)? {
                Ok(found) => return Ok(Ok(found)),
                Err(reason) => reasons.push(reason),
            }
        }
    }
    Ok(Err(if reasons.is_empty() { "not found".into() } else { reasons.join("; ") }))
}

fn find_files(need: &Need) -> std::result::Result<Found, String> {
    let mut paths = Vec::new();
    for alternatives in &need.files {
        match alternatives.iter().find(|path| path.exists()) {
            Some(path) => paths.push(path.clone()),
            None => {
                let names: Vec<_> =
                    alternatives.iter().map(|path| path.display().to_string()).collect();
                return Err(format!("none of these exists: {}", names.join(", ")));
            }
        }
    }
    Ok(Found { paths, suffix: String::new(), version: None, described: need.name.clone() })
}

/// Whether `program`, the first one of the need, and those that belong to it will do.
fn accept(
    need: &Need,
    suffix: &str,
    program: PathBuf,
) -> Result<std::result::Result<Found, String>> {
    let shown = program.display().to_string();
    let mut version = None;
    let mut described = String::new();
    if let Some(least) = need.version {
        let Ok(output) = Cmd::new(&program).arg("--version").env("LC_ALL", "C").read() else {
            return Ok(Err(format!("{shown} does not start")));
        };
        described = output.trim().into();
        version = Version::in_output(&output);
        match version {
            Some(version) if version >= least => {}
            Some(version) => return Ok(Err(format!("{shown} is {version}"))),
            None => return Ok(Err(format!("{shown} tells no version"))),
        }
    }
    match need.check {
        Some(Check::RustSource) if rust_source(&program)?.is_none() => {
            return Ok(Err(format!("{shown} has no library source")));
        }
        Some(Check::Libclang) if libclang_dir(&program)?.is_none() => {
            return Ok(Err(format!("{shown} has no libclang beside it")));
        }
        Some(Check::OfRustc) => {
            if let Some(other) = other_rustc(&program)? {
                return Ok(Err(format!("{shown} belongs to {other}")));
            }
        }
        _ => {}
    }
    let mut paths = vec![program];
    for name in &need.programs[1..] {
        match all_on_path(&format!("{name}{suffix}"))?.into_iter().next() {
            Some(path) => paths.push(path),
            None => return Ok(Err(format!("{shown} lacks {name}{suffix}"))),
        }
    }
    Ok(Ok(Found { paths, suffix: suffix.into(), version, described }))
}

/// Every executable called `name` on PATH, in its order, and those that the harness built itself.
///
/// The compiler that comes first may be one without library source, so one answer is not enough.
pub fn all_on_path(name: &str) -> Result<Vec<PathBuf>> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = env::split_paths(&path).collect();
    dirs.push(tools_dir()?.join("bin"));
    let mut found: Vec<PathBuf> = Vec::new();
    for candidate in dirs.into_iter().map(|dir| dir.join(name)) {
        if is_executable(&candidate) && !found.contains(&candidate) {
            found.push(candidate);
        }
    }
    Ok(found)
}

/// Where tools go that the harness builds from crates.
pub fn tools_dir() -> Result<PathBuf> {
    place::cache("tools")
}

fn is_executable(path: &Path) -> bool {
    fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The compiler that `driver` belongs to, if it is not the one that the kernel is built with.
fn other_rustc(driver: &Path) -> Result<Option<String>> {
    let Ok(own) = Cmd::new(driver).args(["--rustc", "--version"]).read() else {
        return Ok(Some("no compiler: it does not start".into()));
    };
    let used = deps::need("rustc")?.described;
    Ok((own.trim() != used).then(|| own.trim().into()))
}

/// The directory with the source of the library of `rustc`, if it has one.
fn rust_source(rustc: &Path) -> Result<Option<PathBuf>> {
    let Ok(sysroot) = Cmd::new(rustc).args(["--print", "sysroot"]).read() else {
        return Ok(None);
    };
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust/library");
    Ok(library.join("core/src/lib.rs").exists().then_some(library))
}

/// The directory with the libclang that belongs to `clang`, if there is one.
pub fn libclang_dir(clang: &Path) -> Result<Option<PathBuf>> {
    let Ok(resources) = Cmd::new(clang).arg("-print-resource-dir").read() else {
        return Ok(None);
    };
    // The resources are in LIB/clang/VERSION, libclang is in LIB.
    let Some(lib) = Path::new(resources.trim()).ancestors().nth(2) else {
        return Ok(None);
    };
    let holds = |name: &str| name.starts_with("libclang.so") || name.starts_with("libclang-");
    let found = fs::read_dir(lib)
        .is_ok_and(|entries| entries.flatten().any(|e| holds(&e.file_name().to_string_lossy())));
    Ok(found.then(|| lib.to_path_buf()))
}
