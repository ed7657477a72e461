// SPDX-License-Identifier: GPL-2.0

//! The series: what it adds to a kernel tree, and in which patches.
//!
//! Applying is a function from the files of a tree and the checkout to the files that differ.

use crate::{
    bridge::{self, Bridges},
    cocci::{Coccinelle, Outcome},
    insertion::Insertion,
    kernel::Variant,
    pristine::Pristine,
};
use anyhow::{Context, Result, anyhow, bail};
use regex::Regex;
use serde::Deserialize;
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};
use util::{setup, table};

/// Files that differ from the pristine tree, and what they hold.
pub type Changes = BTreeMap<PathBuf, Vec<u8>>;

/// The file `series` of the checkout.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Series {
    /// The text of the cover letter.
    pub cover: Option<Cover>,
    /// What changed in each version that was sent after the first.
    #[serde(rename = "version", default)]
    pub versions: Vec<SentVersion>,
    /// In the order in which they are applied.
    #[serde(rename = "patch", default)]
    pub patches: Vec<Patch>,
    /// Changes for tests only; they are never part of what users get.
    #[serde(rename = "variant", default)]
    pub variants: Vec<TestVariant>,
    /// What it does where a kernel lacks something; in a file of its own.
    #[serde(skip)]
    pub bridges: Bridges,
}

/// The cover letter.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cover {
    /// Its subject.
    pub subject: String,
    /// Its text, with places in braces for what is measured.
    pub message: String,
}

/// What changed in a version of the series.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SentVersion {
    /// Its number, from 2 on.
    pub number: u32,
    /// The changes, as a list.
    pub changes: String,
}

/// One patch.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Patch {
    /// First line of its message.
    pub subject: String,
    /// The rest of its message.
    pub message: String,
    /// Whether it is a fix of its own, which changes what a kernel without the option does, too.
    #[serde(default)]
    pub fix: bool,
    /// New files, at the same path in the checkout and in the kernel tree.
    #[serde(default)]
    pub files: Vec<PathBuf>,
    /// New files of which a later patch adds the rest.
    #[serde(rename = "part", default)]
    pub parts: Vec<Part>,
    /// Semantic patches.
    #[serde(rename = "hook", default)]
    pub hooks: Vec<Hook>,
    /// Declared insertions.
    #[serde(rename = "insert", default)]
    pub insertions: Vec<Insertion>,
}

/// A new file that comes in more than one patch; the last of them has it in `files`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// The file, in the checkout and in the kernel tree.
    pub file: PathBuf,
    /// Its paragraphs that match one of these regular expressions are left out so far.
    pub without: Vec<String>,
}

impl Part {
    /// `text`, the whole file, without what is left out.
    fn of(&self, text: &str) -> Result<String> {
        let mut without = Vec::new();
        for pattern in &self.without {
            let regex = Regex::new(pattern)
                .with_context(|| format!("series: '{pattern}' is no regular expression"))?;
            if !text.split("\n\n").any(|paragraph| regex.is_match(paragraph)) {
                bail!("series: no paragraph of {} matches '{pattern}'", self.file.display());
            }
            without.push(regex);
        }
        let stays = |paragraph: &&str| !without.iter().any(|regex| regex.is_match(paragraph));
        let text = text.trim_end_matches('\n');
        Ok(text.split("\n\n").filter(stays).collect::<Vec<_>>().join("\n\n") + "\n")
    }
}

/// A semantic patch, and the file that it changes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// The file of the kernel tree.
    pub file: PathBuf,
    /// The semantic patch, in the checkout.
    pub cocci: PathBuf,
}

/// A change for tests only.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestVariant {
    /// What selects it.
    pub name: String,
    /// Its semantic patches.
    #[serde(rename = "hook", default)]
    pub hooks: Vec<Hook>,
}

/// Name of the variant that brings back how ACPI memory was mapped in 2017.
const MAPPING_2017: &str = "mapping-2017";

impl Series {
    /// Reads the series of `checkout`.
    pub fn load(checkout: &Path) -> Result<Self> {
        let path = checkout.join("series");
        let series: Self = table::load(&path, |text| toml::from_str(text))?;
        Ok(Self { bridges: Bridges::load(checkout)?, ..series })
    }

