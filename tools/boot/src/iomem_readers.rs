// SPDX-License-Identifier: GPL-2.0

//! How loaders read /proc/iomem: the rules of u-root and of kexec-tools, as a statement of their own.
//!
//! Neither heeds the indentation. For u-root a line takes its addresses from the lines before it; for
//! kexec-tools a line that is not the kernel's own takes them from the last System RAM.

use crate::{
    iomem::{CRASH_KERNEL, Resource, SYSTEM_RAM, anywhere},
    span::{Span, merged},
};

/// Where kexec-tools load a kernel over what is there: it is not running any more by then.
const REPLACED: [&str; 2] = ["Kernel code", "Kernel data"];

/// The spans that u-root takes for memory of the type `kind`.
///
/// The name of a line is its type. u-root splits a line at each colon, and knows only lines that have
/// one: most devices have another in their name.
pub fn u_root(tree: &[Resource], kind: &str) -> Vec<Span> {
    let mut map: Vec<(Span, &str)> = Vec::new();
    for line in lines(tree) {
        if line.name.contains(':') || line.span.bytes() <= 1 {
            continue;
        }
        map = map
            .into_iter()
            .flat_map(|(span, kind)| {
                without(span, line.span).into_iter().map(move |rest| (rest, kind))
            })
            .collect();
        map.push((line.span, &line.name));
    }
    merged(map.into_iter().filter(|(_, found)| *found == kind).map(|(span, _)| span))
}

/// The spans that kexec-tools load a kernel to, other than one for a crash.
///
/// What is to be left out has to be within one System RAM: what is only partly within stays.
pub fn kexec_tools(tree: &[Resource]) -> Vec<Span> {
    // Of two reservations the last is what a crash kernel is loaded to, and that one is not left out.
    let loaded_to = anywhere(tree, CRASH_KERNEL).pop();
    let mut free: Vec<Span> = Vec::new();
    let mut last: Option<Span> = None;
    for line in lines(tree) {
        let name = line.name.as_str();
        let kept =
            REPLACED.contains(&name) || (name == CRASH_KERNEL && Some(line.span) == loaded_to);
        if name == SYSTEM_RAM {
            free.push(line.span);
            last = Some(line.span);
        } else if !kept && last.is_some_and(|last| last.overlaps(line.span)) {
            let taken = |span: Span| match span.contains(line.span) {
                true => without(span, line.span),
                false => vec![span],
            };
            free = free.into_iter().flat_map(taken).collect();
        }
    }
    merged(free)
}

/// What is left of `span`, before `other` and behind it.
fn without(span: Span, other: Span) -> Vec<Span> {
    if !span.overlaps(other) {
        return vec![span];
    }
    let before = Span { start: span.start, end: other.start.max(span.start) };
    let behind = Span { start: other.end.min(span.end), end: span.end };
    [before, behind].into_iter().filter(|rest| rest.bytes() > 0).collect()
}

/// All lines, in their order.
fn lines(tree: &[Resource]) -> Vec<&Resource> {
    tree.iter().flat_map(|line| [vec![line], lines(&line.children)].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iomem::{ACPI_TABLES, parse};

    const TABLES: Span = Span { start: 0x5c43_0000, end: 0x5c44_0000 };

    fn tree(text: &str) -> Vec<Resource> {
        parse(&text.lines().collect::<Vec<_>>()).unwrap()
    }

    /// As the first kernel of a crash has it, with the series.
    fn series() -> Vec<Resource> {
        tree(
            "09000000-09000fff : ARMH0011:00\n\
             40000000-5c42ffff : System RAM\n  \
             4a400000-5a3fffff : Crash kernel\n  \
             5b600000-5ba8ffff : Kernel code\n  \
             5ba90000-5bb5ffff : reserved\n  \
             5bb60000-5bceffff : Kernel data\n\
             5c430000-5c43ffff : ACPI Tables\n\
             5c440000-5c72ffff : reserved\n\
             5c730000-5fbfffff : System RAM\n",
        )
    }

    /// The same without the series.
    fn stock() -> Vec<Resource> {
        tree(
            "40000000-5c43ffff : System RAM\n  \
             5c430000-5c43ffff : reserved\n\
             5c440000-5c72ffff : reserved\n",
        )
    }

    #[test]
    fn u_root_knows_the_tables_by_their_name() {
        assert_eq!(u_root(&series(), ACPI_TABLES), [TABLES]);
        assert_eq!(u_root(&stock(), ACPI_TABLES), []);
        assert!(u_root(&stock(), "reserved").iter().any(|span| span.contains(TABLES)));
    }

    #[test]
    fn for_u_root_a_child_hides_what_it_is_below() {
        let hidden = tree(
            "5c430000-5c43ffff : ACPI Tables\n  \
             5c430000-5c43ffff : reserved\n",
        );
        assert_eq!(u_root(&hidden, ACPI_TABLES), []);
        let cut = tree(
            "5c430000-5c43ffff : ACPI Tables\n  \
             5c432000-5c433fff : reserved\n",
        );
        let left = [(0x5c43_0000, 0x5c43_1fff), (0x5c43_4000, 0x5c43_ffff)];
        assert_eq!(u_root(&cut, ACPI_TABLES), left.map(|(a, b)| Span::inclusive(a, b)));
    }

    #[test]
    fn u_root_heeds_no_line_with_a_colon_in_its_name() {
        let text = "40000000-4fffffff : System RAM\n  41000000-41ffffff : PNP0C80:00\n";
        let whole = [Span::inclusive(0x4000_0000, 0x4fff_ffff)];
        assert_eq!(u_root(&tree(text), SYSTEM_RAM), whole);
    }

    #[test]
    fn a_long_list_takes_no_longer_than_its_lines() {
        let children: String =
            (0..500).map(|n| format!("\n  4{n:03x}0000-4{n:03x}ffff : reserved")).collect();
        let long = tree(&format!("40000000-4fffffff : System RAM{children}"));
        let left = [Span { start: 0x41f4_0000, end: 0x5000_0000 }];
        assert_eq!((u_root(&long, SYSTEM_RAM), kexec_tools(&long)), (left.to_vec(), left.to_vec()));
    }

    #[test]
    fn kexec_tools_load_nothing_over_tables() {
        let series = kexec_tools(&series());
        let spans =
            [(0x4000_0000, 0x5ba8_ffff), (0x5bb6_0000, 0x5c42_ffff), (0x5c73_0000, 0x5fbf_ffff)];
        assert_eq!(series, spans.map(|(a, b)| Span::inclusive(a, b)));
        assert!(kexec_tools(&stock()).iter().all(|span| !span.overlaps(TABLES)));
        let shown_twice = tree("40000000-5c43ffff : System RAM\n5c430000-5c44ffff : ACPI Tables\n");
        assert!(kexec_tools(&shown_twice)[0].contains(TABLES), "what is partly within stays");
    }

    #[test]
    fn kexec_tools_take_the_last_reservation_alone_for_free() {
        let text = "40000000-7fffffff : System RAM\n  \
                    48000000-4fffffff : Crash kernel\n\
                    100000000-13fffffff : System RAM\n  \
                    110000000-11fffffff : Crash kernel\n";
        let spans = [
            (0x4000_0000, 0x47ff_ffff),
            (0x5000_0000, 0x7fff_ffff),
            (0x1_0000_0000, 0x1_3fff_ffff),
        ];
        assert_eq!(kexec_tools(&tree(text)), spans.map(|(a, b)| Span::inclusive(a, b)));
    }
}
