// SPDX-License-Identifier: GPL-2.0
/*
 * Keeps ACPI Reclaim memory as firmware left it: the same steps as in acpi_reclaim.rs, in C, to be
 * measured against them.
 */

#define pr_fmt(fmt) "efi: " fmt

#include <linux/acpi_reclaim.h>
#include <linux/efi.h>
#include <linux/efi_acpi_tables.h>
#include <linux/init.h>
#include <linux/kernel.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/moduleparam.h>
#include <linux/panic.h>
#include <linux/printk.h>

/* How many entries of memblock.reserved are left to what else is reserved before it can grow. */
#define SPARE_RESERVATIONS	48

static const char no_free_memory[] __initconst =
	"more ranges of ACPI Reclaim memory than memblock can reserve, and not enough memory free of them to start from";

static int __init take_panic_timeout(char *param, char *val, const char *unused, void *arg)
{
	if (!val || !parameq(param, "panic"))
		return 0;
	return kstrtoint(val, 0, &panic_timeout);
}

/* Prints the line, asks ACPI for a console and for what restarts the machine, and panics. */
void __init __noreturn stop_early_boot(const char *why)
{
	printk(KERN_EMERG "%s\n", why);
	parse_args("panic", boot_command_line, NULL, 0, 0, 0, NULL, take_panic_timeout);
	/* Last, for it may panic by itself. */
	acpi_prepare_panic();
	panic("%s\n", why);
}

/* Whether this boot uses ACPI, as far as can be told before the tables are read. */
bool __init acpi_reclaim_in_use(void)
{
	return (efi.acpi != EFI_INVALID_TABLE_ADDR || efi.acpi20 != EFI_INVALID_TABLE_ADDR) &&
	       acpi_boot_wanted();
}

/*
 * The range of a descriptor in whole native pages; false if there is none. Sizes and ends wrap as they
 * do in memrange_efi_to_native().
 */
static inline bool descriptor_range(const struct phys_ranges *it, const efi_memory_desc_t *md,
				    struct phys_range *range)
{
	u64 start, end, last;

	if (!(md->attribute & it->attributes))
		return false;
	if ((md->attribute & EFI_MEMORY_SP) && efi_soft_reserve_enabled())
		return false;

	start = md->phys_addr & PAGE_MASK;
	end = PAGE_ALIGN(md->phys_addr + (md->num_pages << EFI_PAGE_SHIFT));
	if (end == start)
		return false;
	if (check_add_overflow(start, end - start - 1, &last))
		last = U64_MAX;
	range->start = start;
	range->last = min(last, it->limit);
	return start <= range->last;
}

static bool __init can_read_map(void)
{
	return efi_enabled(EFI_MEMMAP) && efi.memmap.map &&
	       efi.memmap.desc_size >= sizeof(efi_memory_desc_t);
}

static bool __init descriptor_at(const struct phys_ranges *it, unsigned long *at,
				 struct phys_range *range)
{
	const void *md = efi.memmap.map + *at, *end = efi.memmap.map_end;
	unsigned long size = efi.memmap.desc_size;

	while (md + size <= end) {
		const efi_memory_desc_t *this = md;

		md += size;
		if (this->type != EFI_ACPI_RECLAIM_MEMORY || !descriptor_range(it, this, range))
			continue;
		*at = md - efi.memmap.map;
		return true;
	}
	*at = md - efi.memmap.map;
	return false;
}

void __init acpi_ranges_init(struct phys_ranges *it, u64 which)
{
	*it = (struct phys_ranges) {
		.range_at = descriptor_at,
		.attributes = which,
		.limit = which == ACPI_RECLAIM_TABLES ? arm64_last_phys_addr() : U64_MAX,
		.window = NO_PHYS_RANGE,
	};
	if (can_read_map())
		phys_ranges_begin(it);
}

void __init phys_ranges_begin(struct phys_ranges *it)
{
	struct phys_range first, range;
	unsigned long at = 0;
	u64 previous;

	if (!it->range_at(it, &at, &first))
		return;
	it->window = first;
	it->sorted = true;
	it->most = 1;
	it->at = at;
	previous = first.start;
	while (it->range_at(it, &at, &range)) {
		it->left++;
		it->sorted &= range.start >= previous;
		previous = range.start;
		it->most += !phys_ranges_touch(&it->window, &range);
		phys_range_extend(&it->window, &range);
	}
	/* Sorted ranges are not looked for before the first one again. */
	if (it->sorted) {
		it->ahead = first;
	} else {
		it->at = 0;
		it->most = ++it->left;
	}
}

/* What is walked of sorted ranges is not needed again. */
static inline void next_of_sorted(struct phys_ranges *it, struct phys_range *run)
{
	struct phys_range range;

	*run = it->ahead;
	it->ahead.last = 0;
	while (it->left) {
		it->left--;
		it->range_at(it, &it->at, &range);
		if (!phys_ranges_overlap(&range, &it->window))
			continue;
		if (!run->last) {
			*run = range;
		} else if (phys_ranges_touch(run, &range)) {
			phys_range_extend(run, &range);
		} else {
			it->ahead = range;
			break;
		}
	}
}

