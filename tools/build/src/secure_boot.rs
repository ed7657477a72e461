// SPDX-License-Identifier: GPL-2.0

//! UEFI Secure Boot: machines whose firmware trusts one key, and kernels that are signed with it.
//!
//! The key is the one that the package of the firmware has for tests. It is as secret as its password,
//! which is in the package's README.

use crate::{
    deps::{self, Qemu},
    kernel::Kernel,
};
use anyhow::{Context, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};
use util::{command::Cmd, hash, setup};

const PASSWORD: &str = "snakeoil";

/// The key, its certificate, and variables of a firmware that trusts it.
struct Key {
    variables: PathBuf,
    key: PathBuf,
    certificate: PathBuf,
}

impl Key {
    fn find() -> Result<Self> {
        let found = deps::need("edk2-aarch64-key")?;
        let [variables, key, certificate] = &found.paths[..] else {
            return Err(setup!("packages.toml: edk2-aarch64-key needs three lists of files"));
        };
        Ok(Self {
            variables: variables.clone(),
            key: key.clone(),
            certificate: certificate.clone(),
        })
    }
}

/// The same machine with Secure Boot, which starts signed kernels only.
pub fn machine(qemu: &Qemu) -> Result<Qemu> {
    Ok(Qemu { firmware_vars: Key::find()?.variables, ..qemu.clone() })
}

/// The same kernel, signed; it is kept beside the one that is not.
pub fn signed(kernel: &Kernel) -> Result<Kernel> {
    let key = Key::find()?;
    let certificate = fs::read(&key.certificate)
        .with_context(|| format!("cannot read {}", key.certificate.display()))?;
    let by = hash::Key::new().part("certificate", certificate).short();
    let image = kernel.image.with_extension(format!("signed-{by}"));
    if !image.exists() {
        sign(&key, &kernel.image, &image)
            .with_context(|| format!("cannot sign {}", kernel.image.display()))?;
    }
    Ok(Kernel { image, described: format!("{}, signed", kernel.described), ..kernel.clone() })
}

fn sign(key: &Key, image: &Path, signed: &Path) -> Result<()> {
    let dir = image.parent().context("an image is in a directory")?;
    let temporary = tempfile::Builder::new().prefix("signing-").tempdir_in(dir)?;
    let (plain, output) = (temporary.path().join("key"), temporary.path().join("image"));
    // The program that signs would ask for the password on the terminal.
    Cmd::new(&deps::need("openssl")?.paths[0])
        .args(["pkey", "-passin", &format!("pass:{PASSWORD}"), "-in"])
        .arg(&key.key)
        .arg("-out")
        .arg(&plain)
        .read()?;
    Cmd::new(&deps::need("sbsign")?.paths[0])
        .arg("--key")
        .arg(&plain)
        .arg("--cert")
        .arg(&key.certificate)
        .arg("--output")
        .arg(&output)
        .arg(image)
        .read()?;
    fs::rename(&output, signed)?;
    Ok(())
}
