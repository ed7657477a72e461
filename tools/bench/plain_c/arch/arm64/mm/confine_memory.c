// SPDX-License-Identifier: GPL-2.0
/*
 * Confines memory to what linux,usable-memory-range or mem= leave of it, and to the ACPI tables: the
 * same steps as in confine_memory.rs, in C, to be measured against them.
 */

#define pr_fmt(fmt) "arm64/mm: " fmt

#include <linux/acpi_reclaim.h>
#include <linux/efi_acpi_tables.h>
#include <linux/init.h>
#include <linux/libfdt.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/of_fdt.h>
#include <linux/printk.h>
#include <linux/sizes.h>

/* The most cells that an entry of the property may have. */
#define MOST_CELLS	8

/* The base of the linear map is rounded down to this, or to a divisor of it. */
#define LINEAR_MAP_ALIGN	SZ_1G

/* How many regions of memblock.memory are left free for what setup_arch() adds or splits later. */
#define SPARE_REGIONS	32

static const char not_decodable[] __initconst =
	"linux,usable-memory-range cannot be decoded: #address-cells or #size-cells of the root node is out of range; not touching the crashed kernel's memory";
static const char nothing_usable[] __initconst =
	"linux,usable-memory-range gives no usable memory; not touching the crashed kernel's memory. Check how the crash kernel was loaded";

/* The usable ranges: the entries of the property, or what mem= leaves. */
struct usable {
	const __be32 *cells;
	int count;
	int entry_cells;
	/* Instead of a property. */
	struct phys_range below;
};

enum fault {
	USABLE,
	BEYOND_ADDRESS_SPACE,
	EMPTY,
	NO_WHOLE_PAGE,
	NO_MEMORY,
	ONLY_TABLES,
	TOO_MANY,
};

static const char *__init fault_text(enum fault fault)
{
	switch (fault) {
	case BEYOND_ADDRESS_SPACE:
		return "reaches beyond the address space";
	case EMPTY:
		return "is empty";
	case NO_WHOLE_PAGE:
		return "has no whole page";
	case NO_MEMORY:
		return "is no memory that could be used";
	case ONLY_TABLES:
		return "is ACPI tables, which are not for use";
	default:
		return "is one too many";
	}
}

/* The number in big-endian cells; false if it needs more than 64 bits. */
static bool __init read_number(const __be32 *cells, int count, u64 *number)
{
	*number = 0;
	while (count--) {
		if (*number >> 32)
			return false;
		*number = *number << 32 | be32_to_cpu(*cells++);
	}
	return true;
}

static void __init read_entry(const struct usable *usable, int index, u64 *addr, u64 *size,
			      bool *addr_fits, bool *size_fits)
{
	const __be32 *cells = usable->cells + index * usable->entry_cells;

	*addr_fits = read_number(cells, dt_root_addr_cells, addr);
	*size_fits = read_number(cells + dt_root_addr_cells, dt_root_size_cells, size);
}

/* The range that an entry gives, in whole pages. */
static enum fault __init entry_range(const struct usable *usable, int index,
				     struct phys_range *range)
{
	bool addr_fits, size_fits;
	u64 size, start, end;

	if (!usable->cells) {
		*range = usable->below;
		return USABLE;
	}
	read_entry(usable, index, &range->start, &size, &addr_fits, &size_fits);
	if (size_fits && !size)
		return EMPTY;
	if (!addr_fits || !size_fits ||
	    check_add_overflow(range->start, size - 1, &range->last))
		return BEYOND_ADDRESS_SPACE;
	if (check_add_overflow(range->start, PAGE_SIZE - 1, &start))
		return NO_WHOLE_PAGE;
	start &= PAGE_MASK;
	if (range->last != U64_MAX) {
		end = (range->last + 1) & PAGE_MASK;
		if (start >= end)
			return NO_WHOLE_PAGE;
		range->last = end - 1;
	}
	range->start = start;
	return USABLE;
}

/* The span of the mapped memory in range that is no table; false if there is none. */
static bool __init own_memory(const struct phys_range *range, struct phys_range *span)
{
	struct memblock_region *r;
	struct acpi_ranges it;
	struct phys_range table, piece;
	bool more, found = false;

	acpi_ranges_init(&it, ACPI_RECLAIM_TABLES);
	more = acpi_ranges_next(&it, &table);
	for_each_mem_region(r) {
		u64 start = max(r->base, range->start);
		u64 last = min(r->base + r->size - 1, range->last);

		if (memblock_is_nomap(r) || !r->size)
			continue;
		while (start <= last) {
			while (more && table.last < start)
				more = acpi_ranges_next(&it, &table);
			piece.start = start;
			piece.last = last;
			if (more && table.start <= last)
				piece.last = table.start - 1;
			if (!more || table.start > start) {
				if (found)
					phys_range_extend(span, &piece);
				else
					*span = piece;
				found = true;
			}
			if (piece.last == last)
				break;
			start = table.last + 1;
		}
	}
	return found;
}

