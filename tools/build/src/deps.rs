// SPDX-License-Identifier: GPL-2.0

//! Finds what the harness needs, and installs what is missing.

use crate::{
    apt::{self, Apt},
    find::{Found, find, tools_dir},
    need::{Need, Table},
    unpacked,
    version::Version,
};
use anyhow::{Context, Result};
use std::{env, path::PathBuf};
use util::{command::Cmd, setup};

/// QEMU and its firmware.
#[derive(Clone, Debug)]
pub struct Qemu {
    /// qemu-system-aarch64.
    pub program: PathBuf,
    /// Its version.
    pub version: (u32, u32, u32),
    /// The firmware's code.
    pub firmware_code: PathBuf,
    /// The firmware's variables: a template.
    pub firmware_vars: PathBuf,
}

/// The newest EDK2, below its root directory.
const NEWEST_CODE: &str = "usr/share/AAVMF/AAVMF_CODE.no-secboot.fd";
const NEWEST_VARS: &str = "usr/share/AAVMF/AAVMF_VARS.fd";

impl Qemu {
    /// The same QEMU with the newest EDK2 there is, which is fetched when it is not there.
    pub fn with_newest_firmware(self) -> Result<Self> {
        let root = unpacked::root("newest-edk2")?;
        let (firmware_code, firmware_vars) = (root.join(NEWEST_CODE), root.join(NEWEST_VARS));
        Ok(Self { firmware_code, firmware_vars, ..self })
    }
}

/// How one missing need will be met.
enum Plan {
    Packages(Vec<String>),
    Backports(Vec<String>),
    Crate(crate::need::Crate),
}

/// What is missing, and why what is there will not do.
struct Missing {
    need: Need,
    reason: String,
}

/// Installs whatever is missing of what all verbs need; quick when nothing is.
pub fn ensure() -> Result<()> {
    install(None)
}

/// The same, and of what only the verb called `verb` needs.
pub fn ensure_for(verb: &str) -> Result<()> {
    install(Some(verb))
}

fn install(verb: Option<&str>) -> Result<()> {
    let table = Table::load()?;
    let missing = missing(&table, verb)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !apt::available() {
        return Err(setup!(
            "this machine lacks the following, and has no apt to install it with:\n{}\n\
             Install these with the machine's own package manager and run the command again.",
            listed(&missing)
        ));
    }
    eprintln!("Missing on this machine:\n{}", listed(&missing));
    as_root(Apt::system().update_cmd())?.run()?;

    let mut backports = None;
    let (mut packages, mut late_packages, mut crates) = (Vec::new(), Vec::new(), Vec::new());
    for Missing { need, reason } in &missing {
        match plan(need, &mut backports)? {
            Some(Plan::Packages(names)) => packages.extend(names),
            Some(Plan::Backports(names)) => late_packages.extend(names),
            Some(Plan::Crate(from)) => crates.push(from),
            None => {
                return Err(setup!(
                    "{need}\n  here: {reason}\n  and no configured package source has one that is \
                     new enough; install it by hand and put it on PATH"
                ));
            }
        }
    }
    if !packages.is_empty() {
        as_root(install_cmd(&Apt::system(), None, &packages))?.run()?;
    }
    if let (false, Some((apt, suite))) = (late_packages.is_empty(), &backports) {
        as_root(install_cmd(apt, Some(suite), &late_packages))?.run()?;
    }
    for from in crates {
        build_crate(&from)?;
    }

    let still = self::missing(&table, verb)?;
    if !still.is_empty() {
        return Err(setup!("still missing after installing:\n{}", listed(&still)));
    }
    Ok(())
}

/// Prints what there is: one line per need.
pub fn report() -> Result<()> {
    for need in &Table::load()?.needs {
        let found = match find(need)? {
            Ok(found) => found,
            Err(_) if !need.verbs.is_empty() => {
                let verbs: Vec<_> = need.verbs.iter().map(|verb| format!("make {verb}")).collect();
                println!("{:20} {:8} installed by {}", need.name, "-", verbs.join(", "));
                continue;
            }
            Err(reason) => return Err(setup!("{need}\n  here: {reason}")),
        };
        let version = found.version.map(|version| version.to_string()).unwrap_or_default();
        println!("{:20} {version:8} {}", need.name, found.paths[0].display());
    }
    Ok(())
}

