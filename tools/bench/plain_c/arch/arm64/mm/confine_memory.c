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
#include <asm/sparsemem.h>

/* The most cells that an entry of the property may have. */
#define MOST_CELLS	8

/* The base of the linear map is rounded down to this, or to a divisor of it. */
#define LINEAR_MAP_ALIGN	SZ_1G

/* How many regions of memblock.memory are left free for what setup_arch() adds or splits later. */
#define SPARE_REGIONS	32

/* The size of a section's memory map: 64 bytes for each page, and little more for debugging. */
#define SECTION_MAP	((1ULL << SECTION_SIZE_BITS) / PAGE_SIZE * 64)

/*
 * The share of its own memory that a kernel can spend on the memory map of tables that lie in sections
 * of their own: one part of so many.
 */
#define SECTION_MAPS_SHARE	16

static const char not_decodable[] __initconst =
	"linux,usable-memory-range cannot be decoded: #address-cells or #size-cells of the root node is out of range; not touching the crashed kernel's memory";
static const char nothing_usable[] __initconst =
	"linux,usable-memory-range gives no usable memory; not touching the crashed kernel's memory. Check how the crash kernel was loaded";

/* What is usable: the entries of the property, or what mem= leaves. */
struct usable {
	const __be32 *cells;
	unsigned long count;
	unsigned int entry_cells;
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

static void __init read_entry(const struct usable *usable, unsigned long index, u64 *addr, u64 *size,
			      bool *addr_fits, bool *size_fits)
{
	const __be32 *cells = usable->cells + index * usable->entry_cells;

	*addr_fits = read_number(cells, dt_root_addr_cells, addr);
	*size_fits = read_number(cells + dt_root_addr_cells, dt_root_size_cells, size);
}

/* The range that an entry gives, in whole pages. */
static enum fault __init entry_range(const struct usable *usable, unsigned long index,
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

static bool __init entry_at(const struct phys_ranges *it, unsigned long *at, struct phys_range *range)
{
	const struct usable *usable = it->source;

	while (*at < usable->count)
		if (entry_range(usable, (*at)++, range) == USABLE)
			return true;
	return false;
}

/* The usable ranges: merged, sorted. */
static void __init usable_init(struct phys_ranges *it, const struct usable *usable)
{
	*it = (struct phys_ranges) {
		.range_at = entry_at,
		.source = usable,
		.window = NO_PHYS_RANGE,
	};
	phys_ranges_begin(it);
}

/* The part of a region that is mapped and in a range; false if there is none. */
static inline bool mapped_part(struct memblock_region *r, const struct phys_range *range,
			       struct phys_range *part)
{
	if (!r->size || memblock_is_nomap(r))
		return false;
	part->start = max(r->base, range->start);
	part->last = min(r->base + r->size - 1, range->last);
	return part->start <= part->last;
}

/* The range that an entry gives, if there is memory in it to allocate from. */
static enum fault __init entry_usable(const struct usable *usable, unsigned long index,
				      const struct phys_ranges *tables, struct phys_range *range)
{
	enum fault fault = entry_range(usable, index, range);
	struct phys_range part, piece;
	struct memblock_region *r;
	struct acpi_gaps gaps;

	if (fault != USABLE)
		return fault;
	fault = NO_MEMORY;
	acpi_gaps_init_within(&gaps, tables, range);
	for_each_mem_region(r) {
		if (!mapped_part(r, range, &part))
			continue;
		if (acpi_gaps_next(&gaps, &part, &piece))
			return USABLE;
		fault = ONLY_TABLES;
	}
	return fault;
}

/* What memory outside of the usable ranges may do to the kernel. */
struct limits {
	/* The size of the linear map in bytes. */
	u64 linear_map;
	/* How many tables memblock has room for, over and above those in usable memory. */
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

/* What is kept: the usable ranges, and the tables that do no harm. */
struct plan {
	/* Both merged; each walk is that of a copy. */
	const struct phys_ranges *usable;
	const struct phys_ranges *tables;
	/* Tables within do no harm. */
	struct phys_range span;
	/* From here on there is no room for tables, in memblock or for their memory map. */
	u64 full_from;
	/* As is usual: who looks for others has to walk the EFI memory map. */
	bool keeps_all;
};

/* No table starts there. */
#define NEVER_FULL	U64_MAX

/* Whether a table is a part of memory that is there anyway: to take it out would need a region more. */
static bool __init within_one(struct phys_ranges usable, const struct phys_range *table)
{
	struct phys_range range;

	while (phys_ranges_next(&usable, &range))
		if (phys_range_contains(&range, table))
			return true;
	return false;
}

static bool __init plan_keeps(const struct plan *plan, const struct phys_range *table)
{
	return phys_range_contains(&plan->span, table) &&
	       (table->start < plan->full_from || within_one(*plan->usable, table));
}

/* The span within which tables do no harm. Low tables come first, where firmware has them. */
static struct phys_range __init plan_span(const struct phys_ranges *tables,
					  const struct phys_range *own, const struct limits *limits)
{
	struct phys_range with_low = *own, result = *own, span, table;
	struct phys_ranges it = *tables;

	while (phys_ranges_next(&it, &table)) {
		span = *own;
		phys_range_extend(&span, &table);
		if (span.last == own->last && harmless(own, &span, limits)) {
			with_low = result = span;
			break;
		}
	}
	it = *tables;
	while (phys_ranges_next(&it, &table)) {
		span = with_low;
		phys_range_extend(&span, &table);
		if (harmless(own, &span, limits))
			result = span;
	}
	return result;
}

/*
 * The last section of what makes that a section has a memory map anyway: a usable range, or memory
 * without mapping; false if there is nothing of the kind in it.
 */
static bool __init section_is_there(struct phys_ranges usable, u64 section, u64 *last)
{
	struct phys_range bytes, range;
	struct memblock_region *r;

	bytes.start = section << SECTION_SIZE_BITS;
	bytes.last = bytes.start + ((1ULL << SECTION_SIZE_BITS) - 1);
	while (phys_ranges_next(&usable, &range))
		if (phys_ranges_overlap(&range, &bytes))
			goto found;
	for_each_mem_region(r) {
		range.start = r->base;
		range.last = r->base + r->size - 1;
		if (memblock_is_nomap(r) && phys_ranges_overlap(&range, &bytes))
			goto found;
	}
	return false;
found:
	*last = range.last >> SECTION_SIZE_BITS;
	return true;
}

/*
 * Where the first table starts that there is no room for: more than limits->regions need a region of
 * their own, or more than maps sections need a memory map.
 */
static u64 __init first_without_room(const struct plan *plan, const struct limits *limits, u64 maps)
{
	unsigned long regions = limits->regions;
	struct phys_ranges it = *plan->tables;
	struct phys_range table;
	u64 section = 0, last;

	while (phys_ranges_next(&it, &table)) {
		if (!phys_range_contains(&plan->span, &table) || within_one(*plan->usable, &table))
			continue;
		if (!regions--)
			return table.start;
		section = max(section, table.start >> SECTION_SIZE_BITS);
		for (; section <= table.last >> SECTION_SIZE_BITS; section = last + 1) {
			if (section_is_there(*plan->usable, section, &last))
				continue;
			if (!maps--)
				return table.start;
			last = section;
		}
	}
	return NEVER_FULL;
}

/* How many sections a range lies in. */
static inline u64 sections(const struct phys_range *range)
{
	if (!range->last)
		return 0;
	return (range->last >> SECTION_SIZE_BITS) - (range->start >> SECTION_SIZE_BITS) + 1;
}

/* Decides, without changing anything; false if there is no memory to allocate from. */
static bool __init plan_init(struct plan *plan, const struct limits *limits)
{
	const struct phys_ranges *tables = plan->tables;
	struct phys_range own = NO_PHYS_RANGE, range, part, piece;
	struct phys_ranges it = *plan->usable;
	struct memblock_region *r;
	struct acpi_gaps gaps;
	u64 size = 0, maps;

	while (phys_ranges_next(&it, &range)) {
		acpi_gaps_init_within(&gaps, tables, &range);
		for_each_mem_region(r) {
			if (!mapped_part(r, &range, &part))
				continue;
			while (acpi_gaps_next(&gaps, &part, &piece)) {
				phys_range_extend(&own, &piece);
				size += piece.last - piece.start + 1;
			}
		}
	}
	if (!own.last)
		return false;
	for_each_mem_region(r) {
		part.start = r->base;
		part.last = r->base + r->size - 1;
		if (memblock_is_nomap(r))
			phys_range_extend(&own, &part);
	}

	/* Most often there is nothing to leave out, which takes no walk to see. */
	range = own;
	phys_range_extend(&range, &tables->window);
	plan->full_from = NEVER_FULL;
	plan->keeps_all = harmless(&own, &range, limits);
	plan->span = plan->keeps_all ? range : plan_span(tables, &own, limits);
	maps = size / SECTION_MAPS_SHARE / SECTION_MAP;
	if (tables->most > limits->regions || sections(&tables->window) > maps) {
		plan->full_from = first_without_room(plan, limits, maps);
		plan->keeps_all &= plan->full_from == NEVER_FULL;
	}
	return true;
}

static void __init remove_range(const struct phys_range *range)
{
	if (memblock_remove(range->start, range->last - range->start + 1))
		pr_err(RANGE_FMT ": not removed from memory\n", range->start, range->last);
}

/* The lowest mapped memory within a range, in one piece. */
static bool __init first_mapped(const struct phys_range *range, struct phys_range *part)
{
	struct memblock_region *r;

	for_each_mem_region(r) {
		/* Most lie below the range, which one comparison tells. */
		if (r->base + r->size <= range->start)
			continue;
		if (r->base > range->last)
			break;
		if (mapped_part(r, range, part))
			return true;
	}
	return false;
}

/* Removes all mapped memory that is in a range. Each removal changes the list of regions. */
static void __init remove_mapped(u64 start, u64 last)
{
	struct phys_range rest = { start, last }, part;

	while (first_mapped(&rest, &part)) {
		remove_range(&part);
		if (part.last == last)
			break;
		rest.start = part.last + 1;
	}
}

/* The next of the tables that are kept, or of those that are not. */
static bool __init next_table(const struct plan *plan, bool kept, struct phys_ranges *it,
			      struct phys_range *table)
{
	while (phys_ranges_next(it, table))
		if (plan_keeps(plan, table) == kept)
			return true;
	return false;
}

/* Removes all that is mapped and neither usable nor a table that is kept. */
static void __init remove_gaps(const struct plan *plan)
{
	struct phys_ranges usable = *plan->usable, tables = *plan->tables;
	struct phys_range range, table, *low;
	bool is_usable, is_table;
	u64 start = 0;

	is_usable = phys_ranges_next(&usable, &range);
	is_table = next_table(plan, true, &tables, &table);
	while (is_usable || is_table) {
		low = is_usable && (!is_table || range.start < table.start) ? &range : &table;
		if (low->start > start)
			remove_mapped(start, low->start - 1);
		if (low->last == U64_MAX)
			return;
		start = max(start, low->last + 1);
		if (low == &range)
			is_usable = phys_ranges_next(&usable, &range);
		else
			is_table = next_table(plan, true, &tables, &table);
	}
	remove_mapped(start, U64_MAX);
}

/* Whether a table is in usable memory: all else that is left out goes with what is not usable. */
static bool __init within_usable(struct phys_ranges usable, const struct phys_range *table)
{
	struct phys_range range;

	while (phys_ranges_next(&usable, &range))
		if (phys_ranges_overlap(&range, table))
			return true;
	return false;
}

static void __init plan_apply(const struct plan *plan)
{
	struct phys_ranges it = *plan->tables;
	struct phys_range table;

	remove_gaps(plan);
	if (plan->keeps_all)
		return;
	/* A loader may list tables as usable: they are tables all the same. */
	while (next_table(plan, false, &it, &table))
		if (within_usable(*plan->usable, &table))
			remove_mapped(table.start, table.last);
}

/* Says which tables do not stay. */
static void __init report_left_out(const struct plan *plan)
{
	struct phys_ranges it = *plan->tables;
	struct phys_range table;
	int count = 0;

	if (plan->keeps_all)
		return;
	while (next_table(plan, false, &it, &table))
		if (count++ < MOST_LINES)
			pr_warn("ACPI Tables " RANGE_FMT ": left out of memory: no room, or too far from the rest\n",
				table.start, table.last);
	if (count > MOST_LINES)
		pr_info("ACPI Tables: left out of memory: %d ranges in all\n", count);
}

/* Keeps the usable ranges and the tables; false, and nothing was done, if there is nothing to use. */
static bool __init keep(const struct usable *usable, const struct phys_ranges *tables, bool in_use)
{
	struct phys_ranges ranges;
	struct plan plan = { .usable = &ranges, .tables = tables };
	struct limits limits;

	usable_init(&ranges, usable);
	limits_init(&limits, phys_ranges_count(&ranges), in_use);
	if (!plan_init(&plan, &limits))
		return false;
	plan_apply(&plan);
	if (in_use)
		report_left_out(&plan);
	return true;
}

/* Says what is used of the property, and what is not and why. */
static void __init report(const struct usable *usable, const struct phys_ranges *tables,
			  unsigned long entries, int size)
{
	struct phys_range range;
	int leftover, ignored = 0;
	bool addr_fits, size_fits;
	enum fault fault;
	unsigned long i;
	u64 addr, bytes;

	for (i = 0; i < entries; i++) {
		fault = i < usable->count ? entry_usable(usable, i, tables, &range) : TOO_MANY;
		if (fault == USABLE) {
			if (i < MOST_LINES)
				pr_info("usable memory " RANGE_FMT ": given by linux,usable-memory-range\n",
					range.start, range.last);
			continue;
		}
		if (ignored++ >= MOST_LINES)
			continue;
		read_entry(usable, i, &addr, &bytes, &addr_fits, &size_fits);
		pr_warn("linux,usable-memory-range: entry %lu (0x%llx, size 0x%llx) %s: ignored\n", i,
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
	struct phys_range above = { .last = U64_MAX };
	struct phys_ranges tables;
	unsigned long entries;

	if (dt_root_addr_cells <= 0 || dt_root_size_cells <= 0 ||
	    dt_root_addr_cells > MOST_CELLS || dt_root_size_cells > MOST_CELLS - dt_root_addr_cells)
		stop_early_boot(not_decodable);
	/* arm64_memblock_init() removes it, too, but until then it could be taken for memory to use. */
	if (!check_add_overflow(arm64_last_phys_addr(), 1ULL, &above.start))
		remove_range(&above);
	usable.entry_cells = dt_root_addr_cells + dt_root_size_cells;
	entries = size / (usable.entry_cells * sizeof(__be32));
	/* Each range may need a region of its own. The first one will do with those that there are. */
	usable.count = min(entries, max(room(), 1UL));
	acpi_ranges_init(&tables, ACPI_RECLAIM_TABLES);
	report(&usable, &tables, entries, size);

	if (!keep(&usable, &tables, acpi_reclaim_in_use()))
		stop_early_boot(nothing_usable);
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
static bool __init below_limit(u64 limit, const struct phys_ranges *tables, struct phys_range *below)
{
	struct phys_range rest, piece;
	struct memblock_region *r;
	struct acpi_gaps gaps;
	u64 left = limit - 1;

	if (!limit)
		return false;
	acpi_gaps_init(&gaps, tables);
	for_each_mem_region(r) {
		if (!r->size)
			continue;
		rest.start = r->base;
		rest.last = r->base + r->size - 1;
		while (acpi_gaps_next(&gaps, &rest, &piece)) {
			if (left <= piece.last - piece.start) {
				below->start = 0;
				below->last = piece.start + left;
				return below->last;
			}
			left -= piece.last - piece.start + 1;
		}
	}
	return false;
}

void __init arm64_enforce_memory_limit(phys_addr_t limit)
{
	struct usable usable = { .count = 1 };
	struct phys_ranges tables;

	if (acpi_reclaim_in_use()) {
		acpi_ranges_init(&tables, ACPI_RECLAIM_TABLES);
		if (!phys_ranges_end(&tables) &&
		    (!below_limit(limit, &tables, &usable.below) || keep(&usable, &tables, true)))
			return;
	}
	memblock_mem_limit_remove_map(limit);
}
