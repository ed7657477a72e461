// SPDX-License-Identifier: GPL-2.0

//! Runs the kernel build: shows how far it is, keeps its log, and quotes the first errors.

use crate::{build_tree::BuildTree, lock::Lock, progress::Progress, toolchain::Toolchain};
use anyhow::{Context, Result, bail};
use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader, BufWriter, Write},
    path::Path,
    process::Stdio,
    thread::available_parallelism,
};
use util::place;

/// How many steps a build is taken for that is the first of its kind.
const FIRST_ESTIMATE: u64 = 1600;
/// How many error lines are quoted.
const QUOTED: usize = 5;

/// Builds the kernel in `tree`; `kind` names builds that take about as many steps.
pub fn compile(tree: &mut BuildTree, toolchain: &Toolchain, what: &str, kind: &str) -> Result<()> {
    // Two builds at once would take as long, and each would look stuck.
    let _lock = Lock::take(&place::cache("trees")?.join("lock"), "another run builds a kernel")?;
    let whole = !tree.is_built();
    let known =
        place::cache("trees")?.join(format!("{kind}.{}-steps", if whole { "all" } else { "some" }));
    let earlier = fs::read_to_string(&known).ok().and_then(|text| text.trim().parse().ok());
    let mut progress = Progress::start(what, earlier.or(whole.then_some(FIRST_ESTIMATE)));

    let log = tree.log();
    let jobs = available_parallelism().map_or(1, |cores| cores.get());
    let cmd = toolchain.make(&tree.tree()).arg(format!("-j{jobs}")).arg("Image");
    let (reader, writer) = io::pipe()?;
    let mut command = cmd.command();
    command.stdin(Stdio::null()).stdout(writer.try_clone()?).stderr(writer);
    let mut child = command.spawn().context("cannot start make")?;
    // The pipe ends when make and all that it started have closed it, and this process too.
    drop(command);
    let mut file = BufWriter::new(
        File::create(&log).with_context(|| format!("cannot write {}", log.display()))?,
    );
    writeln!(file, "$ {cmd}")?;
    let mut errors = Vec::new();
    for line in BufReader::new(reader).split(b'\n') {
        let line = line?;
        let line = String::from_utf8_lossy(&line);
        writeln!(file, "{line}")?;
        progress.line(&line);
        collect(&mut errors, &line);
    }
    file.flush()?;
    let status = child.wait()?;
    let steps = progress.finish();
    if !status.success() {
        bail!(failure(what, &errors, &log)?);
    }
    fs::write(known, steps.to_string())?;
    tree.set_built()
}

/// Adds `line` to the errors if it is one, or if it tells where the last one is.
fn collect(errors: &mut Vec<String>, line: &str) {
    if errors.len() < QUOTED && is_error(line) {
        errors.push(line.into());
    } else if let (Some(last), Some(place)) = (errors.last_mut(), line.trim().strip_prefix("--> "))
        && last.starts_with("error")
        && !last.contains('\n')
    {
        *last += &format!("\n  at {place}");
    }
}

/// Whether a line of the build's output is a compiler's error, or that of another tool.
fn is_error(line: &str) -> bool {
    line.starts_with("error")
        || line.contains(": error:")
        || line.contains(": fatal error:")
        || line.contains("ERROR: modpost")
        || line.contains("undefined symbol")
        || line.contains("No space left on device")
        || line.contains("No rule to make target")
}

fn failure(what: &str, errors: &[String], log: &Path) -> Result<String> {
    let quoted = if errors.is_empty() { util::command::tail(log)? } else { errors.join("\n") };
    Ok(format!("{what}: the build failed\n{quoted}\nthe whole log: {}", log.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_all_tools_are_recognised() {
        for line in [
            "kernel/x.c:3:1: error: unknown type name",
            "error[E0425]: cannot find value `x` in this scope",
            "error: aborting due to 1 previous error",
            "ERROR: modpost: missing MODULE_LICENSE()",
            "ld.lld-19: error: undefined symbol: x",
            "llvm-objcopy: error: 'Image': No space left on device",
            "cat: write error: No space left on device",
            "make[3]: *** No rule to make target 'a.o'.  Stop.",
        ] {
            assert!(is_error(line), "{line}");
        }
        for line in ["  CC      lib/error.o", "kernel/x.c:3:1: warning: unused", "  CC errno.o"] {
            assert!(!is_error(line), "{line}");
        }
    }

    #[test]
    fn an_error_of_rustc_has_its_place() {
        let mut errors = Vec::new();
        for line in
            ["error[E1]: x", "  --> rust/a.rs:1:2", "   |", "note: y", "  --> rust/b.rs:3:4"]
        {
            collect(&mut errors, line);
        }
        assert_eq!(errors, ["error[E1]: x\n  at rust/a.rs:1:2"]);
    }

    #[test]
    fn a_failure_names_the_log_and_quotes() {
        let text = failure("Linux", &["x.c:1: error: y".into()], Path::new("/l/build.log"));
        let text = text.unwrap();
        assert!(text.contains("x.c:1: error: y") && text.contains("/l/build.log"), "{text}");
    }
}
