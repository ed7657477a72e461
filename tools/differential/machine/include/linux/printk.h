/* SPDX-License-Identifier: GPL-2.0 */
/* The kernel's log goes to whoever started the machine, line by line. */
#ifndef _LINUX_PRINTK_H
#define _LINUX_PRINTK_H

#include <asm/bug.h>
#include <stdio.h>

#ifndef pr_fmt
#define pr_fmt(fmt)		fmt
#endif

#define KERN_EMERG		"\001" "0"

int _printk(const char *fmt, ...);

/*
 * memblock.c prints a physical address with %pa, and a u64 with %ld: the kernel checks formats in a
 * way of its own.
 */
#define printk(fmt, ...)	_printk(fmt, ##__VA_ARGS__)
#define pr_err(fmt, ...)	_printk(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_warn(fmt, ...)	_printk(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_info(fmt, ...)	_printk(pr_fmt(fmt), ##__VA_ARGS__)
#define pr_cont(fmt, ...)	_printk(fmt, ##__VA_ARGS__)
#define pr_debug(fmt, ...)	do { if (0) _printk(fmt, ##__VA_ARGS__); } while (0)

#endif
