// SPDX-License-Identifier: GPL-2.0

//! Bridges: how the series' own files differ where a kernel lacks what newer ones have. And mends:
//! what has to change in a kernel so that today's tools build it.
//!
//! A tree is asked for what it has, and not for its version, so that one with backports gets what
//! fits it. A bridge changes nothing but what the series brings; a mend is no part of the series.

use crate::{pristine::Pristine, series::Changes};
use anyhow::{Context, Result, bail};
use regex::{NoExpand, Regex};
use serde::Deserialize;
use std::{
    borrow::Cow,
    path::{Path, PathBuf},
};
use util::table;

/// Where the bridges are, in the checkout.
pub const FILE: &str = "bridges.toml";

/// The bridges, in the order in which they are applied.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bridges {
    #[serde(rename = "bridge", default)]
    all: Vec<Bridge>,
    #[serde(rename = "mend", default)]
    mends: Vec<Mend>,
}

/// One thing that a kernel may lack, and what the series does without it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Bridge {
    /// For people.
    why: String,
    lacks: Feature,
    #[serde(default)]
    replace: Vec<Replacement>,
    /// Files of the kernel tree into which the series inserts nothing then.
    #[serde(default)]
    skip: Vec<PathBuf>,
}

/// One thing in a kernel that keeps it from being built.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mend {
    /// For people.
    why: String,
    has: Feature,
    replace: Vec<Replacement>,
}

/// What a kernel tree has or lacks: a text in a file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Feature {
    file: PathBuf,
    text: String,
}

impl Feature {
    fn is_in(&self, tree: &Pristine) -> Result<bool> {
        let bytes = tree.read(&self.file)?.unwrap_or_default();
        Ok(String::from_utf8_lossy(&bytes).contains(&self.text))
    }
}

/// Other words in files.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    files: Vec<PathBuf>,
    /// What is replaced, word for word ...
    from: Option<String>,
    /// ... or all that matches this regular expression.
    pattern: Option<String>,
    to: String,
}

impl Replacement {
    fn pattern(&self) -> Result<Regex> {
        let pattern = match (&self.from, &self.pattern) {
            (Some(from), None) => Cow::Owned(regex::escape(from)),
            (None, Some(pattern)) => Cow::Borrowed(pattern.as_str()),
            _ => bail!("a replacement needs exactly one of from, pattern"),
        };
        Regex::new(&pattern).with_context(|| format!("'{pattern}' is no regular expression"))
    }

    fn apply(&self, file: &Path, text: &str) -> Result<String> {
        match self.pattern()?.replace_all(text, NoExpand(&self.to)) {
            Cow::Owned(text) => Ok(text),
            Cow::Borrowed(_) => {
                let wanted = self.from.as_ref().or(self.pattern.as_ref());
                bail!(
                    "{} does not have: {}",
                    file.display(),
                    wanted.map_or("", |wanted| wanted.trim())
                )
            }
        }
    }
}

impl Bridges {
    /// Reads the bridges of `checkout`.
    pub fn load(checkout: &Path) -> Result<Self> {
        let path = checkout.join(FILE);
        table::load(&path, |text| toml::from_str(text))
    }

    /// Those that `tree` needs.
    pub fn for_tree(&self, tree: &Pristine) -> Result<Self> {
        let mut all = Vec::new();
        for bridge in &self.all {
            if !bridge.lacks.is_in(tree)? {
                all.push(bridge.clone());
            }
        }
        let mut mends = Vec::new();
        for mend in &self.mends {
            if mend.has.is_in(tree)? {
                mends.push(mend.clone());
            }
        }
        Ok(Self { all, mends })
    }

    /// `text`, what the series has in the new file `file`, as the tree needs it.
    pub fn across(&self, file: &Path, text: String) -> Result<String> {
        let mut text = text;
        for bridge in &self.all {
            for replacement in &bridge.replace {
                if replacement.files.iter().any(|one| one == file) {
                    text = replacement
                        .apply(file, &text)
                        .with_context(|| format!("{FILE}, '{}'", bridge.why))?;
                }
            }
        }
        Ok(text)
    }