static bool __init any_mapped(const struct phys_range *range)
{
	struct memblock_region *r;

	for_each_mem_region(r) {
		if (!memblock_is_nomap(r) && r->size && r->base <= range->last &&
		    r->base + r->size - 1 >= range->start)
			return true;
	}
	return false;
}

/* The range that an entry gives, if there is memory in it to allocate from. */
static enum fault __init entry_usable(const struct usable *usable, int index,
				      struct phys_range *range)
{
	enum fault fault = entry_range(usable, index, range);
	struct phys_range span;

	if (fault != USABLE || own_memory(range, &span))
		return fault;
	return any_mapped(range) ? ONLY_TABLES : NO_MEMORY;
}

/* What memory outside of the usable ranges may do to the kernel. */
struct limits {
	u64 linear_map;
	unsigned long regions;
};

static unsigned long __init room(void)
{
	unsigned long room = memblock.memory.max - memblock.memory.cnt;

	return room > SPARE_REGIONS ? room - SPARE_REGIONS : 0;
}

static void __init limits_init(struct limits *limits, unsigned long used, bool in_use)
{
	limits->linear_map = min(arm64_linear_region_size(), BIT_ULL(51));
	limits->regions = 0;
	if (in_use && room() > used)
		limits->regions = room() - used;
}

/* Whether memory can span span instead of own without a loss. */
static bool __init harmless(const struct phys_range *own, const struct phys_range *span,
			    const struct limits *limits)
{
	u64 base = span->start & ~(LINEAR_MAP_ALIGN - 1ULL);

	if (span->start == own->start && span->last == own->last)
		return true;
	return span->last - base < limits->linear_map &&
	       (own->start <= U32_MAX) == (span->start <= U32_MAX) &&
	       (own->last <= U32_MAX) == (span->last <= U32_MAX);
}

/* What is kept: the usable ranges, and the tables within the window. */
struct plan {
	const struct usable *usable;
	bool any;
	struct phys_range window;
};

static bool __init plan_keeps(const struct plan *plan, const struct phys_range *table)
{
	return plan->any && phys_range_contains(&plan->window, table);
}

/* The span within which tables do no harm. Low tables come first, where firmware has them. */
static void __init plan_window(struct plan *plan, const struct phys_range *own,
			       const struct limits *limits)
{
	struct phys_range with_low = *own, window = *own, span, table;
	struct acpi_ranges it;
	unsigned long count = 0;

	for_each_acpi_range(&it, ACPI_RECLAIM_TABLES, &table) {
		span = *own;
		phys_range_extend(&span, &table);
		if (span.last == own->last && harmless(own, &span, limits)) {
			with_low = window = span;
			break;
		}
	}
	for_each_acpi_range(&it, ACPI_RECLAIM_TABLES, &table) {
		span = with_low;
		phys_range_extend(&span, &table);
		if (harmless(own, &span, limits))
			window = span;
	}
	plan->any = true;
	for_each_acpi_range(&it, ACPI_RECLAIM_TABLES, &table) {
		if (!phys_range_contains(&window, &table) || count++ < limits->regions)
			continue;
		plan->any = window.start < table.start;
		window.last = table.start - 1;
		break;
	}
	plan->window = window;
}

static bool __init plan_init(struct plan *plan, const struct usable *usable,
			     const struct limits *limits)
{
	struct memblock_region *r;
	struct phys_range own, range, span;
	bool found = false;
	int i;

	plan->usable = usable;
	for (i = 0; i < usable->count; i++) {
		if (entry_range(usable, i, &range) != USABLE || !own_memory(&range, &span))
			continue;
		if (found)
			phys_range_extend(&own, &span);
		else
			own = span;
		found = true;
	}
	if (!found)
		return false;

	for_each_mem_region(r) {
		struct phys_range nomap = { r->base, r->base + r->size - 1 };

		if (memblock_is_nomap(r))
			phys_range_extend(&own, &nomap);
	}
	plan_window(plan, &own, limits);
	return true;
}

