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
	acpi_prepare_panic();
	parse_args("panic", boot_command_line, NULL, 0, 0, 0, NULL, take_panic_timeout);
	panic("%s\n", why);
}

/* Whether this boot uses ACPI, as far as can be told before the tables are read. */
bool __init acpi_reclaim_in_use(void)
{
	return (efi.acpi != EFI_INVALID_TABLE_ADDR || efi.acpi20 != EFI_INVALID_TABLE_ADDR) &&
	       acpi_boot_wanted();
}

/*
 * The range of a descriptor in whole native pages; false if there is none of that kind. Sizes and
 * ends wrap as they do in memrange_efi_to_native().
 */
static bool __init descriptor_range(const struct acpi_ranges *it, const efi_memory_desc_t *md,
				    struct phys_range *range)
{
	u64 attributes = EFI_MEMORY_WB, end;

	if (md->type != EFI_ACPI_RECLAIM_MEMORY)
		return false;
	if (it->kind == ACPI_RECLAIM_RESERVED)
		attributes |= EFI_MEMORY_WT | EFI_MEMORY_WC;
	if (!(md->attribute & attributes))
		return false;
	if (efi_soft_reserve_enabled() && (md->attribute & EFI_MEMORY_SP))
		return false;

	range->start = md->phys_addr & PAGE_MASK;
	end = PAGE_ALIGN(md->phys_addr + (md->num_pages << EFI_PAGE_SHIFT));
	if (end == range->start)
		return false;
	if (check_add_overflow(range->start, end - range->start - 1, &range->last))
		range->last = U64_MAX;
	range->last = min(range->last, it->limit);
	return range->start <= range->last;
}

static bool __init next_descriptor(const struct acpi_ranges *it, const void **next,
				   struct phys_range *range)
{
	const void *md = *next;

	while (md + efi.memmap.desc_size <= efi.memmap.map_end) {
		const efi_memory_desc_t *this = md;

		md += efi.memmap.desc_size;
		if (descriptor_range(it, this, range)) {
			*next = md;
			return true;
		}
	}
	return false;
}

void __init acpi_ranges_init(struct acpi_ranges *it, enum acpi_reclaim_kind kind)
{
	struct phys_range range;
	const void *next;
	u64 previous = 0;

	it->kind = kind;
	it->limit = kind == ACPI_RECLAIM_TABLES ? arm64_last_phys_addr() : U64_MAX;
	it->ahead = false;
	it->from = 0;
	it->sorted = true;
	it->done = !efi_enabled(EFI_MEMMAP) || !efi.memmap.map ||
		   efi.memmap.desc_size < sizeof(efi_memory_desc_t);
	if (it->done)
		return;
	it->next = efi.memmap.map;
	next = it->next;
	while (next_descriptor(it, &next, &range)) {
		if (range.start < previous) {
			it->sorted = false;
			break;
		}
		previous = range.start;
	}
}

static bool __init next_of_sorted(struct acpi_ranges *it, struct phys_range *run)
{
	struct phys_range range;
	bool found = it->ahead;

	if (found)
		*run = it->range_ahead;
	it->ahead = false;
	while (next_descriptor(it, &it->next, &range)) {
		if (!found) {
			*run = range;
			found = true;
		} else if (phys_ranges_touch(run, &range)) {
			phys_range_extend(run, &range);
		} else {
			it->range_ahead = range;
			it->ahead = true;
			break;
		}
	}
	it->done = !found;
	return found;
}

static bool __init next_of_unsorted(struct acpi_ranges *it, struct phys_range *run)
{
	struct phys_range range;
	bool found = false, grown;
	const void *next;

	next = efi.memmap.map;
	while (next_descriptor(it, &next, &range)) {
		if (range.start < it->from || (found && range.start >= run->start))
			continue;
		*run = range;
		found = true;
	}
	if (!found) {
		it->done = true;
		return false;
	}
	/* A range may touch the run only through one that comes after it. */
	do {
		grown = false;
		next = efi.memmap.map;
		while (next_descriptor(it, &next, &range)) {
			if (phys_ranges_touch(run, &range) && !phys_range_contains(run, &range)) {
				phys_range_extend(run, &range);
				grown = true;
			}
		}
	} while (grown);

	it->from = run->last + 1;
	it->done = run->last == U64_MAX;
	return true;
}

/* The next range; false at the end. */
bool __init acpi_ranges_next(struct acpi_ranges *it, struct phys_range *range)
{
	if (it->done)
		return false;
	return it->sorted ? next_of_sorted(it, range) : next_of_unsorted(it, range);
}

static void __init reserve(void)
{
	struct acpi_ranges it;
	struct phys_range range;
	int count = 0, error;

	for_each_acpi_range(&it, ACPI_RECLAIM_RESERVED, &range) {
		error = memblock_reserve(range.start, range.last - range.start + 1);
		if (error)
			pr_err("ACPI Reclaim memory " RANGE_FMT ": not reserved: %pe\n",
			       range.start, range.last, ERR_PTR(error));
		else if (count < MOST_LINES)
			pr_info("ACPI Reclaim memory " RANGE_FMT ": reserved\n",
				range.start, range.last);
		count++;
	}
	if (count > MOST_LINES)
		pr_info("ACPI Reclaim memory: %d ranges in all\n", count);
}

