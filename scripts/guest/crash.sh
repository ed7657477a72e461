# SPDX-License-Identifier: GPL-2.0
#
# The crash kernel: says what it sees and saves the dump, byte for byte, on the disk.

phase crash kernel up
checks=4
[ "$takes_all_memory" = yes ] && checks=$((checks + 1))
[ "$efi_runtime" = yes ] && checks=$((checks + 1))
plan $checks
check_description
check dev-mem-control dev_mem_control
facts
check_efi_variables

# Seconds since boot, with two decimals.
uptime_seconds() {
	cut -d ' ' -f 1 /proc/uptime
}

# position FD: how far the open file FD was read or written.
position() {
	awk '$1 == "pos:" { print $2 }' "/proc/self/fdinfo/$1"
}

# take_all_memory: until the kernel has no more to give, and ends what takes most.
take_all_memory() {
	tail /dev/zero
	[ $? = 137 ] || {
		echo "the kernel did not end it"
		return 1
	}
}
if [ "$takes_all_memory" = yes ]; then
	phase take all memory
	check take-all-memory take_all_memory
fi

if [ "$reads_dump" = yes ]; then
	phase read dump
	. /guest/readers.sh
	readers | section readers
fi

phase dump
# The headers are within the first piece.
save_dump() {
	case $headers_only in
	yes) dd bs=1M count=1 oflag=direct <&4 >&5 ;;
	no) dd bs=1M oflag=direct <&4 >&5 ;;
	esac
}
exec 4</proc/vmcore 5>/dev/vda
began=$(uptime_seconds)
check save-dump save_dump
{
	echo "size $(stat -c %s /proc/vmcore)"
	echo "read $(position 4)"
	echo "written $(position 5)"
	echo "began $began"
	echo "ended $(uptime_seconds)"
} | section dump
