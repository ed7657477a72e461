/* SPDX-License-Identifier: GPL-2.0 */
/* A warning ends the boot: none is expected. */
#ifndef _ASM_BUG_H
#define _ASM_BUG_H

#include <linux/compiler.h>

void machine_warn(const char *file, int line, const char *what) __attribute__((noreturn));

#define WARN_ON(condition) ({					\
	int warned = !!(condition);				\
	if (warned)						\
		machine_warn(__FILE__, __LINE__, #condition);	\
	warned;							\
})
#define WARN_ON_ONCE(condition)			WARN_ON(condition)
#define WARN(condition, format...)		WARN_ON(condition)
#define WARN_ONCE(condition, format...)		WARN_ON(condition)
#undef BUG_ON
#define BUG_ON(condition)			do { WARN_ON(condition); } while (0)

#endif
