/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ACPI Reclaim memory of the EFI memory map, as ranges. See tools/bench/src/plain_c.rs.
 */
#ifndef _LINUX_ACPI_RECLAIM_H
#define _LINUX_ACPI_RECLAIM_H

#include <linux/efi.h>
#include <linux/types.h>

/* How many lines are printed about things of one kind: firmware can have very many. */
#define MOST_LINES	16

/* As ranges are printed. */
#define RANGE_FMT	"0x%012llx-0x%012llx"

/* A range of physical memory, both ends inclusive: never empty, never wrapping. */
struct phys_range {
	u64 start;
	u64 last;
};

static inline bool phys_ranges_overlap(const struct phys_range *a, const struct phys_range *b)
{
	return a->start <= b->last && b->start <= a->last;
}

/* Whether the two overlap or are adjacent. */
static inline bool phys_ranges_touch(const struct phys_range *a, const struct phys_range *b)
{
	return (a->last == U64_MAX || b->start <= a->last + 1) &&
	       (b->last == U64_MAX || a->start <= b->last + 1);
}

static inline void phys_range_extend(struct phys_range *range, const struct phys_range *other)
{
	range->start = min(range->start, other->start);
	range->last = max(range->last, other->last);
}

static inline bool phys_range_contains(const struct phys_range *range, const struct phys_range *other)
{
	return range->start <= other->start && other->last <= range->last;
}

/* What is looked for. */
enum acpi_reclaim_kind {
	/* All of it that is memory. What wraps counts up to the end of the address space. */
	ACPI_RECLAIM_RESERVED,
	/* The ACPI tables: what the kernel can map in the linear map. */
	ACPI_RECLAIM_TABLES,
};

/*
 * The union of the ranges of one kind in whole native pages: sorted, no two of them overlapping or
 * adjacent. Descriptors that come sorted are walked twice in all; from others each step takes the
 * lowest range that is left.
 */
struct acpi_ranges {
	enum acpi_reclaim_kind kind;
	/* Highest address that a table may have. */
	u64 limit;
	bool sorted;
	bool done;
	/* The next descriptor, when they are sorted, and the range that ended the one before. */
	const void *next;
	struct phys_range range_ahead;
	bool ahead;
	/* Where the next range starts at the earliest, when they are not. */
	u64 from;
};

void acpi_ranges_init(struct acpi_ranges *it, enum acpi_reclaim_kind kind);
bool acpi_ranges_next(struct acpi_ranges *it, struct phys_range *range);

#define for_each_acpi_range(it, which, range)	\
	for (acpi_ranges_init(it, which); acpi_ranges_next(it, range);)

bool acpi_reclaim_in_use(void);

void __noreturn stop_early_boot(const char *why);

#endif /* _LINUX_ACPI_RECLAIM_H */
