// SPDX-License-Identifier: GPL-2.0
/*
 * A boot, as far as it decides about memory. What decides is taken out of the kernel tree, series
 * and all: extracted/ has it. This file has what stands around it, and only pretends.
 */

#include "kernel.h"
#include <stdlib.h>

/* What arm64 and EFI find out about the machine. */

struct efi efi;
struct resource iomem_resource = { .name = "PCI mem", .start = 0, .end = -1, .flags = IORESOURCE_MEM };
char boot_command_line[] = "root=/dev/ram0 panic=-7 quiet";
int panic_timeout;
void *initial_boot_params;
int dt_root_addr_cells, dt_root_size_cells;
static unsigned long chosen_node_offset;
static phys_addr_t memory_limit;
static s64 memstart_addr;
static phys_addr_t phys_initrd_start;
static unsigned long phys_initrd_size, initrd_start, initrd_end;
static bool mmu_enabled_at_boot;
static void *high_memory;
static int num_standard_resources;
static struct resource *standard_resources;
static struct resource kernel_code = { .name = "Kernel code" }, kernel_data = { .name = "Kernel data" };

bool __efi_soft_reserve_enabled(void)
{
	return order.soft_reserve;
}

char *efi_md_typeattr_format(char *buffer, size_t size, const efi_memory_desc_t *md)
{
	return buffer;
}

static u64 machine_fdt_params(struct efi_memory_map_data *data)
{
	*data = (struct efi_memory_map_data) {
		.phys_map = order.map_start,
		.size = order.map_size,
		.desc_size = order.desc_size,
		.desc_version = 1,
	};
	return 1;
}
#define efi_get_fdt_params(data, ...)	machine_fdt_params(data)

static void *early_memremap(phys_addr_t start, unsigned long size)
{
	return start == order.map_start && size == order.map_size ? (void *)order_map : NULL;
}
#define early_memunmap(map, size)
#define memremap(start, size, flags)	NULL
#define memunmap(map)

static int uefi_init(u64 system_table)
{
	set_bit(EFI_BOOT, &efi.flags);
	efi.acpi = EFI_INVALID_TABLE_ADDR;
	efi.acpi20 = order.acpi ? 1 : EFI_INVALID_TABLE_ADDR;
	return 0;
}

/* What efi_init() does about other things. */
#define efi_esrt_init()
#define efi_mokvar_table_init()
#define efi_set_secure_boot(mode)	(void)(mode)
#define init_primary_display()
#define init_screen_info()
#define efi_memattr_init()
#define memblock_is_kho_scratch(region)	false
#define is_kho_boot()			false

#define irqs_disabled()			true
#define resource_lock			0
#define write_lock(lock)
#define write_unlock(lock)
#define early_init_fdt_scan_reserved_mem()

/* Up to 6.12 arm64_memblock_init() reckons where the linear map ends. */
#undef __va
#define __va(x)			((void *)(x))

#include "extracted/functions.h"

char *skip_spaces(const char *text)
{
	return (char *)text + strspn(text, " \t\n");
}

int kstrtoint(const char *text, unsigned int base, int *result)
{
	char *end;
	long value = strtol(text, &end, base);

	if (end == text || *end || value != (int)value)
		return -EINVAL;
	*result = value;
	return 0;
}

#ifdef MACHINE_OLD_MEMBLOCK
int __memblock_reserve(phys_addr_t base, phys_addr_t size, int nid, enum memblock_flags flags)
{
	return memblock_reserve(base, size);
}

void *__memblock_alloc_or_panic(phys_addr_t size, phys_addr_t align, const char *func)
{
	return memblock_alloc(size, align) ?: (panic("%s: Failed to allocate\n", func), NULL);
}
#endif

#ifdef CONFIG_EFI_ACPI_TABLES
bool acpi_boot_wanted(void)
{
	return order.acpi;
}

void acpi_prepare_panic(void)
{
	say("prepare-panic");
}
#endif

