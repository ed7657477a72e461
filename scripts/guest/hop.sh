# SPDX-License-Identifier: GPL-2.0
#
# One kernel starts another by kexec, in which the same guest goes on.

# The kernel hands to its first process what it does not know of its command line.
hop=${hop:-0}

# hops_left: how many kernels are still to be started, of those in $hops.
hops_left() {
	set -- $hops
	echo $(($# - hop))
}

# load_next_kernel LOADER IMAGE: with the initramfs that this kernel was started with.
load_next_kernel() {
	command_line=$(sed 's/ hop=[0-9]*//' /proc/cmdline)
	cat /sys/firmware/initrd >/run/next.cpio &&
		kexec "$1" -l "$2" --initrd=/run/next.cpio --command-line="$command_line hop=$((hop + 1))"
}

# start_next_kernel: does not return, unless it cannot be done.
start_next_kernel() {
	set -- $hops
	shift "$hop"
	check load-next-kernel load_next_kernel "${1%%:*}" "${1#*:}"
	kexec -e
}
