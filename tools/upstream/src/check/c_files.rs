// SPDX-License-Identifier: GPL-2.0

//! The C files that the series touches, and what tools say about them that is not said of the base.

use super::{
    Verdict,
    context::Context,
    output::{self, Warning, warnings},
    tree::{Kind, Tree},
};
use anyhow::Result;
use build::deps;
use std::{
    fs,
    path::{Path, PathBuf},
};
use util::command::Cmd;

/// `make W=1`
pub fn w1(context: &Context, logs: &Path) -> Result<Verdict> {
    compare(context, logs, &["W=1"], "CC")
}

/// `make C=2`
pub fn sparse(context: &Context, logs: &Path) -> Result<Verdict> {
    let sparse = deps::need("sparse")?.paths.swap_remove(0);
    let mut checker = sparse.display().to_string();
    let mut not_checked = Vec::new();
    if !takes_checker(context, &checker, logs)? {
        // What this leaves out is how qualifiers get lost.
        checker += " -D__typeof_unqual__=__typeof__";
        not_checked.push(
            "qualifiers: this sparse is too old for the tree, which would not start it. It is told \
             that __typeof_unqual__ is __typeof__"
                .into(),
        );
    }
    let verdict = compare(context, logs, &["C=2", &format!("CHECK={checker}")], "CHECK")?;
    Ok(Verdict { not_checked, ..verdict })
}

/// Whether the tree takes `checker` for new enough; older trees do not ask.
fn takes_checker(context: &Context, checker: &str, logs: &Path) -> Result<bool> {
    let script = context.pristine.dir.join("scripts/checker-valid.sh");
    if !script.exists() {
        return Ok(true);
    }
    let log = logs.join("checker-valid.log");
    let asked = Cmd::new("sh").arg(script).arg(checker).run_logged(&log);
    Ok(asked.is_ok() && fs::read_to_string(&log)?.trim() == "1")
}

/// The C files of the base that the series changes, but for what rust/ builds by itself.
pub fn touched(context: &Context) -> Result<Vec<PathBuf>> {
    let mut files = context.files("c", true)?;
    files.retain(|file| !file.starts_with("rust"));
    Ok(files)
}

/// Keeps make from compiling the Rust code first, which other warnings of the C compiler make it do
/// anew. The configuration of the C files is that of the tree.
const C_ALONE: &str = "CONFIG_RUST=";

/// Compiles the touched C files of the base, and of the series with its option on and off; `step` is
/// what make calls that which looks at them.
fn compare(context: &Context, logs: &Path, how: &[&str], step: &str) -> Result<Verdict> {
    let files = touched(context)?;
    let mut verdict = Verdict::default();
    let mut said: Vec<Vec<Warning>> = Vec::new();
    for (kind, name) in [(Kind::Stock, "base"), (Kind::On, "on"), (Kind::Off, "off")] {
        let tree = Tree::ready(context, kind)?;
        tree.forget(&files)?;
        let objects = files.iter().map(|file| file.with_extension("o").display().to_string());
        let arguments: Vec<String> =
            [&[C_ALONE], how].concat().into_iter().map(String::from).chain(objects).collect();
        let made = tree.make(context, &arguments, &logs.join(format!("{name}.log")))?;
        if let Some(why) = made.failed {
            verdict.findings.push(format!("{name}: {why}"));
        }
        for file in files.iter().filter(|file| !looked_at(&made.text, step, file)) {
            verdict.findings.push(format!("{name}: nothing looked at {}", file.display()));
        }
        said.push(warnings(&made.text, &tree.dir)?);
    }
    for (name, after) in [("option on", &said[1]), ("option off", &said[2])] {
        let new = output::new_ones(&said[0], after);
        verdict.findings.extend(new.iter().map(|warning| format!("{name}: {warning}")));
    }
    let counts: Vec<_> = said.iter().map(|all| all.len().to_string()).collect();
    verdict.figures = format!(
        "{} files; warnings on the base, with the option on, and off: {}",
        files.len(),
        counts.join(", ")
    );
    Ok(verdict)
}

/// Whether a make said that it took the step called `step` for `file`.
fn looked_at(said: &str, step: &str, file: &Path) -> bool {
    let object = file.with_extension("o");
    said.lines().any(|line| {
        let mut words = line.split_whitespace();
        let shown = (words.next(), words.next().map(Path::new));
        shown.0 == Some(step) && (shown.1 == Some(file) || shown.1 == Some(&object))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_not_looked_at_is_noticed() {
        let said = "  CC      arch/a.o\n  CHECK   arch/b.c\n";
        assert!(looked_at(said, "CC", Path::new("arch/a.c")));
        assert!(looked_at(said, "CHECK", Path::new("arch/b.c")));
        assert!(!looked_at(said, "CHECK", Path::new("arch/a.c")));
    }
}
