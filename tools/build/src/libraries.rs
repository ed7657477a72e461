// SPDX-License-Identifier: GPL-2.0

//! The libraries that a program loads.

use object::{
    Endianness, Result,
    elf::{DT_NEEDED, FileHeader64},
    read::elf::{Dyn, FileHeader},
};

/// The libraries that the ELF file with these bytes names.
pub fn named_in(elf: &[u8]) -> Result<Vec<String>> {
    let header = FileHeader64::<Endianness>::parse(elf)?;
    let endian = header.endian()?;
    let sections = header.sections(endian, elf)?;
    let Some((entries, strings)) = sections.dynamic(endian, elf)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, elf, strings)?;
    let needed = entries.iter().filter(|entry| entry.tag32(endian) == Some(DT_NEEDED));
    needed
        .map(|entry| Ok(String::from_utf8_lossy(entry.string(endian, strings)?).into_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{env, fs};

    #[test]
    fn a_program_names_the_library_of_c() {
        let program = fs::read(env::current_exe().unwrap()).unwrap();
        let libraries = named_in(&program).unwrap();
        assert!(libraries.iter().any(|name| name == "libc.so.6"), "{libraries:?}");
        assert!(named_in(&program[..program.len() / 2]).is_err(), "half of it is no program");
        assert!(named_in(b"#!/bin/sh\n").is_err());
    }
}
