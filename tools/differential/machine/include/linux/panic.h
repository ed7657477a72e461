/* SPDX-License-Identifier: GPL-2.0 */
/* A panic ends the boot, and is what it has come to. */
#ifndef _LINUX_PANIC_H
#define _LINUX_PANIC_H

void panic(const char *fmt, ...) __attribute__((noreturn));

#endif