static void __init next_of_unsorted(const struct phys_ranges *it, struct phys_range *run)
{
	struct phys_range before, range;
	unsigned long at, left;

	*run = NO_PHYS_RANGE;
	/* A range may touch the run only through one that comes after it: walk until none is left. */
	do {
		before = *run;
		at = 0;
		for (left = it->left; left; left--) {
			it->range_at(it, &at, &range);
			if (!phys_ranges_overlap(&range, &it->window))
				continue;
			if (run->last && phys_ranges_touch(run, &range))
				phys_range_extend(run, &range);
			else if (!run->last || range.start < run->start)
				*run = range;
		}
	} while (run->last != before.last || run->start != before.start);
}

bool __init phys_ranges_next(struct phys_ranges *it, struct phys_range *run)
{
	if (phys_ranges_end(it))
		return false;
	if (it->sorted)
		next_of_sorted(it, run);
	else
		next_of_unsorted(it, run);
	if (run->last && run->last < it->window.last)
		it->window.start = run->last + 1;
	else
		it->window.last = 0;
	return run->last;
}

unsigned long __init phys_ranges_count(const struct phys_ranges *ranges)
{
	struct phys_ranges it = *ranges;
	struct phys_range range;
	unsigned long count = 0;

	if (it.sorted)
		return it.most;
	while (phys_ranges_next(&it, &range))
		count++;
	return count;
}

void __init acpi_gaps_init(struct acpi_gaps *gaps, const struct phys_ranges *ranges)
{
	gaps->ranges = *ranges;
	gaps->more = phys_ranges_next(&gaps->ranges, &gaps->range);
}

void __init acpi_gaps_init_within(struct acpi_gaps *gaps, const struct phys_ranges *ranges,
				  const struct phys_range *window)
{
	struct phys_ranges within = *ranges;

	if (!phys_ranges_overlap(&within.ahead, window))
		within.ahead.last = 0;
	within.window.start = max(within.window.start, window->start);
	within.window.last = min(within.window.last, window->last);
	if (within.window.start > within.window.last)
		within.window.last = 0;
	acpi_gaps_init(gaps, &within);
}

bool __init acpi_gaps_next(struct acpi_gaps *gaps, struct phys_range *rest, struct phys_range *piece)
{
	const struct phys_range *range = &gaps->range;

	while (rest->start <= rest->last) {
		while (gaps->more && range->last < rest->start)
			gaps->more = phys_ranges_next(&gaps->ranges, &gaps->range);
		*piece = *rest;
		if (!gaps->more || range->start > rest->last) {
			rest->start = rest->last + 1;
			return true;
		}
		rest->start = min(range->last, rest->last) + 1;
		if (range->start > piece->start) {
			piece->last = range->start - 1;
			return true;
		}
	}
	return false;
}

static void __init reserve(struct phys_ranges it)
{
	struct phys_range range;
	int count = 0;

	while (phys_ranges_next(&it, &range)) {
		if (memblock_reserve(range.start, range.last - range.start + 1))
			pr_err("ACPI Reclaim memory " RANGE_FMT ": not reserved\n",
			       range.start, range.last);
		else if (count < MOST_LINES)
			pr_info("ACPI Reclaim memory " RANGE_FMT ": reserved\n",
				range.start, range.last);
		count++;
	}
	if (count > MOST_LINES)
		pr_info("ACPI Reclaim memory: %d ranges in all\n", count);
}

/* Whether memblock can reserve so many more ranges before its list can grow. */
static bool __init has_room(unsigned long count)
{
	return count <= memblock.reserved.max - memblock.reserved.cnt;
}

void __init efi_reserve_acpi_reclaim(void)
{
	struct phys_ranges ranges;
	unsigned long count;

	if (!can_read_map()) {
		pr_err("EFI memory map cannot be read: ACPI Reclaim memory is not reserved\n");
		return;
	}
	acpi_ranges_init(&ranges, ACPI_RECLAIM_RESERVED);
	count = phys_ranges_count(&ranges);
	if (has_room(count + SPARE_RESERVATIONS))
		reserve(ranges);
	else
		pr_info("ACPI Reclaim memory: %lu ranges: to be reserved when memblock has room\n",
			count);
}

/* The last byte of the address space is not asked for: memblock leaves it out. */
static bool __init all_reserved(struct phys_ranges it)
{
	struct phys_range range;
	struct memblock_region *r = memblock.reserved.regions;
	struct memblock_region *end = r + memblock.reserved.cnt;

	while (phys_ranges_next(&it, &range)) {
		u64 start = range.start;

		range.last -= range.last == U64_MAX;
		for (; r < end; r++) {
			u64 last = r->base + r->size - 1;

			if (!r->size || last < start)
				continue;
			if (r->base > start)
				return false;
			if (last >= range.last)
				break;
			start = last + 1;
		}
		if (r == end)
			return false;
	}
	return true;
}

