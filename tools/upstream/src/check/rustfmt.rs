// SPDX-License-Identifier: GPL-2.0

//! rustfmt with the configuration of the kernel tree.

use super::{Verdict, context::Context};
use anyhow::{Context as _, Result};
use build::deps;
use std::{fs, io::Write, path::Path, process::Stdio, thread};
use util::command::Cmd;

/// Asks rustfmt about each Rust file that the series adds or changes.
pub fn run(context: &Context, logs: &Path) -> Result<Verdict> {
    let settings = context.pristine.dir.join(".rustfmt.toml");
    settings.metadata().with_context(|| format!("no {}", settings.display()))?;
    let rustfmt = deps::need("rustfmt")?.paths.swap_remove(0);
    let (mut findings, mut count, mut log) = (Vec::new(), 0, String::new());
    for (path, bytes) in context.changes()? {
        if path.extension().is_none_or(|ending| ending != "rs") {
            continue;
        }
        count += 1;
        let cmd = Cmd::new(&rustfmt)
            .args(["--check", "--color", "never", "--config-path"])
            .arg(&settings);
        if let Some(said) = complaint(&cmd, bytes)? {
            let first: Vec<_> = said.lines().take(12).collect();
            findings.push(format!("{}: {}", path.display(), first.join("\n")));
            log += &format!("{}\n{said}\n", path.display());
        }
    }
    fs::write(logs.join("rustfmt.log"), log)?;
    if count == 0 {
        findings.push("the series has no Rust file".into());
    }
    Ok(Verdict { figures: format!("{count} files"), findings, ..Verdict::default() })
}

/// What `cmd` has to say about `bytes`. From its standard input it takes one file, and does not
/// follow the modules that the file declares.
fn complaint(cmd: &Cmd, bytes: &[u8]) -> Result<Option<String>> {
    let mut command = cmd.command();
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{cmd}`"))?;
    let mut stdin = child.stdin.take().context("rustfmt has no input")?;
    let output = thread::scope(|scope| {
        // One that fails stops reading; its status tells that.
        scope.spawn(move || stdin.write_all(bytes));
        child.wait_with_output()
    })?;
    let said = [output.stdout, output.stderr].concat();
    // For its standard input, its status does not tell whether it would change anything.
    let is_one = !output.status.success() || !said.is_empty();
    Ok(is_one.then(|| String::from_utf8_lossy(&said).into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_a_complaint_whatever_the_status() {
        let complains = |script: &str| {
            complaint(&Cmd::new("sh").args(["-c", script]), b"fn main() {}\n").unwrap().is_some()
        };
        assert!(!complains("cat > /dev/null"));
        assert!(complains("cat"));
        assert!(complains("exit 1"));
    }
}