/* Removes all mapped memory that is in a range. */
static void __init remove_mapped(u64 start, u64 last)
{
	struct memblock_region *r;

	while (start <= last) {
		struct phys_range part;
		bool found = false;
		int error;

		for_each_mem_region(r) {
			if (memblock_is_nomap(r) || !r->size || r->base > last ||
			    r->base + r->size - 1 < start)
				continue;
			part.start = max(r->base, start);
			part.last = min(r->base + r->size - 1, last);
			found = true;
			break;
		}
		if (!found)
			return;
		error = memblock_remove(part.start, part.last - part.start + 1);
		if (error)
			pr_err(RANGE_FMT ": not removed from memory: %pe\n", part.start, part.last,
			       ERR_PTR(error));
		if (part.last == U64_MAX)
			return;
		start = part.last + 1;
	}
}

/* The next usable range from an address on: merged, sorted. */
static bool __init next_usable(const struct usable *usable, u64 from, struct phys_range *run)
{
	struct phys_range range;
	bool found = false, grown;
	int i;

	for (i = 0; i < usable->count; i++) {
		if (entry_range(usable, i, &range) != USABLE || range.start < from)
			continue;
		if (!found || range.start < run->start)
			*run = range;
		found = true;
	}
	if (!found)
		return false;
	do {
		grown = false;
		for (i = 0; i < usable->count; i++) {
			if (entry_range(usable, i, &range) == USABLE && phys_ranges_touch(run, &range) &&
			    !phys_range_contains(run, &range)) {
				phys_range_extend(run, &range);
				grown = true;
			}
		}
	} while (grown);
	return true;
}

/* Removes what is in a range and in no table that is kept. */
static void __init remove_gap(const struct plan *plan, struct acpi_ranges *it, bool *more,
			      struct phys_range *table, u64 start, u64 last)
{
	for (;;) {
		while (*more && (table->last < start || !plan_keeps(plan, table)))
			*more = acpi_ranges_next(it, table);
		if (!*more || table->start > last) {
			remove_mapped(start, last);
			return;
		}
		if (table->start > start)
			remove_mapped(start, table->start - 1);
		if (table->last >= last)
			return;
		start = table->last + 1;
	}
}

/* Removes all that is mapped and neither usable nor a table that is kept. */
static void __init plan_apply(const struct plan *plan)
{
	struct acpi_ranges it;
	struct phys_range table, range;
	u64 start = 0;
	bool more;

	acpi_ranges_init(&it, ACPI_RECLAIM_TABLES);
	more = acpi_ranges_next(&it, &table);
	while (next_usable(plan->usable, start, &range)) {
		if (range.start > start)
			remove_gap(plan, &it, &more, &table, start, range.start - 1);
		start = range.last + 1;
		if (!start)
			break;
	}
	if (start || !plan->usable->count)
		remove_gap(plan, &it, &more, &table, start, U64_MAX);

	/* A loader may list tables as usable: they are tables all the same. */
	for_each_acpi_range(&it, ACPI_RECLAIM_TABLES, &table)
		if (!plan_keeps(plan, &table))
			remove_mapped(table.start, table.last);
}

/* Carries a plan out, and says which tables stay. */
static void __init apply(const struct plan *plan, bool in_use)
{
	struct acpi_ranges it;
	struct phys_range table;
	int kept = 0, left_out = 0;

	plan_apply(plan);
	if (!in_use)
		return;
	for_each_acpi_range(&it, ACPI_RECLAIM_TABLES, &table) {
		if (plan_keeps(plan, &table) && kept++ < MOST_LINES)
			pr_info("ACPI Tables " RANGE_FMT ": kept in memory\n", table.start,
				table.last);
	}
	if (kept > MOST_LINES)
		pr_info("ACPI Tables: kept in memory: %d ranges in all\n", kept);
	for_each_acpi_range(&it, ACPI_RECLAIM_TABLES, &table) {
		if (!plan_keeps(plan, &table) && left_out++ < MOST_LINES)
			pr_warn("ACPI Tables " RANGE_FMT ": left out of memory: no room, or too far from the rest\n",
				table.start, table.last);
	}
	if (left_out > MOST_LINES)
		pr_info("ACPI Tables: left out of memory: %d ranges in all\n", left_out);
}

