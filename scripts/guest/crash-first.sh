# SPDX-License-Identifier: GPL-2.0
#
# The first kernel of a crash: says what it sees, loads the crash kernel, and crashes.

phase first kernel up
plan 6
check acpi-in-use acpi_in_use
check no-device-tree no_device_tree
check dev-mem-control dev_mem_control
facts

# The dump must hold what was in the memory of this kernel. The disk has it; of what is read from there
# nothing else is to stay in memory.
leave_evidence() {
	mkdir /run/evidence &&
		mount -t tmpfs -o size=100% evidence /run/evidence &&
		dd if=/dev/vda of=/run/evidence/pages bs=1M count="$evidence_pieces" iflag=direct
}
check leave-evidence leave_evidence

phase load
load_crash_kernel() {
	kexec "$loader" -p /boot/Image --initrd=/boot/crash.cpio --command-line="$crash_command_line"
}
crash_kernel_is_loaded() {
	[ "$(cat /sys/kernel/kexec_crash_loaded)" = 1 ]
}
check load-crash-kernel load_crash_kernel
check crash-kernel-is-loaded crash_kernel_is_loaded

# A crash without a crash kernel would tell nothing more: the run then ends in its load phase.
if crash_kernel_is_loaded; then
	phase crash
	echo c >/proc/sysrq-trigger
fi
