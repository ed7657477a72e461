// SPDX-License-Identifier: GPL-2.0

//! Every message of the series is in its documentation.

use std::{
    fs,
    path::{Path, PathBuf},
};

const PAGE: &str = "Documentation/arch/arm64/acpi-tables.rst";
const CODE: [&str; 3] = ["arch", "drivers", "rust"];
const MACROS: [&str; 3] = ["pr_info!(", "pr_warn!(", "pr_err!("];
/// What is shorter says too little to be looked for.
const SHORTEST: usize = 8;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
    {
        if entry.is_dir() {
            files(&entry, found);
        } else if entry.extension().is_some_and(|ending| ending == "rs") {
            found.push(entry);
        }
    }
}

/// The format strings of the messages in `code`.
fn formats(code: &str) -> Vec<String> {
    let calls = MACROS.iter().flat_map(|name| code.match_indices(name));
    calls
        .map(|(at, _)| {
            let text = code[at..].split_once('"').expect("a format string").1;
            let text = text.split_once("\\n\"").expect("a line that ends").0;
            // A backslash at the end of a line joins it with the next one.
            let lines = text.split("\\\n").map(|line| line.trim_start_matches(' '));
            lines.collect::<Vec<_>>().concat()
        })
        .collect()
}

/// What a format string has between its arguments.
fn pieces(format: &str) -> impl Iterator<Item = &str> {
    let pieces = format
        .split('{')
        .map(|piece| piece.rsplit_once('}').map_or(piece, |(_, end)| end));
    pieces
        .map(|piece| piece.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|piece| piece.len() >= SHORTEST)
}

#[test]
fn every_message_is_documented() {
    let page = fs::read_to_string(top().join(PAGE)).unwrap();
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut found = Vec::new();
    CODE.iter()
        .for_each(|dir| files(&top().join(dir), &mut found));
    let mut messages = 0;
    for file in found {
        for format in formats(&fs::read_to_string(&file).unwrap()) {
            messages += 1;
            for piece in pieces(&format) {
                let file = file.display();
                assert!(
                    page.contains(piece),
                    "{PAGE} has no '{piece}' of {file}: {format}"
                );
            }
        }
    }
    assert!(messages >= 10, "only {messages} messages were found");
}

#[test]
fn a_format_string_is_taken_apart() {
    let code = "pr_warn!(\n    \"a {x:#x}, of \\\n     {y} things: ignored\\n\",\n    z\n);";
    let formats = formats(code);
    assert_eq!(formats, ["a {x:#x}, of {y} things: ignored"]);
    assert_eq!(pieces(&formats[0]).collect::<Vec<_>>(), ["things: ignored"]);
}
