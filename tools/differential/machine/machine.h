/* SPDX-License-Identifier: GPL-2.0 */
/*
 * A machine: the part of a kernel that decides about memory, as a program of the host. It boots once
 * for each order that it reads, in a process of its own, and prints what came of it.
 */
#ifndef MACHINE_H
#define MACHINE_H

#include <linux/kernel.h>
#include <linux/memblock.h>
#include <linux/types.h>

typedef phys_addr_t resource_size_t;

/*
 * An order, as the driver writes it: these numbers, and behind them the bytes of the property, the
 * EFI memory map and, as pairs of the first and the last byte, the memory that may be written to.
 */
struct order {
	u64 property_size;	/* in bytes; ~0 without a property */
	u64 map_size;		/* in bytes */
	u64 writable;		/* how many pairs */
	u64 address_cells;
	u64 size_cells;
	u64 desc_size;
	u64 map_start;		/* where the stub left the map */
	u64 acpi;		/* whether there are tables, and the user wants them */
	u64 soft_reserve;
	u64 mirror;		/* kernelcore=mirror */
	u64 memory_limit;	/* mem=; ~0 without */
	u64 linear_map;		/* its size in bytes */
	u64 phys_bits;
	u64 image_start, image_size;
	u64 initrd_start, initrd_size;
	u64 fdt_start, fdt_size;
	u64 page_tables;	/* how many pages paging_init() takes */
	u64 exhaust;		/* whether all memory is allocated in the end */
};

extern struct order order;
extern const u8 *order_property, *order_map;
extern const u64 *order_writable;

/* One line to the driver. */
void say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, and the boot has failed: the machine, or what it runs, did what must not be. */
void fail(const char *fmt, ...) __attribute__((format(printf, 1, 2), noreturn));

/* What panic= has said so far. */
extern int panic_timeout;

/* The linear map. Memory that may not be written to faults. */
void linear_map_make(u64 base);

/* From setup_machine_fdt() to the end of memory. */
void boot(void);

#endif
