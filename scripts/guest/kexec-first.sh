# SPDX-License-Identifier: GPL-2.0
#
# Starts a second kernel without a crash, with a device tree that says what the case asks for about
# usable memory. For a crash kernel kexec(8) would write that property itself.

phase first kernel up
plan 6
check acpi-in-use acpi_in_use
check no-device-tree no_device_tree
check dev-mem-control dev_mem_control
facts

# cells NUMBER...: the bytes of each number as two cells.
cells() {
	printf '%016x' "$@" | sed 's/../& /g'
}

# usable_tables: the bytes of an entry for each ACPI Reclaim range.
usable_tables() {
	acpi_reclaim | while read -r start end; do
		cells $((start)) $((end + 1 - start))
	done
}

phase load
put_usable_memory() {
	cp /sys/firmware/fdt /run/fdt || return
	[ "$tables_usable" = no ] || usable="$usable $(usable_tables)"
	# One word per byte.
	# shellcheck disable=SC2086
	fdtput -t bx /run/fdt /chosen linux,usable-memory-range $usable
}
load_second_kernel() {
	kexec -c -l /boot/Image --dtb=/run/fdt --initrd=/boot/second.cpio \
		--mem-min="$mem_min" --mem-max="$mem_max" --command-line="$second_command_line"
}
second_kernel_is_loaded() {
	[ "$(cat /sys/kernel/kexec_loaded)" = 1 ]
}
check put-usable-memory put_usable_memory
check load-second-kernel load_second_kernel
check second-kernel-is-loaded second_kernel_is_loaded

# Without a second kernel there is nothing more to see: the run then ends in its load phase.
if second_kernel_is_loaded; then
	phase kexec
	kexec -e
fi
