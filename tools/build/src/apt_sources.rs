// SPDX-License-Identifier: GPL-2.0

//! The package sources that this machine is configured with: read, never changed.
//!
//! Both styles are understood: one line per source, and the paragraphs of RFC 822 kind.

use std::{fs, path::Path};

/// One source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PackageSource {
    /// `deb`, `deb-src`.
    pub types: Vec<String>,
    /// Where the archive is.
    pub uris: Vec<String>,
    /// Its suites.
    pub suites: Vec<String>,
    /// Their components.
    pub components: Vec<String>,
    /// The key ring, or the key itself, as the source has it.
    pub signed_by: Option<String>,
}

impl PackageSource {
    /// The source in the style of paragraphs.
    pub fn paragraph(&self) -> String {
        let mut text = format!(
            "Types: {}\nURIs: {}\nSuites: {}\n",
            self.types.join(" "),
            self.uris.join(" "),
            self.suites.join(" ")
        );
        if !self.components.is_empty() {
            text += &format!("Components: {}\n", self.components.join(" "));
        }
        if let Some(key) = &self.signed_by {
            text += &format!("Signed-By: {key}\n");
        }
        text
    }
}

/// All enabled sources below `etc`, which is `/etc/apt` but for tests.
pub fn configured(etc: &Path) -> Vec<PackageSource> {
    let mut found = read_one(&etc.join("sources.list"));
    let mut parts: Vec<_> = fs::read_dir(etc.join("sources.list.d"))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    parts.sort();
    for part in parts {
        found.extend(read_one(&part));
    }
    found
}

fn read_one(path: &Path) -> Vec<PackageSource> {
    let Ok(text) = fs::read_to_string(path) else { return Vec::new() };
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("list") => parse_lines(&text),
        Some("sources") => parse_paragraphs(&text),
        _ => Vec::new(),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(String::from).collect()
}

/// Parses the style with one source per line: `deb [options] uri suite component...`.
fn parse_lines(text: &str) -> Vec<PackageSource> {
    text.lines()
        .filter_map(|line| {
            let line = line.split('#').next().unwrap_or("").trim();
            let (kind, rest) = line.split_once(char::is_whitespace)?;
            if !matches!(kind, "deb" | "deb-src") {
                return None;
            }
            let rest = rest.trim();
            let (options, rest) = match rest.strip_prefix('[') {
                Some(rest) => rest.split_once(']')?,
                None => ("", rest),
            };
            let mut rest = rest.split_whitespace().map(String::from);
            Some(PackageSource {
                types: vec![kind.into()],
                uris: vec![rest.next()?],
                suites: vec![rest.next()?],
                components: rest.collect(),
                signed_by: options
                    .split_whitespace()
                    .find_map(|option| option.strip_prefix("signed-by="))
                    .map(String::from),
            })
        })
        .collect()
}

/// Parses the style with one paragraph per source.
fn parse_paragraphs(text: &str) -> Vec<PackageSource> {
    let uncommented: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    uncommented
        .split(|line| line.trim().is_empty())
        .filter_map(|paragraph| {
            let mut source = PackageSource::default();
            let mut enabled = true;
            let mut fields: Vec<(String, String)> = Vec::new();
            for line in paragraph {
                if line.starts_with([' ', '\t']) {
                    // A field goes on; a key has many lines and keeps them.
                    let (_, value) = fields.last_mut()?;
                    value.push('\n');
                    value.push_str(line);
                } else {
                    let (name, value) = line.split_once(':')?;
                    fields.push((name.trim().to_lowercase(), value.trim().into()));
                }
            }
            for (name, value) in fields {
                match name.as_str() {
                    "types" => source.types = words(&value),
                    "uris" => source.uris = words(&value),
                    "suites" => source.suites = words(&value),
                    "components" => source.components = words(&value),
                    "signed-by" => source.signed_by = Some(value),
                    "enabled" => enabled = !matches!(value.as_str(), "no" | "false" | "0"),
                    _ => {}
                }
            }
            (enabled && !source.uris.is_empty()).then_some(source)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_options() {
        let found = parse_lines(
            "# deb http://off.example/debian bookworm main\n\
             deb http://mirror.example/debian bookworm main contrib # here\n\
             deb [arch=amd64 signed-by=/k.gpg] http://other.example/debian bookworm main\n\
             deb cdrom\n",
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].uris, ["http://mirror.example/debian"]);
        assert_eq!(found[0].components, ["main", "contrib"]);
        assert_eq!(found[0].signed_by, None);
        assert_eq!(found[1].signed_by.as_deref(), Some("/k.gpg"));
    }

    #[test]
    fn paragraphs_with_comments_and_long_fields() {
        let found = parse_paragraphs(
            "Types: deb deb-src\n# a comment does not end a paragraph\n\
             URIs: http://mirror.example/debian\nSuites: bookworm\n bookworm-updates\n\
             Components: main\nSigned-By: /k.gpg\n\n\
             Types: deb\nURIs: http://off.example/debian\nSuites: sid\nEnabled: no\n",
        );
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].types, ["deb", "deb-src"]);
        assert_eq!(found[0].suites, ["bookworm", "bookworm-updates"]);
        assert_eq!(found[0].signed_by.as_deref(), Some("/k.gpg"));
    }

    #[test]
    fn a_key_within_a_source_survives() {
        let text = "Types: deb\nURIs: http://mirror.example/debian\nSuites: sid\nComponents: main\n\
                    Signed-By: \n -----BEGIN\n .\n abc\n";
        let found = parse_paragraphs(text);
        assert_eq!(parse_paragraphs(&found[0].paragraph()), found);
        assert!(found[0].paragraph().contains("\n abc\n"));
    }
}
