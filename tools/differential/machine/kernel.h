/* SPDX-License-Identifier: GPL-2.0 */
/* What the functions that are taken out of the kernel tree expect to be around them. */
#ifndef MACHINE_KERNEL_H
#define MACHINE_KERNEL_H

#include "machine.h"
#include <linux/bitops.h>
#include <linux/ctype.h>
#include <linux/err.h>
#include <linux/export.h>
#include <linux/kconfig.h>
#include <linux/math.h>
#include <limits.h>
#include <stdlib.h>

/* What linux/efi.h mentions of headers that a machine has no use for. */
typedef struct { u8 b[16]; } guid_t;
typedef unsigned short umode_t;
struct attribute;
struct work_struct { };
struct completion { };
enum reboot_mode { REBOOT_COLD };
#define __ro_after_init

#include <linux/efi.h>
#include <linux/efi_acpi_tables.h>
#include <linux/ioport.h>
#include <linux/libfdt.h>
#include <linux/of_fdt.h>

#define WARN_TAINT(condition, taint, ...) WARN_ON(condition)
#define FW_BUG				""
#define OF_ROOT_NODE_ADDR_CELLS_DEFAULT	1
#define OF_ROOT_NODE_SIZE_CELLS_DEFAULT	1
#define be32_to_cpup(p)			be32_to_cpu(*(p))

#define U32_MAX				((u32)~0U)
#define U64_MAX				((u64)~0ULL)
#define __pfn_to_phys(pfn)		PFN_PHYS(pfn)

/* The place of the kernel image, which is a number: nothing looks into it. */
#define _text				((unsigned long)order.image_start)
#define _end				(_text + order.image_size)
#define _sdata				(_text + order.image_size / 2)
#define __init_begin			_sdata

/* asm/memory.h, asm/kernel-pgtable.h, asm/pgtable-prot.h: of a CPU that the order describes. */
#define ARM64_MEMSTART_ALIGN		(PAGE_SHIFT == 12 ? 1UL << 30 : 1UL << 29)
#define MIN_KIMG_ALIGN			0x200000
#define PAGE_END			0
#define _PAGE_OFFSET(bits)		(-order.linear_map)
#define PHYS_MASK_SHIFT			order.phys_bits
#define PHYS_MASK			((1ULL << PHYS_MASK_SHIFT) - 1)
#define vabits_actual			48
#define is_hyp_mode_available()		false
#define is_kernel_in_hyp_mode()		false

extern bool mirrored_kernelcore;

/* Up to 6.12 arm64_memblock_init() asks the CPU how many bits a physical address has. */
#define read_cpuid(reg)			0
#define cpuid_feature_extract_unsigned_field(reg, field) 0
#define id_aa64mmfr0_parange_to_phys_shift(parange) order.phys_bits

#ifdef MACHINE_OLD_MEMBLOCK
/* What Rust calls in place of what bridges.toml has for 6.12. */
int __memblock_reserve(phys_addr_t base, phys_addr_t size, int nid, enum memblock_flags flags);
void *__memblock_alloc_or_panic(phys_addr_t size, phys_addr_t align, const char *func);
#endif

/* linux/moduleparam.h, as far as parse_args() needs it. */
#define KERNEL_PARAM_OPS_FL_NOARG	1
#define kernel_param_lock(module)	(void)(module)
#define kernel_param_unlock(module)	(void)(module)
#define param_check_unsafe(param)	true

struct kernel_param;
struct kernel_param_ops {
	unsigned int flags;
	int (*set)(const char *value, const struct kernel_param *param);
};
struct kernel_param {
	const char *name;
	const struct kernel_param_ops *ops;
	s8 level;
	void *mod;
};
typedef int (*parse_unknown_fn)(char *param, char *val, const char *doing, void *arg);

#endif