/* Whether memblock can reserve all ranges, and spare ones after them, before its list can grow. */
static bool __init has_room(unsigned long spare, unsigned long *count)
{
	struct acpi_ranges it;
	struct phys_range range;

	*count = 0;
	for_each_acpi_range(&it, ACPI_RECLAIM_RESERVED, &range)
		(*count)++;
	return *count + spare <= memblock.reserved.max - memblock.reserved.cnt;
}

void __init efi_reserve_acpi_reclaim(void)
{
	unsigned long count;

	if (!efi_enabled(EFI_MEMMAP) || !efi.memmap.map ||
	    efi.memmap.desc_size < sizeof(efi_memory_desc_t)) {
		pr_err("EFI memory map cannot be read: ACPI Reclaim memory is not reserved\n");
		return;
	}
	if (has_room(SPARE_RESERVATIONS, &count))
		reserve();
	else
		pr_info("ACPI Reclaim memory: %lu ranges: to be reserved when memblock has room\n",
			count);
}

/* The last byte of the address space is not asked for: memblock leaves it out. */
static bool __init all_reserved(void)
{
	struct acpi_ranges it;
	struct phys_range range;
	struct memblock_region *r = memblock.reserved.regions;
	struct memblock_region *end = r + memblock.reserved.cnt;

	for_each_acpi_range(&it, ACPI_RECLAIM_RESERVED, &range) {
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

/* The largest piece of free memory that no ACPI Reclaim memory is in. */
static bool __init largest_free(struct phys_range *largest)
{
	struct acpi_ranges it;
	struct phys_range range;
	phys_addr_t start, end;
	bool more, found = false;
	u64 i;

	acpi_ranges_init(&it, ACPI_RECLAIM_RESERVED);
	more = acpi_ranges_next(&it, &range);
	for_each_free_mem_range(i, NUMA_NO_NODE, MEMBLOCK_NONE, &start, &end, NULL) {
		while (start < end) {
			u64 stop = end;

			while (more && range.last < start)
				more = acpi_ranges_next(&it, &range);
			if (more && range.start < end)
				stop = range.start;
			/* Of two that are equally large, the higher one. */
			if (stop > start && (!found || stop - start > largest->last - largest->start)) {
				largest->start = start;
				largest->last = stop - 1;
				found = true;
			}
			if (stop == end || range.last == U64_MAX)
				break;
			start = range.last + 1;
		}
	}
	return found;
}

static bool __init has_mirror(void)
{
	struct memblock_region *r;

	for_each_mem_region(r)
		if (memblock_is_mirror(r))
			return true;
	return false;
}

void __init efi_protect_acpi_reclaim(void)
{
	struct phys_range free;
	unsigned long count;
	u64 end;

	if (all_reserved())
		return;
	/* A limit on memory (mem=) truncates the reservations, too. */
	if (has_room(SPARE_RESERVATIONS / 2, &count)) {
		reserve();
		return;
	}
	/* memblock would look for mirrored memory first, wherever that is. */
	if (!largest_free(&free) || has_mirror())
		stop_early_boot(no_free_memory);
	/* Lists and page tables take whole pages: bytes above the last whole page would be left. */
	end = (free.last + 1) & PAGE_MASK;
	if (PAGE_ALIGN(free.start) >= end)
		stop_early_boot(no_free_memory);
	memblock_set_current_limit(end);
}

/* How much memblock hands out next below its limit, up to the next ACPI Reclaim memory. */
static u64 __init next_free(void)
{
	phys_addr_t limit = memblock_get_current_limit(), start, end;
	struct acpi_ranges it;
	struct phys_range range;
	u64 i;

	for_each_free_mem_range_reverse(i, NUMA_NO_NODE, MEMBLOCK_NONE, &start, &end, NULL) {
		if (start >= limit)
			continue;
		end = min(end, limit);
		for_each_acpi_range(&it, ACPI_RECLAIM_RESERVED, &range) {
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

/* How many bytes memblock may allocate while memblock.reserved gets more ranges; 0: too many. */
static u64 __init growth_of_reserved(unsigned long more)
{
	unsigned long needed = 2 * memblock.reserved.cnt + more + 1;
	unsigned long slots = memblock.reserved.max;
	u64 bytes = 0;

	while (slots < needed) {
		slots *= 2;
		bytes += PAGE_ALIGN(slots * sizeof(struct memblock_region));
	}
	return bytes;
}

void __init efi_reserve_acpi_reclaim_late(void)
{
	struct acpi_ranges it;
	struct phys_range range;
	unsigned long count = 0;

	if (all_reserved())
		return;
	for_each_acpi_range(&it, ACPI_RECLAIM_RESERVED, &range)
		count++;
	/* The list grows into new memory while part of the ranges is not reserved yet. */
	if (next_free() < growth_of_reserved(count))
		stop_early_boot(no_free_memory);
	reserve();
	memblock_set_current_limit(MEMBLOCK_ALLOC_ANYWHERE);
}
