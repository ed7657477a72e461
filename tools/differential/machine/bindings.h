/* SPDX-License-Identifier: GPL-2.0 */
/* What the kernel's Rust code calls and reads, out of the headers of the kernel tree. */
#include "kernel.h"

int _printk(const char *fmt, ...);
void panic(const char *fmt, ...) __attribute__((noreturn));
extern int panic_timeout;
extern char boot_command_line[];
int kstrtoint(const char *text, unsigned int base, int *result);
bool parameq(const char *one, const char *other);
char *parse_args(const char *doing, char *args, const struct kernel_param *params,
		 unsigned int num, s16 min_level, s16 max_level, void *arg,
		 parse_unknown_fn unknown);

/* bindgen does not see what is given on the command line. */
enum { MACHINE_PAGE_SIZE = 1 << PAGE_SHIFT };