/* The largest piece of free memory that no ACPI Reclaim memory is in; of equal ones the highest. */
static bool __init largest_free(const struct phys_ranges *ranges, struct phys_range *largest)
{
	struct phys_range rest, piece;
	struct acpi_gaps gaps;
	phys_addr_t start, end;
	bool found = false;
	u64 i;

	acpi_gaps_init(&gaps, ranges);
	for_each_free_mem_range(i, NUMA_NO_NODE, MEMBLOCK_NONE, &start, &end, NULL) {
		rest.start = start;
		rest.last = end - 1;
		while (acpi_gaps_next(&gaps, &rest, &piece)) {
			if (found && piece.last - piece.start < largest->last - largest->start)
				continue;
			*largest = piece;
			found = true;
		}
	}
	return found;
}

/* Whether memblock takes some memory before all other, wherever that is, or takes no other. */
static bool __init has_preferred(void)
{
	struct memblock_region *r;

	for_each_mem_region(r)
		if (r->flags & ~(MEMBLOCK_HOTPLUG | MEMBLOCK_NOMAP | MEMBLOCK_DRIVER_MANAGED))
			return true;
	return false;
}

/* Has memblock allocate from one piece of memory that no ACPI Reclaim memory is in. */
static bool __init allocate_elsewhere(const struct phys_ranges *ranges)
{
	struct phys_range free;
	u64 start, end;

	if (has_preferred() || !largest_free(ranges, &free))
		return false;
	/* Lists and page tables take whole pages: bytes above the last whole page would be left. */
	start = PAGE_ALIGN(free.start);
	end = (free.last + 1) & PAGE_MASK;
	/* What does not fit would be taken from below, where tables may be. */
	if (start >= end || end - start <= arm64_largest_paging_alloc())
		return false;
	memblock_set_current_limit(end);
	return true;
}

void __init efi_protect_acpi_reclaim(void)
{
	struct phys_ranges ranges;
	unsigned long count;

	acpi_ranges_init(&ranges, ACPI_RECLAIM_RESERVED);
	if (all_reserved(ranges))
		return;
	/*
	 * A limit on memory (mem=) truncates the reservations, too. What is left of the spare entries
	 * is for page tables. Where all fit without an entry to spare it may still do.
	 */
	count = phys_ranges_count(&ranges);
	if (!has_room(count + SPARE_RESERVATIONS / 2) && allocate_elsewhere(&ranges))
		return;
	if (!has_room(count))
		stop_early_boot(no_free_memory);
	reserve(ranges);
}

/*
 * How much memblock hands out next below its limit, up to the next ACPI Reclaim memory; 0 if that lies
 * between what is free and the limit, for then it may have been handed out.
 */
static u64 __init next_free(struct phys_ranges it)
{
	phys_addr_t limit = memblock_get_current_limit(), start, end;
	struct phys_range range;
	u64 i;

	for_each_free_mem_range_reverse(i, NUMA_NO_NODE, MEMBLOCK_NONE, &start, &end, NULL) {
		if (start >= limit)
			continue;
		end = min(end, limit);
		while (phys_ranges_next(&it, &range)) {
			if (range.start >= limit)
				break;
			if (range.last >= end)
				return 0;
			if (range.last >= start)
				start = range.last + 1;
		}
		return end - start;
	}
	return 0;
}

/* How many bytes memblock may allocate, in one piece, while memblock.reserved gets more ranges. */
static u64 __init growth_of_reserved(unsigned long more)
{
	/* A range that overlaps others is first added in pieces, one more than there are others. */
	unsigned long needed = 2 * memblock.reserved.cnt + more + 1;
	unsigned long slots = memblock.reserved.max;
	u64 bytes = 0;

	while (slots < needed) {
		slots *= 2;
		bytes += PAGE_ALIGN(slots * sizeof(struct memblock_region));
		/* The new list is reserved itself, and giving back the old one may split a range. */
		needed += 2;
	}
	return bytes;
}

void __init efi_reserve_acpi_reclaim_late(void)
{
	struct phys_ranges ranges;
	u64 free;

	/* Without a limit all was reserved before. */
	if (memblock_get_current_limit() == MEMBLOCK_ALLOC_ANYWHERE)
		return;
	acpi_ranges_init(&ranges, ACPI_RECLAIM_RESERVED);
	if (all_reserved(ranges))
		return;
	free = next_free(ranges);
	/* The list grows into new memory while part of the ranges is not reserved yet. */
	if (!free || free < growth_of_reserved(phys_ranges_count(&ranges)))
		stop_early_boot(no_free_memory);
	reserve(ranges);
	memblock_set_current_limit(MEMBLOCK_ALLOC_ANYWHERE);
}