    /// What `variant` changes in `pristine`, to be built.
    pub fn changes(
        &self,
        variant: &Variant,
        pristine: &Pristine,
        checkout: &Path,
    ) -> Result<Changes> {
        let mut work = Applying::new(self, pristine, checkout)?;
        work.changes = work.bridges.mended(pristine)?;
        if variant.mapping_2017 {
            let found = self.variants.iter().find(|one| one.name == MAPPING_2017);
            let found = found
                .with_context(|| format!("series: there is no [[variant]] '{MAPPING_2017}'"))?;
            for hook in &found.hooks {
                work.hook(hook).with_context(|| {
                    format!("cannot apply '{MAPPING_2017}' to {}", pristine.described)
                })?;
            }
        }
        if variant.series {
            for patch in &self.patches {
                work.patch(patch)?;
            }
            work.finish()?;
        }
        Ok(work.changes)
    }

    /// For each patch in its order: the files that it changes, as they are after it.
    ///
    /// `submitter`, a name with an address, becomes the maintainer of what is added.
    pub fn per_patch(
        &self,
        pristine: &Pristine,
        checkout: &Path,
        submitter: Option<&str>,
    ) -> Result<Vec<Changes>> {
        let mut work = Applying { submitter, ..Applying::new(self, pristine, checkout)? };
        let mut all = Vec::new();
        for patch in &self.patches {
            let before = work.changes.clone();
            work.patch(patch)?;
            let differs = |(path, bytes): &(&PathBuf, &Vec<u8>)| before.get(*path) != Some(*bytes);
            let own = work.changes.iter().filter(differs);
            all.push(own.map(|(path, bytes)| (path.clone(), bytes.clone())).collect());
        }
        work.finish()?;
        Ok(all)
    }

    /// All semantic patches, those for tests too.
    pub fn hooks(&self) -> impl Iterator<Item = &Hook> {
        let variants = self.variants.iter().flat_map(|variant| &variant.hooks);
        self.patches.iter().flat_map(|patch| &patch.hooks).chain(variants)
    }

    /// The files of Linux that its fixes change, for kernels without the option as well.
    pub fn fixed(&self) -> BTreeSet<&Path> {
        let fixes = || self.patches.iter().filter(|patch| patch.fix);
        let hooks = fixes().flat_map(|patch| &patch.hooks).map(|hook| hook.file.as_path());
        let insertions = fixes().flat_map(|patch| &patch.insertions);
        hooks.chain(insertions.map(|insertion| insertion.file.as_path())).collect()
    }

    /// Everything of the checkout that the series is made from: the same files, the same kernel.
    pub fn ingredients(&self, checkout: &Path) -> Result<Changes> {
        let mut paths = vec![PathBuf::from("series"), PathBuf::from(bridge::FILE)];
        for patch in &self.patches {
            paths.extend(patch.files.iter().cloned());
            paths.extend(patch.parts.iter().map(|part| part.file.clone()));
            paths.extend(patch.hooks.iter().map(|hook| hook.cocci.clone()));
            paths.extend(patch.insertions.iter().filter_map(|insertion| insertion.from.clone()));
        }
        let variants = self.variants.iter().flat_map(|variant| &variant.hooks);
        paths.extend(variants.map(|hook| hook.cocci.clone()));
        paths.into_iter().map(|path| Ok((path.clone(), from_checkout(checkout, &path)?))).collect()
    }
}

fn from_checkout(checkout: &Path, path: &Path) -> Result<Vec<u8>> {
    fs::read(checkout.join(path))
        .with_context(|| format!("series names {}, which cannot be read", path.display()))
}

/// What stands for the submitter in an insertion.
const SUBMITTER: &str = "{submitter}";

/// `lines` with the submitter filled in; without one, without the lines that name one.
fn signed(lines: &str, submitter: Option<&str>) -> String {
    let named = lines.lines().filter(|line| submitter.is_some() || !line.contains(SUBMITTER));
    let line = |line: &str| line.replace(SUBMITTER, submitter.unwrap_or_default()) + "\n";
    named.map(line).collect()
}

fn text_of(path: &Path, bytes: Vec<u8>) -> Result<String> {
    String::from_utf8(bytes).with_context(|| format!("{} is no UTF-8", path.display()))
}

struct Applying<'a> {
    pristine: &'a Pristine,
    checkout: &'a Path,
    /// What the tree lacks.
    bridges: Bridges,
    /// Found when the first semantic patch asks for it.
    coccinelle: Option<Coccinelle>,
    changes: Changes,
    /// Files that a part of was added, and the rest not yet.
    begun: BTreeSet<PathBuf>,
    /// Who is going to maintain what is added.
    submitter: Option<&'a str>,
}

