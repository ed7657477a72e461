# SPDX-License-Identifier: GPL-2.0
#
# How the first kernel is made to crash. LKDTM, the kernel's own test of crashes, knows most ways.

# set_up NAME VALUE: a number below /proc/sys/kernel.
set_up() {
	echo "$2" >"/proc/sys/kernel/$1"
}

# lkdtm WAY: returns only where there is no LKDTM, or when it does not know the way.
lkdtm() {
	mount -t debugfs debugfs /sys/kernel/debug
	echo "$1" >/sys/kernel/debug/provoke-crash/DIRECT
}

# crash CAUSE: does not return, unless it cannot be done.
crash() {
	case $1 in
	sysrq)
		echo c >/proc/sysrq-trigger
		;;
	sysrq-on-second)
		taskset 2 sh -c 'echo c >/proc/sysrq-trigger'
		;;
	null-pointer)
		set_up panic_on_oops 1
		lkdtm EXCEPTION
		;;
	bug)
		set_up panic_on_oops 1
		lkdtm BUG
		;;
	panic-in-interrupt)
		lkdtm PANIC_IN_HARDIRQ
		;;
	bug-in-interrupt)
		set_up panic_on_oops 1
		lkdtm BUG_IN_HARDIRQ
		;;
	soft-lockup)
		set_up watchdog_thresh 1
		set_up softlockup_panic 1
		lkdtm SOFTLOCKUP
		;;
	hung-task)
		set_up hung_task_panic 1
		set_up hung_task_timeout_secs 1
		lkdtm HUNG_TASK
		;;
	esac
}