/* The device tree that the boot loader made. */
static void make_fdt(void)
{
	int size = 4096 + (order.property_size == ~0ULL ? 0 : order.property_size);
	void *fdt = malloc(size);
	int chosen, error;

	error = fdt_create_empty_tree(fdt, size);
	error = error ?: fdt_setprop_u32(fdt, 0, "#address-cells", order.address_cells);
	error = error ?: fdt_setprop_u32(fdt, 0, "#size-cells", order.size_cells);
	chosen = error ?: fdt_add_subnode(fdt, 0, "chosen");
	if (chosen < 0)
		fail("no device tree: %s", fdt_strerror(chosen));
	if (order.property_size != ~0ULL)
		error = fdt_setprop(fdt, chosen, "linux,usable-memory-range", order_property,
				    order.property_size);
	error = error ?: fdt_pack(fdt);
	if (error)
		fail("no device tree: %s", fdt_strerror(error));
	/* In a piece of that very size, so that whoever reads beyond it is caught. */
	initial_boot_params = realloc(fdt, fdt_totalsize(fdt));
}

/* What setup_arch() calls before efi_init(), as far as it is about memory. */
static void setup_machine_fdt(void)
{
	make_fdt();
	early_init_dt_scan_root();
	chosen_node_offset = fdt_path_offset(initial_boot_params, "/chosen");
	memory_limit = order.memory_limit;
	mirrored_kernelcore = order.mirror;
	phys_initrd_start = order.initrd_start;
	phys_initrd_size = order.initrd_size;
	/* Firmware's device tree may have memory nodes; efi_init() forgets them. */
	memblock_add(0, 0x1000000);
	if (order.fdt_size)
		memblock_reserve(order.fdt_start, order.fdt_size);
}

static void say_lists(const char *stage)
{
	struct memblock_region *region;

	say("stage %s", stage);
	for_each_mem_region(region)
		say("memory %#llx %#llx %d", (unsigned long long)region->base,
		    (unsigned long long)region->size, region->flags);
	for_each_reserved_mem_region(region)
		say("reserved %#llx %#llx %d", (unsigned long long)region->base,
		    (unsigned long long)region->size, region->flags);
}

/* What is reserved before anything can be allocated. */
static void efi_init_and_say(void)
{
	efi_init();
	say_lists("efi");
}
#define efi_init()	efi_init_and_say()

/* Maps memory: each page table is a page of memory, and is written to through the fixmap. */
static void paging_init(void)
{
	phys_addr_t start, end;
	u64 i;

	for_each_mem_range(i, &start, &end)
		if (start < (u64)memstart_addr || end - memstart_addr > order.linear_map)
			fail("memory %#llx-%#llx does not fit in the linear map at %#llx",
			     (unsigned long long)start, (unsigned long long)end - 1,
			     (unsigned long long)memstart_addr);
	for (i = 0; i < order.page_tables; i++) {
		phys_addr_t table = memblock_phys_alloc_range(PAGE_SIZE, PAGE_SIZE, 0,
							      MEMBLOCK_ALLOC_NOLEAKTRACE);
		if (!table)
			panic("Failed to allocate page table page\n");
		say("page-table %#llx", (unsigned long long)table);
	}
	linear_map_make(memstart_addr);
	memblock_allow_resize();
}

static void say_resources(const struct resource *resource, int depth)
{
	for (; resource; resource = resource->sibling) {
		say("resource %d %#llx %#llx %#lx %lu %s", depth,
		    (unsigned long long)resource->start, (unsigned long long)resource->end,
		    resource->flags, resource->desc, resource->name);
		say_resources(resource->child, depth + 1);
	}
}

/* Takes all memory there is, in pieces that become smaller and smaller. */
static void allocate_all(void)
{
	u64 size;

	for (size = 1ULL << 46; size; size >>= 1) {
		for (;;) {
			/* What memblock_alloc() hands out is zeroed: that may take long. */
			bool zeroed = size <= 0x10000;
			phys_addr_t got = 0;

			if (zeroed) {
				void *memory = memblock_alloc(size, 1);

				got = memory ? virt_to_phys(memory) : 0;
			} else {
				got = memblock_phys_alloc(size, 1);
			}
			if (!got)
				break;
			say("allocated %#llx %#llx", (unsigned long long)got,
			    (unsigned long long)size);
		}
	}
}

#define acpi_table_upgrade()

void boot(void)
{
	setup_machine_fdt();
#include "extracted/setup_arch.h"
	say_lists("paged");
	request_standard_resources();
	say_resources(iomem_resource.child, 0);
	say_lists("published");
	if (order.exhaust) {
		allocate_all();
		say_lists("exhausted");
	}
}
