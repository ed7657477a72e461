// SPDX-License-Identifier: GPL-2.0
/* Reads orders until there are no more. Each is carried out by a child, whose memory is fresh. */

#include "machine.h"
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct order order;
const u8 *order_property, *order_map;
const u64 *order_writable;

/* Where the driver reads. Stray output of the host's library goes to stderr. */
static FILE *driver;

static void vsay(const char *kind, const char *fmt, va_list args)
{
	fputs(kind, driver);
	vfprintf(driver, fmt, args);
	fputc('\n', driver);
}

void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsay("", fmt, args);
	va_end(args);
}

static void finish(void) __attribute__((noreturn));
static void finish(void)
{
	fflush(driver);
	/* Nothing of the host's is left to be done, a check for leaks included. */
	_exit(0);
}

void fail(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsay("fail ", fmt, args);
	va_end(args);
	finish();
}

void machine_warn(const char *file, int line, const char *what)
{
	fail("WARN at %s:%d: %s", file, line, what);
}

void panic(const char *fmt, ...)
{
	va_list args;

	say("panic-timeout %d", panic_timeout);
	va_start(args, fmt);
	vsay("panic ", fmt, args);
	va_end(args);
	finish();
}

int _printk(const char *fmt, ...)
{
	char line[512];
	va_list args;
	int size;

	va_start(args, fmt);
	size = vsnprintf(line, sizeof(line), fmt, args);
	va_end(args);
	for (char *c = line; *c; c++)
		if (*c == '\n' || *c == 1)
			*c = ' ';
	say("log %s", line);
	return size;
}

static void take(void *to, size_t size)
{
	if (size && fread(to, size, 1, stdin) != 1) {
		fputs("an order is cut short\n", stderr);
		exit(2);
	}
}

static void *take_new(size_t size)
{
	/* Of that very size, so that whoever reads beyond it is caught. */
	void *new = malloc(size);

	take(new, size);
	return new;
}

/*
 * fork() without what AddressSanitizer does about the locks of other threads, which takes longer than
 * a boot: there are no other threads.
 */
static pid_t start(void)
{
	return syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

/* A sanitizer ends the boot: what was said so far is whole lines. */
void __sanitizer_set_death_callback(void (*callback)(void));
static void flush(void)
{
	fflush(driver);
}

int main(void)
{
	driver = fdopen(dup(1), "w");
	__sanitizer_set_death_callback(flush);
	dup2(2, 1);
	while (fread(&order, sizeof(order), 1, stdin) == 1) {
		u64 size = order.property_size == ~0ULL ? 0 : order.property_size;
		u8 *property = take_new(size);
		u8 *map = take_new(order.map_size);
		u64 *writable = take_new(order.writable * 2 * sizeof(u64));
		int status = 0;
		pid_t child;

		order_property = property;
		order_map = map;
		order_writable = writable;
		fflush(driver);
		child = start();
		if (!child) {
			/* A loop without end; of processor time, for the host may be busy. */
			setrlimit(RLIMIT_CPU, &(struct rlimit) { 120, 120 });
			boot();
			finish();
		}
		if (child < 0 || waitpid(child, &status, 0) != child) {
			perror("a boot cannot be started");
			return 2;
		}
		if (WIFSIGNALED(status))
			say("fail killed by signal %d", WTERMSIG(status));
		else if (WEXITSTATUS(status))
			say("fail ended with status %d", WEXITSTATUS(status));
		say("end");
		fflush(driver);
		free(property);
		free(map);
		free(writable);
	}
	return 0;
}