impl<'a> Applying<'a> {
    fn new(series: &Series, pristine: &'a Pristine, checkout: &'a Path) -> Result<Self> {
        Ok(Self {
            pristine,
            checkout,
            bridges: series.bridges.for_tree(pristine)?,
            coccinelle: None,
            changes: Changes::new(),
            begun: BTreeSet::new(),
            submitter: None,
        })
    }

    fn patch(&mut self, patch: &Patch) -> Result<()> {
        let described = &self.pristine.described;
        let context = || format!("cannot apply '{}' to {described}", patch.subject);
        for file in &patch.files {
            self.new_file(file, None).with_context(context)?;
        }
        for part in &patch.parts {
            self.new_file(&part.file, Some(part)).with_context(context)?;
        }
        for hook in &patch.hooks {
            self.hook(hook).with_context(context)?;
        }
        for insertion in &patch.insertions {
            self.insertion(insertion).with_context(context)?;
        }
        Ok(())
    }

    /// All patches are applied: no file may be left that only a part was added of.
    fn finish(&self) -> Result<()> {
        match self.begun.first() {
            None => Ok(()),
            Some(file) => bail!("series: no patch adds the rest of {}", file.display()),
        }
    }

    /// Adds a file, all of it or a part.
    fn new_file(&mut self, file: &Path, part: Option<&Part>) -> Result<()> {
        let begun = self.begun.remove(file);
        if !begun && (self.changes.contains_key(file) || self.pristine.read(file)?.is_some()) {
            return Err(self.unfit(&format!(
                "{} is there already: the series seems to be applied already. Go back to the tree \
                 as it was before that, and try again",
                file.display()
            )));
        }
        let text = text_of(file, from_checkout(self.checkout, file)?)?;
        let text = self.bridges.across(file, text)?;
        let text = match part {
            None => text,
            Some(part) => {
                self.begun.insert(file.into());
                part.of(&text)?
            }
        };
        self.changes.insert(file.into(), text.into_bytes());
        Ok(())
    }

    /// The tree is not one that the series can be applied to.
    fn unfit(&self, why: &str) -> anyhow::Error {
        // Only the user's own tree has a list of files; any other comes from a package, and a
        // series that does not fit it is broken.
        if self.pristine.files.is_some() { setup!("{why}") } else { anyhow!("{why}") }
    }

    /// The file as it is so far.
    fn current(&self, file: &Path) -> Result<Vec<u8>> {
        if let Some(bytes) = self.changes.get(file) {
            return Ok(bytes.clone());
        }
        self.pristine.read(file)?.ok_or_else(|| {
            self.unfit(&format!(
                "it has no file {}; try again with a complete tree of a supported release",
                file.display()
            ))
        })
    }

    fn hook(&mut self, hook: &Hook) -> Result<()> {
        let contents = self.current(&hook.file)?;
        let coccinelle = match &mut self.coccinelle {
            Some(found) => found,
            none => none.insert(Coccinelle::find()?),
        };
        match coccinelle.apply(&self.checkout.join(&hook.cocci), &hook.file, &contents)? {
            Outcome::Changed(changed) => self.changes.insert(hook.file.clone(), changed),
            Outcome::NothingFound(said) => {
                let why = nothing_found(hook, &said);
                return Err(self.unfit(&why));
            }
        };
        Ok(())
    }

    fn insertion(&mut self, insertion: &Insertion) -> Result<()> {
        if self.bridges.skip(&insertion.file) {
            return Ok(());
        }
        let lines = match (&insertion.line, &insertion.from) {
            (Some(line), None) => line.clone(),
            (None, Some(from)) => text_of(from, from_checkout(self.checkout, from)?)?,
            _ => bail!(
                "series: an insertion into {} needs exactly one of line, from",
                insertion.file.display()
            ),
        };
        let lines = signed(&lines, self.submitter);
        let file = &insertion.file;
        let text = text_of(file, self.current(file)?)?;
        let changed =
            insertion.apply(&text, &lines).map_err(|error| self.unfit(&format!("{error:#}")))?;
        self.changes.insert(file.clone(), changed.into_bytes());
        Ok(())
    }
}

