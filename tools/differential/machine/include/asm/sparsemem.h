/* SPDX-License-Identifier: GPL-2.0 */
/* Sections of memory, as arm64 has them. */
#ifndef _ASM_SPARSEMEM_H
#define _ASM_SPARSEMEM_H

#define SECTION_SIZE_BITS	(PAGE_SHIFT == 16 ? 29 : 27)

#endif
