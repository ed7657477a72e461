// SPDX-License-Identifier: GPL-2.0
/*
 * ACPI tables in /proc/iomem: the same steps as in acpi_tables.rs, in C, to be measured against them.
 */

#define pr_fmt(fmt) "arm64/mm: " fmt

#include <linux/acpi_reclaim.h>
#include <linux/efi_acpi_tables.h>
#include <linux/err.h>
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
	struct resource *first;
	int count;
	/* How many of them are not ACPI tables; those come first. */
	int standard;
};

static void __init publish(struct publishing *to, enum kind kind, u64 start, u64 last)
{
	struct resource *res;
	int error;

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
		error = insert_resource(&iomem_resource, res);
		if (error)
			pr_warn(RANGE_FMT ": not shown in /proc/iomem: %pe\n", start, last,
				ERR_PTR(error));
	}
	to->count++;
	if (kind != ACPI_TABLES)
		to->standard = to->count;
}

/* Mapped memory with the tables cut out. */
static void __init publish_ram(struct publishing *to)
{
	struct memblock_region *r;
	struct acpi_ranges it;
	struct phys_range table;
	bool more;

	acpi_ranges_init(&it, ACPI_RECLAIM_TABLES);
	more = acpi_ranges_next(&it, &table);
	for_each_mem_region(r) {
		u64 start = PAGE_ALIGN(r->base);
		u64 end = (r->base + r->size) & PAGE_MASK;

		if (memblock_is_nomap(r))
			continue;
		while (start < end) {
			while (more && table.last < start)
				more = acpi_ranges_next(&it, &table);
			if (!more || table.start >= end) {
				publish(to, SYSTEM_RAM, start, end - 1);
				break;
			}
			if (table.start > start)
				publish(to, SYSTEM_RAM, start, table.start - 1);
			start = table.last + 1;
		}
	}
}

/* The next memory without mapping, in whole pages: two regions may share a page. */
static bool __init next_nomap(struct memblock_region **next, struct phys_range *run)
{
	struct memblock_region *end = memblock.memory.regions + memblock.memory.cnt;
	struct memblock_region *r;
	bool found = false;

	for (r = *next; r < end; r++) {
		struct phys_range range = {
			.start = r->base & PAGE_MASK,
			.last = (r->base + r->size - 1) | ~PAGE_MASK,
		};

		if (!memblock_is_nomap(r))
			continue;
		if (!found)
			*run = range;
		else if (phys_ranges_touch(run, &range))
			phys_range_extend(run, &range);
		else
			break;
		found = true;
	}
	*next = r;
	return found;
}

static void __init publish_nomap(struct publishing *to)
{
	struct memblock_region *next = memblock.memory.regions;
	struct phys_range nomap;

	while (next_nomap(&next, &nomap))
		publish(to, RESERVED, nomap.start, nomap.last);
}

/* The tables, but for what shares a page with memory that is not mapped. */
static void __init publish_tables(struct publishing *to)
{
	struct memblock_region *next = memblock.memory.regions;
	struct acpi_ranges it;
	struct phys_range table, nomap;
	bool more = next_nomap(&next, &nomap);

	for_each_acpi_range(&it, ACPI_RECLAIM_TABLES, &table) {
		u64 start = table.start;

		while (start <= table.last) {
			while (more && nomap.last < start)
				more = next_nomap(&next, &nomap);
			if (!more || nomap.start > table.last) {
				publish(to, ACPI_TABLES, start, table.last);
				break;
			}
			if (nomap.start > start)
				publish(to, ACPI_TABLES, start, nomap.start - 1);
			start = nomap.last + 1;
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
	struct publishing to = { };
	struct acpi_ranges it;
	struct phys_range table;

	if (!acpi_reclaim_in_use())
		return NULL;
	acpi_ranges_init(&it, ACPI_RECLAIM_TABLES);
	if (!acpi_ranges_next(&it, &table))
		return NULL;

	publish_all(&to);
	to.first = memblock_alloc_or_panic(to.count * sizeof(*to.first), SMP_CACHE_BYTES);
	to.count = 0;
	publish_all(&to);
	*count = to.standard;
	return to.first;
}
