# SPDX-License-Identifier: GPL-2.0
#
# The first kernel of a crash: says what it sees, loads the crash kernel, and crashes.

. /guest/cause.sh
. /guest/hop.sh

phase first kernel up
checks=6
[ "$watchdog" = yes ] && checks=$((checks + 1))
locked_down && checks=$((checks + 2))
# A kernel that starts another does nothing but load that.
[ "$(hops_left)" -gt 0 ] && checks=4
[ "$efi_runtime" = yes ] && checks=$((checks + 1))
plan $checks
check_description
check dev-mem-control dev_mem_control
facts
check_efi_variables

if [ "$(hops_left)" -gt 0 ]; then
	phase hop
	start_next_kernel
	return
fi

# The dump must hold what was in the memory of this kernel. The disk has it; of what is read from there
# nothing else is to stay in memory.
leave_evidence() {
	mkdir /run/evidence &&
		mount -t tmpfs -o size=100% evidence /run/evidence &&
		dd if=/dev/vda of=/run/evidence/pages bs=1M count="$evidence_pieces" iflag=direct
}
check leave-evidence leave_evidence

# start_watchdog: Intel's 6300ESB; 5 s until it would warn, and 5 s more until it restarts the machine.
#
# There is no need for a driver, and none serves it: so it is on the day of a crash.
start_watchdog() {
	for device in /sys/bus/pci/devices/*; do
		[ "$(cat "$device/vendor" "$device/device" | tr '\n' ' ')" = "0x8086 0x25ab " ] && break
	done
	read -r start _ <"$device/resource"
	# Its registers answer when the device is enabled.
	echo 1 >"$device/enable" || return
	# Each of the two periods, in units of 2^-10 s, is unlocked by two numbers.
	for period in 0 4; do
		devmem $((start + 12)) 16 0x80
		devmem $((start + 12)) 16 0x86
		devmem $((start + period)) 32 5000
	done
	# No warning, and restart the machine; then: run.
	printf '\003\000' | dd of="$device/config" bs=2 seek=48 2>/dev/null &&
		printf '\002' | dd of="$device/config" bs=1 seek=104 2>/dev/null
}
if [ "$watchdog" = yes ]; then
	check start-watchdog start_watchdog
fi

if [ "$selftests" = yes ]; then
	. /guest/selftests.sh
	selftests | section selftests
fi

phase load
# load OPTION IMAGE: the crash kernel IMAGE, by the system call that OPTION means.
load() {
	kexec "$1" -p "$2" --initrd=/boot/crash.cpio --command-line="$crash_command_line"
}
load_crash_kernel() {
	load "$loader" /boot/Image
}
crash_kernel_is_loaded() {
	[ "$(cat /sys/kernel/kexec_crash_loaded)" = 1 ]
}

# A kernel that is locked down loads no crash kernel that it cannot read, and none that is not as it
# was signed.
refuses_unread_image() {
	[ "$(outcome load -c /boot/Image)" = EPERM ]
}
refuses_changed_image() {
	cp /boot/Image /run/changed &&
		printf x | dd of=/run/changed bs=1 seek=65536 conv=notrunc &&
		[ "$(outcome load -s /run/changed)" = EPERM ]
	refused=$?
	rm /run/changed
	return $refused
}
if locked_down; then
	check refuses-unread-image refuses_unread_image
	check refuses-changed-image refuses_changed_image
fi
check load-crash-kernel load_crash_kernel
check crash-kernel-is-loaded crash_kernel_is_loaded

# A crash without a crash kernel would tell nothing more: the run then ends in its load phase.
if crash_kernel_is_loaded; then
	phase crash
	crash "$cause"
fi