fn nothing_found(hook: &Hook, said: &str) -> String {
    let said = if said.is_empty() { String::new() } else { format!("\nCoccinelle said: {said}") };
    format!(
        "{cocci} changes nothing in {file}: the code that it looks for is not \
         there. Either the series seems to be applied already, or {file} differs from that of the \
         supported releases: compare it with what {cocci} looks for{said}",
        cocci = hook.cocci.display(),
        file = hook.file.display(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::version::Version;
    use std::process::ExitCode;
    use util::failure::exit_code;

    const SERIES: &str = r#"
        [[patch]]
        subject = "rust: a"
        message = "why"
        files = ["rust/kernel/a.rs"]
        [[patch.insert]]
        file = "rust/kernel/lib.rs"
        line = "pub mod a;"
        sorted = '^pub mod '
        [[patch]]
        subject = "rust: b"
        message = "why"
        [[patch.insert]]
        file = "rust/kernel/lib.rs"
        line = "pub mod b;"
        sorted = '^pub mod '
    "#;

    struct Setting {
        series: Series,
        pristine: Pristine,
        tree: tempfile::TempDir,
        checkout: tempfile::TempDir,
    }

    fn setting() -> Setting {
        let (tree, checkout) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for dir in [&tree, &checkout] {
            fs::create_dir_all(dir.path().join("rust/kernel")).unwrap();
        }
        fs::write(tree.path().join("rust/kernel/lib.rs"), "pub mod c;\n").unwrap();
        fs::write(checkout.path().join("rust/kernel/a.rs"), "//! a\n").unwrap();
        let pristine = Pristine {
            dir: tree.path().into(),
            version: Version(7, 3, 4),
            identity: "test".into(),
            name: "test".into(),
            described: "the test's tree".into(),
            files: None,
        };
        Setting { series: toml::from_str(SERIES).unwrap(), pristine, tree, checkout }
    }

    fn variant(series: bool) -> Variant {
        Variant { series, mapping_2017: false }
    }

    #[test]
    fn the_series_is_files_and_insertions() {
        let it = setting();
        let changes = it.series.changes(&variant(true), &it.pristine, it.checkout.path()).unwrap();
        assert_eq!(changes[Path::new("rust/kernel/a.rs")], b"//! a\n");
        assert_eq!(
            changes[Path::new("rust/kernel/lib.rs")],
            b"pub mod a;\npub mod b;\npub mod c;\n"
        );
        assert_eq!(changes.len(), 2);
    }

    #[test]
    fn without_the_series_nothing_changes() {
        let it = setting();
        let changes = it.series.changes(&variant(false), &it.pristine, it.checkout.path()).unwrap();
        assert!(changes.is_empty());
    }

    #[test]
    fn each_patch_has_its_own_state_of_a_file() {
        let it = setting();
        let patches = it.series.per_patch(&it.pristine, it.checkout.path(), None).unwrap();
        let lib = Path::new("rust/kernel/lib.rs");
        assert_eq!(patches[0][lib], b"pub mod a;\npub mod c;\n");
        assert_eq!(patches[1].keys().collect::<Vec<_>>(), [lib]);
    }

    #[test]
    fn a_file_may_come_in_parts() {
        let mut it = setting();
        let file = Path::new("a.h");
        fs::write(it.checkout.path().join(file), "/* a */\n\nint one;\n\nint two;\n").unwrap();
        it.series.patches[0].files.clear();
        it.series.patches[0].parts = vec![Part { file: file.into(), without: vec!["two".into()] }];
        it.series.patches[1].files = vec![file.into()];
        let patches = it.series.per_patch(&it.pristine, it.checkout.path(), None).unwrap();
        assert_eq!(patches[0][file], b"/* a */\n\nint one;\n");
        assert_eq!(patches[1][file], b"/* a */\n\nint one;\n\nint two;\n");

        it.series.patches[1].files.clear();
        let error = it.series.per_patch(&it.pristine, it.checkout.path(), None).unwrap_err();
        assert!(error.to_string().contains("no patch adds the rest of a.h"), "{error}");

        it.series.patches[0].parts[0].without = vec!["three".into()];
        let error = it.series.per_patch(&it.pristine, it.checkout.path(), None).unwrap_err();
        assert!(format!("{error:#}").contains("no paragraph of a.h matches 'three'"), "{error:#}");
    }

    #[test]
    fn what_a_tree_lacks_is_bridged_in_all_parts_and_nowhere_else() {
        let mut it = setting();
        it.series.bridges = toml::from_str(
            r#"
            [[bridge]]
            why = "two is newer"
            lacks = { file = "new.h", text = "two" }
            skip = ["rust/kernel/lib.rs"]
            [[bridge.replace]]
            files = ["a.h"]
            from = "two"
            to = "2"
            "#,
        )
        .unwrap();
        let file = Path::new("a.h");
        fs::write(it.checkout.path().join(file), "/* two */\n\nint one;\n").unwrap();
        it.series.patches[0].parts = vec![Part { file: file.into(), without: vec!["one".into()] }];
        it.series.patches[1].files = vec![file.into()];
        let patches = it.series.per_patch(&it.pristine, it.checkout.path(), None).unwrap();
        assert_eq!(patches[0][file], b"/* 2 */\n");
        assert_eq!(patches[1][file], b"/* 2 */\n\nint one;\n");
        assert!(!patches[0].contains_key(Path::new("rust/kernel/lib.rs")));

        fs::write(it.tree.path().join("new.h"), "int two;\n").unwrap();
        let patches = it.series.per_patch(&it.pristine, it.checkout.path(), None).unwrap();
        assert_eq!(patches[1][file], b"/* two */\n\nint one;\n");
        assert!(patches[0].contains_key(Path::new("rust/kernel/lib.rs")));
    }

    #[test]
    fn the_submitter_maintains_what_is_added() {
        let lines = "ENTRY\nM:\t{submitter}\nS:\tMaintained\n\n";
        let named = signed(lines, Some("A User <user@example.org>"));
        assert_eq!(named, "ENTRY\nM:\tA User <user@example.org>\nS:\tMaintained\n\n");
        assert_eq!(signed(lines, None), "ENTRY\nS:\tMaintained\n\n");
    }

    #[test]
    fn a_file_is_not_added_twice() {
        let mut it = setting();
        it.series.patches[1].files = it.series.patches[0].files.clone();
        let error = it.series.per_patch(&it.pristine, it.checkout.path(), None).unwrap_err();
        assert!(format!("{error:#}").contains("a.rs is there already"), "{error:#}");
    }

    #[test]
    fn messages_fit_into_mails() {
        let series: Series = toml::from_str(include_str!("../../../series")).unwrap();
        let cover = series.cover.expect("a series has a cover letter");
        let texts = series.patches.iter().map(|patch| (&patch.subject, &patch.message));
        for (subject, message) in texts.chain([(&cover.subject, &cover.message)]) {
            // git folds a longer one behind [PATCH v2 01/10], which some versions of b4 choke on.
            assert!(subject.len() <= 52, "{subject}");
            assert!(message.lines().all(|line| line.len() <= 75), "{subject}");
        }
    }

    #[test]
    fn a_hook_that_finds_nothing_says_where_and_what_next() {
        let hook = Hook { file: "arch/a.c".into(), cocci: "hooks/a.cocci".into() };
        let text = nothing_found(&hook, "");
        assert!(text.starts_with("hooks/a.cocci changes nothing in arch/a.c: the code"));
        assert!(text.contains("the series seems to be applied already"), "{text}");
        assert_eq!(text.trim_end(), text);
        assert!(nothing_found(&hook, "bad").ends_with("\nCoccinelle said: bad"));
    }

    #[test]
    fn a_tree_that_does_not_fit_is_the_users_to_mend_when_it_is_theirs() {
        let mut it = setting();
        fs::write(it.tree.path().join("rust/kernel/lib.rs"), "pub mod a;\n").unwrap();
        for (files, status) in [(None, 1), (Some(Vec::new()), 2)] {
            it.pristine.files = files;
            let error =
                it.series.changes(&variant(true), &it.pristine, it.checkout.path()).unwrap_err();
            assert!(format!("{error:#}").contains("the test's tree"), "{error:#}");
            assert_eq!(exit_code(&error), ExitCode::from(status));
        }
    }

    #[test]
    fn a_tree_that_has_the_series_is_refused() {
        let it = setting();
        fs::write(it.tree.path().join("rust/kernel/a.rs"), "").unwrap();
        let error =
            it.series.changes(&variant(true), &it.pristine, it.checkout.path()).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("a.rs is there already: the series seems to be applied"), "{text}");
    }

    #[test]
    fn a_file_that_the_tree_lacks_is_named() {
        let it = setting();
        fs::remove_file(it.tree.path().join("rust/kernel/lib.rs")).unwrap();
        let error =
            it.series.changes(&variant(true), &it.pristine, it.checkout.path()).unwrap_err();
        let text = format!("{error:#}");
        assert!(text.contains("cannot apply 'rust: a'"), "{text}");
        assert!(text.contains("it has no file rust/kernel/lib.rs"), "{text}");
    }
}