    /// Whether the series inserts nothing into `file`.
    pub fn skip(&self, file: &Path) -> bool {
        self.all.iter().flat_map(|bridge| &bridge.skip).any(|one| one == file)
    }

    /// What the tree lacks, for people.
    pub fn reasons(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|bridge| bridge.why.as_str())
    }

    /// What is mended in the tree, for people.
    pub fn mends(&self) -> impl Iterator<Item = &str> {
        self.mends.iter().map(|mend| mend.why.as_str())
    }

    /// The files of `tree` that are mended.
    pub fn mended(&self, tree: &Pristine) -> Result<Changes> {
        let mut changes = Changes::new();
        for mend in &self.mends {
            let context = || format!("{FILE}, '{}'", mend.why);
            for replacement in &mend.replace {
                for file in &replacement.files {
                    let bytes = match changes.remove(file) {
                        Some(bytes) => bytes,
                        None => tree.read(file)?.unwrap_or_default(),
                    };
                    let text = String::from_utf8(bytes).with_context(context)?;
                    let text = replacement.apply(file, &text).with_context(context)?;
                    changes.insert(file.clone(), text.into_bytes());
                }
            }
        }
        Ok(changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::Bases, series::Series, source_package::kept, version::Version};
    use std::{collections::BTreeSet, fs};
    use util::command::Cmd;

    const BRIDGE: &str = r#"
        [[bridge]]
        why = "b() is newer"
        lacks = { file = "b.h", text = "b(" }
        skip = ["Kconfig"]
        [[bridge.replace]]
        files = ["new.c"]
        from = "b(1)"
        to = "a($0)"
        [[bridge.replace]]
        files = ["new.c"]
        pattern = '(?s)\ntest.*'
        to = ""
    "#;

    fn bridges() -> Bridges {
        toml::from_str(BRIDGE).unwrap()
    }

    fn tree(dir: &Path) -> Pristine {
        Pristine {
            dir: dir.into(),
            version: Version(7, 3, 4),
            identity: "test".into(),
            name: "test".into(),
            described: "the test's tree".into(),
            files: None,
        }
    }

    #[test]
    fn a_tree_is_asked_for_what_it_has() {
        let dir = tempfile::tempdir().unwrap();
        let needed = || bridges().for_tree(&tree(dir.path())).unwrap().all.len();
        assert_eq!(needed(), 1, "without the file");
        fs::write(dir.path().join("b.h"), "void a(int);\n").unwrap();
        assert_eq!(needed(), 1, "without the text");
        fs::write(dir.path().join("b.h"), "void b(int);\n").unwrap();
        assert_eq!(needed(), 0);
    }

    #[test]
    fn words_and_expressions_are_replaced_wherever_they_are() {
        let text = "b(1) + b(1)\ntest\nb(1)\n".to_string();
        assert_eq!(bridges().across(Path::new("new.c"), text.clone()).unwrap(), "a($0) + a($0)");
        assert_eq!(bridges().across(Path::new("other.c"), text.clone()).unwrap(), text);
        assert!(bridges().skip(Path::new("Kconfig")));
        assert!(!bridges().skip(Path::new("Makefile")));
    }

    #[test]
    fn what_is_not_there_to_replace_is_an_error_that_names_the_bridge() {
        let error = bridges().across(Path::new("new.c"), "b(2)\n".into()).unwrap_err();
        let text = format!("{error:#}");
        assert_eq!(text, "bridges.toml, 'b() is newer': new.c does not have: b(1)");
    }

    #[test]
    fn a_replacement_is_of_one_kind() {
        let replacement: Replacement = toml::from_str("files = []\nto = ''").unwrap();
        assert!(replacement.pattern().unwrap_err().to_string().contains("exactly one of"));
    }

    #[test]
    fn a_tree_is_mended_where_it_needs_it() {
        let mend = r#"
            [[mend]]
            why = "one is two"
            has = { file = "a.c", text = "one" }
            [[mend.replace]]
            files = ["a.c"]
            from = "one"
            to = "two"
            [[mend.replace]]
            files = ["a.c"]
            from = "1"
            to = "2"
        "#;
        let all: Bridges = toml::from_str(mend).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let tree = tree(dir.path());
        let mended = |text: &str| {
            fs::write(dir.path().join("a.c"), text).unwrap();
            let mends = all.for_tree(&tree).unwrap();
            let changes = mends.mended(&tree);
            (
                mends.mends().count(),
                changes.map(|changes| changes.into_values().collect::<Vec<_>>()),
            )
        };
        let (count, changes) = mended("one 1\n");
        assert_eq!((count, changes.unwrap()), (1, vec![b"two 2\n".to_vec()]));
        let (count, changes) = mended("two 1\n");
        assert_eq!((count, changes.unwrap()), (0, vec![]));
        let error = mended("one 0\n").1.unwrap_err();
        assert_eq!(format!("{error:#}"), "bridges.toml, 'one is two': a.c does not have: 1");
    }

    fn checkout() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    /// The series' own files, as they are with `bridges`.
    fn bridged(bridges: &Bridges) -> Vec<(PathBuf, String)> {
        let series = Series::load(&checkout()).unwrap();
        let files = series.patches.iter().flat_map(|patch| patch.files.clone());
        let read = |file: PathBuf| {
            let text = fs::read_to_string(checkout().join(&file)).unwrap();
            let text = bridges.across(&file, text).unwrap();
            (file, text)
        };
        files.map(read).collect()
    }

    #[test]
    fn each_bridge_fits_the_series_by_itself_and_with_the_others() {
        let series = Series::load(&checkout()).unwrap();
        let all = Bridges::load(&checkout()).unwrap();
        bridged(&all);
        let new: BTreeSet<_> = series.patches.iter().flat_map(|patch| &patch.files).collect();
        let insertions = series.patches.iter().flat_map(|patch| &patch.insertions);
        let inserted: BTreeSet<_> = insertions.map(|insertion| &insertion.file).collect();
        for bridge in all.all {
            let replaced: BTreeSet<_> = bridge.replace.iter().flat_map(|one| &one.files).collect();
            assert!(replaced.is_subset(&new), "'{}': the series adds no such file", bridge.why);
            assert!(bridge.skip.iter().all(|file| inserted.contains(file)), "'{}'", bridge.why);
            bridged(&Bridges { all: vec![bridge], ..Bridges::default() });
        }
    }

    #[test]
    fn bridged_files_have_the_layout_of_the_kernel() {
        let dir = tempfile::tempdir().unwrap();
        let mut check = Cmd::new("rustfmt")
            .args(["--check", "--edition", "2021", "--config-path"])
            .arg(checkout().join("tools/pure/rustfmt.toml"));
        for (file, text) in bridged(&Bridges::load(&checkout()).unwrap()) {
            let path = dir.path().join(&file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, text).unwrap();
            if file.extension().is_some_and(|ending| ending == "rs") {
                check = check.arg(path);
            }
        }
        let output = check.command().output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }

    // Where the trees are not kept, there is nothing to ask.
    #[test]
    fn the_newest_base_needs_no_bridge_and_some_base_needs_each() {
        let bases: Bases = toml::from_str(include_str!("../../../bases.toml")).unwrap();
        let all = Bridges::load(&checkout()).unwrap();
        let needed = |base| {
            let tree = kept(base).unwrap()?;
            let needed = all.for_tree(&tree).unwrap();
            needed.mended(&tree).unwrap();
            let reasons = needed.reasons().chain(needed.mends());
            Some(reasons.map(String::from).collect::<BTreeSet<_>>())
        };
        let newest = bases.bases.iter().max_by_key(|base| Version::parse(&base.version)).unwrap();
        assert_eq!(needed(newest).unwrap_or_default(), BTreeSet::new());
        let each: Option<Vec<_>> = bases.bases.iter().map(needed).collect();
        if let Some(each) = each {
            let some: BTreeSet<_> = each.into_iter().flatten().collect();
            let reasons = all.reasons().chain(all.mends());
            assert_eq!(some, reasons.map(String::from).collect());
        }
    }
}
