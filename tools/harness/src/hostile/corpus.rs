// SPDX-License-Identifier: GPL-2.0

//! The corpus of a fuzz target: one file with an input a line, in hexadecimal, so that a change of it
//! can be read. libFuzzer has a file for each input, below out/.

use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};
use util::place;

/// Where the inputs of `target` are kept.
pub fn file(target: &str) -> Result<PathBuf> {
    Ok(place::checkout()?.join("tools/fuzz/corpus").join(target).with_extension("hex"))
}

/// Writes the kept inputs of `target` into `dir`, which is made anew; how many there are.
pub fn unpack(target: &str, dir: &Path) -> Result<usize> {
    let file = file(target)?;
    let text =
        fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
    let inputs = inputs(&text).with_context(|| format!("in {}", file.display()))?;
    if inputs.is_empty() {
        bail!("{} has no inputs", file.display());
    }
    empty(dir)?;
    for (index, input) in inputs.iter().enumerate() {
        fs::write(dir.join(format!("{index:04}")), input)?;
    }
    Ok(inputs.len())
}

/// Keeps all inputs in `dir` for `target`, and no others; how many there are.
pub fn pack(target: &str, dir: &Path) -> Result<usize> {
    let mut inputs = Vec::new();
    for entry in fs::read_dir(dir)? {
        inputs.push(fs::read(entry?.path())?);
    }
    inputs.sort_by_key(|input| (input.len(), input.clone()));
    let text: String = inputs.iter().map(|input| line(input)).collect();
    fs::write(file(target)?, text)?;
    Ok(inputs.len())
}

/// Makes `dir`, or makes it empty.
pub fn empty(dir: &Path) -> Result<()> {
    if dir.exists() {
        fs::remove_dir_all(dir)?;
    }
    fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))
}

fn line(input: &[u8]) -> String {
    input.iter().map(|byte| format!("{byte:02x}")).chain(["\n".into()]).collect()
}

fn inputs(text: &str) -> Result<Vec<Vec<u8>>> {
    let bytes = |line: &str| {
        let digits = line.as_bytes().chunks(2);
        let bytes = digits
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair)?, 16).map_err(Into::into));
        if line.len() % 2 == 1 {
            bail!("half a byte");
        }
        bytes.collect::<Result<Vec<u8>>>()
    };
    let lines = text.lines().enumerate();
    lines.map(|(index, line)| bytes(line).with_context(|| format!("line {}", index + 1))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let given = [&b""[..], b"\0", b"\xff\x01\x80"];
        let text: String = given.iter().map(|input| line(input)).collect();
        assert_eq!(text, "\n00\nff0180\n");
        assert_eq!(inputs(&text).unwrap(), given);
    }

    #[test]
    fn what_is_no_hexadecimal_is_named() {
        for (text, place) in
            [("00\n0\n", "line 2"), ("zz\n", "line 1"), ("00\n00\n+1x\n", "line 3")]
        {
            let error = format!("{:#}", inputs(text).unwrap_err());
            assert!(error.contains(place), "{error}");
        }
    }
}