/* Says what is used of the property, and what is not and why. */
static void __init report(const struct usable *usable, int entries, int size)
{
	struct phys_range range;
	int i, leftover, ignored = 0;
	bool addr_fits, size_fits;
	enum fault fault;
	u64 addr, bytes;

	for (i = 0; i < entries; i++) {
		fault = i < usable->count ? entry_usable(usable, i, &range) : TOO_MANY;
		if (fault == USABLE) {
			if (i < MOST_LINES)
				pr_info("usable memory " RANGE_FMT ": given by linux,usable-memory-range\n",
					range.start, range.last);
			continue;
		}
		if (ignored++ >= MOST_LINES)
			continue;
		read_entry(usable, i, &addr, &bytes, &addr_fits, &size_fits);
		pr_warn("linux,usable-memory-range: entry %d (%#llx, size %#llx) %s: ignored\n", i,
			addr_fits ? addr : 0, size_fits ? bytes : 0, fault_text(fault));
	}
	if (ignored > MOST_LINES)
		pr_warn("linux,usable-memory-range: %d entries ignored in all\n", ignored);
	leftover = size % (usable->entry_cells * sizeof(__be32));
	if (leftover)
		pr_warn("linux,usable-memory-range: the last %d bytes are no whole entry: ignored\n",
			leftover);
}

static void __init confine(const __be32 *cells, int size)
{
	struct usable usable = { .cells = cells };
	struct phys_range range;
	struct limits limits;
	struct plan plan;
	int i, entries, used = 0;
	u64 above;
	bool in_use;

	if (dt_root_addr_cells <= 0 || dt_root_size_cells <= 0 ||
	    dt_root_addr_cells > MOST_CELLS || dt_root_size_cells > MOST_CELLS - dt_root_addr_cells)
		stop_early_boot(not_decodable);
	/* arm64_memblock_init() removes it, too, but until then it could be taken for memory to use. */
	if (!check_add_overflow(arm64_last_phys_addr(), 1ULL, &above))
		memblock_remove(above, U64_MAX - above + 1);
	usable.entry_cells = dt_root_addr_cells + dt_root_size_cells;
	entries = size / (usable.entry_cells * sizeof(__be32));
	/* Each range may need a region of its own. The first one will do with those that there are. */
	usable.count = min_t(unsigned long, entries, max(room(), 1UL));
	report(&usable, entries, size);

	for (i = 0; i < usable.count; i++)
		used += entry_range(&usable, i, &range) == USABLE;
	in_use = acpi_reclaim_in_use();
	limits_init(&limits, used, in_use);
	if (!plan_init(&plan, &usable, &limits))
		stop_early_boot(nothing_usable);
	apply(&plan, in_use);
}

void __init fdt_enforce_memory_region(void)
{
	const char *paths[] = { "/chosen", "/chosen@0" };
	const __be32 *cells;
	int i, node = -1, size;

	if (!initial_boot_params)
		return;
	/* The second name is what early_init_dt_scan_chosen() falls back to. */
	for (i = 0; i < ARRAY_SIZE(paths) && node < 0; i++)
		node = fdt_path_offset(initial_boot_params, paths[i]);
	if (node < 0)
		return;
	cells = of_get_flat_dt_prop(node, "linux,usable-memory-range", &size);
	if (cells)
		confine(cells, size);
}

/* What mem= leaves: all up to where the lowest limit bytes end. Tables do not use them up. */
static bool __init below_limit(u64 limit, struct phys_range *below)
{
	struct memblock_region *r;
	struct acpi_ranges it;
	struct phys_range table;
	bool more;
	u64 left = limit - 1;

	if (!limit)
		return false;
	acpi_ranges_init(&it, ACPI_RECLAIM_TABLES);
	more = acpi_ranges_next(&it, &table);
	for_each_mem_region(r) {
		u64 start = r->base, end = r->base + r->size;

		while (start < end) {
			u64 stop = end;

			while (more && table.last < start)
				more = acpi_ranges_next(&it, &table);
			if (more && table.start < end)
				stop = max(table.start, start);
			if (left < stop - start) {
				below->start = 0;
				below->last = start + left;
				return true;
			}
			left -= stop - start;
			if (stop == end)
				break;
			start = table.last + 1;
		}
	}
	return false;
}

void __init arm64_enforce_memory_limit(phys_addr_t limit)
{
	struct usable usable = { .count = 1 };
	struct acpi_ranges it;
	struct phys_range table;
	struct limits limits;
	struct plan plan;

	acpi_ranges_init(&it, ACPI_RECLAIM_TABLES);
	if (!acpi_reclaim_in_use() || !acpi_ranges_next(&it, &table)) {
		memblock_mem_limit_remove_map(limit);
		return;
	}
	if (!below_limit(limit, &usable.below))
		return;
	limits_init(&limits, 1, true);
	if (plan_init(&plan, &usable, &limits))
		apply(&plan, true);
	else
		memblock_mem_limit_remove_map(limit);
}
