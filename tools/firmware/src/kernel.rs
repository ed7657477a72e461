// SPDX-License-Identifier: GPL-2.0

//! The kernel, with its EFI stub.

use crate::fw_cfg::File;
use anyhow::{Result, anyhow, bail};
use core::convert::Infallible;
use uefi::{
    boot::{self, LoadImageSource},
    proto::loaded_image::LoadedImage,
};

/// Starts `kernel` with the command line that this application was started with.
pub fn start(kernel: File) -> Result<Infallible> {
    let source = LoadImageSource::FromBuffer { buffer: kernel.bytes(), file_path: None };
    let image = boot::load_image(boot::image_handle(), source)
        .map_err(|error| anyhow!("the kernel cannot be loaded: {error}"))?;
    let no_image = |error| anyhow!("there is no loaded image: {error}");
    let own =
        boot::open_protocol_exclusive::<LoadedImage>(boot::image_handle()).map_err(no_image)?;
    let options = own.load_options_as_bytes().unwrap_or_default();
    let mut loaded = boot::open_protocol_exclusive::<LoadedImage>(image).map_err(no_image)?;
    // SAFETY: The options of this application stay until it ends, and it ends with the kernel.
    unsafe { loaded.set_load_options(options.as_ptr(), u32::try_from(options.len())?) };
    drop(loaded);
    match boot::start_image(image) {
        Ok(()) => bail!("the kernel has come back"),
        Err(error) => bail!("the kernel has come back: {error}"),
    }
}
