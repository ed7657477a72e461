// SPDX-License-Identifier: GPL-2.0
/*
 * ACPI tables in /proc/iomem: the same steps as in acpi_tables.rs, in C, to be measured against them.
 */

#define pr_fmt(fmt) "arm64/mm: " fmt

#include <linux/acpi_reclaim.h>
#include <linux/efi_acpi_tables.h>
#include <linux/init.h>
#include <linux/ioport.h>
#include <linux/memblock.h>
#include <linux/mm.h>
#include <linux/printk.h>

enum kind {
	SYSTEM_RAM,
	RESERVED,
	ACPI_TABLES,
};

/* The names outlive init memory, where all else of this object goes. */
#define __names	__section(".rodata.names")

static const char system_ram[] __names = "System RAM";
static const char reserved[] __names = "reserved";
static const char acpi_tables[] __names = "ACPI Tables";

/* What is published: counted when there is no array yet, inserted when there is. */
struct publishing {
	const struct phys_ranges *ranges;
	/* The same, from the first one on. */
	struct acpi_gaps tables;
	struct resource *first;
	int count;
	/* How many of them are not ACPI tables; those come first. */
	int standard;
};

static void __init publish(struct publishing *to, enum kind kind, u64 start, u64 last)
{
	struct resource *res;

	if (to->first) {
		res = to->first + to->count;
		res->start = start;
		res->end = last;
		res->flags = IORESOURCE_MEM;
		switch (kind) {
		case SYSTEM_RAM:
			res->name = system_ram;
			res->flags |= IORESOURCE_SYSRAM | IORESOURCE_BUSY;
			break;
		case RESERVED:
			res->name = reserved;
			break;
		case ACPI_TABLES:
			res->name = acpi_tables;
			res->flags |= IORESOURCE_BUSY | IORESOURCE_EXCLUSIVE;
			res->desc = IORES_DESC_ACPI_TABLES;
			break;
		}
		if (insert_resource(&iomem_resource, res))
			pr_warn(RANGE_FMT ": not shown in /proc/iomem\n", start, last);
	}
	to->count++;
	if (kind != ACPI_TABLES)
		to->standard = to->count;
}

/* Mapped memory with the tables cut out. */
static void __init publish_ram(struct publishing *to)
{
	struct phys_range rest, piece;
	struct memblock_region *r;
	struct acpi_gaps gaps = to->tables;

	for_each_mem_region(r) {
		u64 end = (r->base + r->size) & PAGE_MASK;

		rest.start = PAGE_ALIGN(r->base);
		if (memblock_is_nomap(r) || rest.start >= end)
			continue;
		rest.last = end - 1;
		while (acpi_gaps_next(&gaps, &rest, &piece))
			publish(to, SYSTEM_RAM, piece.start, piece.last);
	}
}

/* Memory without mapping, in whole pages. */
struct nomap {
	struct memblock_region *next;
	struct phys_range range;
};

#define FIRST_NOMAP	((struct nomap) { .next = memblock.memory.regions })

static bool __init next_nomap(struct nomap *nomap)
{
	struct memblock_region *end = memblock.memory.regions + memblock.memory.cnt;
	struct phys_range *range = &nomap->range;

	while (nomap->next < end) {
		struct memblock_region *r = nomap->next++;
		u64 start = r->base & PAGE_MASK;
		u64 last = (r->base + r->size - 1) | ~PAGE_MASK;

		/* Two of them may share a page, which the first one gets. */
		if (range->last)
			start = max(start, range->last + 1);
		if (!memblock_is_nomap(r) || start > last)
			continue;
		range->start = start;
		range->last = last;
		return true;
	}
	return false;
}

static void __init publish_nomap(struct publishing *to)
{
	struct nomap nomap = FIRST_NOMAP;

	while (next_nomap(&nomap))
		publish(to, RESERVED, nomap.range.start, nomap.range.last);
}

/* The tables, but for what shares a page with memory that is not mapped. */
static void __init publish_tables(struct publishing *to)
{
	struct nomap nomap = FIRST_NOMAP;
	bool more = next_nomap(&nomap);
	struct acpi_gaps tables;

	/* Most often there is no such memory: then it takes no walk to count them. */
	if (!more && !to->first) {
		to->count += phys_ranges_count(to->ranges);
		return;
	}

	tables = to->tables;
	for (; tables.more; tables.more = phys_ranges_next(&tables.ranges, &tables.range)) {
		u64 start = tables.range.start, last = tables.range.last;

		while (start <= last) {
			while (more && nomap.range.last < start)
				more = next_nomap(&nomap);
			if (!more || nomap.range.start > last) {
				publish(to, ACPI_TABLES, start, last);
				break;
			}
			if (nomap.range.start > start)
				publish(to, ACPI_TABLES, start, nomap.range.start - 1);
			start = nomap.range.last + 1;
		}
	}
}

static void __init publish_all(struct publishing *to)
{
	publish_ram(to);
	publish_nomap(to);
	publish_tables(to);
}

struct resource * __init arm64_request_memory_resources(int *count)
{
	struct phys_ranges ranges;
	struct publishing to = { .ranges = &ranges };

	if (!acpi_reclaim_in_use())
		return NULL;
	acpi_ranges_init(&ranges, ACPI_RECLAIM_TABLES);
	acpi_gaps_init(&to.tables, &ranges);
	if (!to.tables.more)
		return NULL;

	publish_all(&to);
	to.first = memblock_alloc_or_panic(to.count * sizeof(*to.first),
					  __alignof__(*to.first));
	to.count = 0;
	publish_all(&to);
	*count = to.standard;
	return to.first;
}