/// QEMU, new enough, and its firmware.
pub fn qemu() -> Result<Qemu> {
    let qemu = need("qemu-system-aarch64")?;
    let firmware = need("edk2-aarch64")?;
    let [code, vars] = &firmware.paths[..] else {
        return Err(setup!("packages.toml: edk2-aarch64 needs two lists of files"));
    };
    let Version(major, minor, patch) = qemu.version.context("qemu-system-aarch64: no version")?;
    Ok(Qemu {
        program: qemu.paths[0].clone(),
        version: (major, minor, patch),
        firmware_code: code.clone(),
        firmware_vars: vars.clone(),
    })
}

/// The need called `name`, as this machine meets it.
pub fn need(name: &str) -> Result<Found> {
    let table = Table::load()?;
    let need = table.need(name)?;
    find(need)?.map_err(|reason| {
        setup!(
            "{need}\n  here: {reason}\n`make {}` installs it, or says what to install",
            need.verbs.first().map_or("deps", String::as_str)
        )
    })
}

fn missing(table: &Table, verb: Option<&str>) -> Result<Vec<Missing>> {
    let mut missing = Vec::new();
    for need in table.needs_of(verb) {
        if let Err(reason) = find(need)? {
            missing.push(Missing { need: need.clone(), reason });
        }
    }
    Ok(missing)
}

fn listed(missing: &[Missing]) -> String {
    let line = |one: &Missing| format!("  {}\n    here: {}", one.need, one.reason);
    missing.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// How to meet `need`; the state with the backports is made when it is first asked for.
fn plan(need: &Need, backports: &mut Option<(Apt, String)>) -> Result<Option<Plan>> {
    for names in &need.packages {
        if has_all(&Apt::system(), need, names)? {
            return Ok(Some(Plan::Packages(names.clone())));
        }
    }
    if need.backports && apt::os_release("ID").as_deref() == Some("debian") {
        if backports.is_none() {
            let (apt, suite) = Apt::with_backports()?;
            as_root(apt.update_cmd())?.run()?;
            *backports = Some((apt, suite));
        }
        let (apt, suite) = backports.as_ref().expect("made above");
        for names in &need.packages {
            let versions = apt.versions(&names[0], apt::Kind::Binary)?;
            if versions.iter().any(|version| new_enough(need, version)) {
                eprintln!("{} comes from {suite}", names.join(", "));
                return Ok(Some(Plan::Backports(names.clone())));
            }
        }
    }
    Ok(need.from_crate.clone().map(Plan::Crate))
}

fn has_all(apt: &Apt, need: &Need, names: &[String]) -> Result<bool> {
    for (position, name) in names.iter().enumerate() {
        match apt.candidate(name)? {
            Some(version) if position > 0 || new_enough(need, &version) => {}
            _ => return Ok(false),
        }
    }
    Ok(true)
}

fn new_enough(need: &Need, package_version: &str) -> bool {
    need.version.is_none_or(|least| Version::of_package(package_version) >= Some(least))
}

fn install_cmd(apt: &Apt, suite: Option<&str>, packages: &[String]) -> Cmd {
    let mut cmd = apt.cmd("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args([
        "install",
        "--yes",
        "--quiet",
        "--no-install-recommends",
    ]);
    if let Some(suite) = suite {
        cmd = cmd.args(["--target-release", suite]);
    }
    cmd.args(packages)
}

/// `cmd` as the superuser: as it is for root, through sudo where there is one.
fn as_root(cmd: Cmd) -> Result<Cmd> {
    if Cmd::new("id").arg("-u").read()?.trim() == "0" {
        return Ok(cmd);
    }
    if crate::find::all_on_path("sudo")?.is_empty() {
        return Err(setup!(
            "this takes the superuser, and there is no sudo; run as root, then try again:\n  {cmd}"
        ));
    }
    // sudo takes assignments before the program, as a shell does.
    let words = shlex::split(&cmd.to_string()).unwrap_or_default();
    Ok(Cmd::new("sudo").args(words))
}

fn build_crate(from: &crate::need::Crate) -> Result<()> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Cmd::new(cargo)
        .args(["install", "--quiet", "--locked", &from.name, "--version", &from.version, "--root"])
        .arg(tools_dir()?)
        .run()
        .with_context(|| format!("cannot build {} {} from its crate", from.name, from.version))
}
