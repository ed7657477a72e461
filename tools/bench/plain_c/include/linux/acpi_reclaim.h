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

/*
 * A range of physical memory, both ends inclusive: never empty, never wrapping. One byte at address zero
 * is none, so that a last byte of zero says that there is no range.
 */
struct phys_range {
	u64 start;
	u64 last;
};

/* No range, which takes the place of what it is extended by. */
#define NO_PHYS_RANGE	((struct phys_range) { U64_MAX, 0 })

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

/*
 * The union of ranges that come in any order: sorted, no two of them overlapping or adjacent. Ranges
 * that come sorted by their start are walked once more; from others each step takes the lowest range
 * that is left. A copy walks what is left to the one that it was made of: what is found out in the
 * beginning is so once for all walks.
 */
struct phys_ranges {
	/* Gives the range at a place, or the next one behind it, and moves on; false at the end. */
	bool (*range_at)(const struct phys_ranges *it, unsigned long *at, struct phys_range *range);
	const void *source;
	/* Of ACPI Reclaim memory: what it has to have one of, and the highest address. */
	u64 attributes;
	u64 limit;
	/* What is left to look at. Ranges that do not reach into it are none. */
	struct phys_range window;
	/* How many ranges it gives at most, and in all if those that it is made of are sorted. */
	unsigned long most;
	bool sorted;
	/* Where the next range is looked for, and how many there are from there on. */
	unsigned long at;
	unsigned long left;
	/* When they are sorted: the first one, then the one that ended the run before. */
	struct phys_range ahead;
};

/* Begins the walk, once it is said what to walk; the window has no range yet. */
void phys_ranges_begin(struct phys_ranges *it);
/* The next range; false at the end. */
bool phys_ranges_next(struct phys_ranges *it, struct phys_range *range);
/* How many ranges it gives in all, before the first one. */
unsigned long phys_ranges_count(const struct phys_ranges *ranges);

/* Whether there is nothing left to walk. */
static inline bool phys_ranges_end(const struct phys_ranges *it)
{
	return !it->window.last;
}

/* All ACPI Reclaim memory that is memory. What wraps counts up to the end of the address space. */
#define ACPI_RECLAIM_RESERVED	(EFI_MEMORY_WB | EFI_MEMORY_WT | EFI_MEMORY_WC)
/* The ACPI tables: what the kernel can map in the linear map. */
#define ACPI_RECLAIM_TABLES	EFI_MEMORY_WB

/* ACPI Reclaim memory in whole native pages. */
void acpi_ranges_init(struct phys_ranges *it, u64 which);

/* What lies between ACPI Reclaim memory. */
struct acpi_gaps {
	struct phys_ranges ranges;
	struct phys_range range;
	bool more;
};

void acpi_gaps_init(struct acpi_gaps *gaps, const struct phys_ranges *ranges);
/* The same for those of the ranges that reach into a window. */
void acpi_gaps_init_within(struct acpi_gaps *gaps, const struct phys_ranges *ranges,
			   const struct phys_range *window);

/*
 * The next piece of rest that no ACPI Reclaim memory is in; rest is what is left behind it. Each rest
 * lies above the one before, and below the end of the address space.
 */
bool acpi_gaps_next(struct acpi_gaps *gaps, struct phys_range *rest, struct phys_range *piece);

bool acpi_reclaim_in_use(void);

void __noreturn stop_early_boot(const char *why);

#endif /* _LINUX_ACPI_RECLAIM_H */
