# SPDX-License-Identifier: GPL-2.0
#
# What is looked at in both kernels.

acpi_in_use() {
	[ -f /sys/firmware/acpi/tables/DSDT ] || {
		echo "no DSDT below /sys/firmware/acpi/tables"
		return 1
	}
	dmesg | grep -q 'ACPI: Interpreter enabled' || {
		echo "the log does not say 'ACPI: Interpreter enabled'"
		return 1
	}
}

# A firmware that describes its machine by ACPI hands over no device tree; the EFI stub makes one
# that has nothing but /chosen.
no_device_tree() {
	found=$(find /proc/device-tree/ -mindepth 1 -type d ! -path '*/chosen')
	[ -z "$found" ] || {
		echo "nodes in the device tree: $found"
		return 1
	}
}

acpi_not_in_use() {
	[ ! -e /sys/firmware/acpi/tables/DSDT ] || {
		echo "there is a DSDT below /sys/firmware/acpi/tables"
		return 1
	}
}

device_tree() {
	[ -e /proc/device-tree/psci ] || {
		echo "no node /psci in the device tree"
		return 1
	}
}

# check_description: the machine is described by what it should be described by; two checks.
check_description() {
	case $description in
	device-tree)
		check acpi-not-in-use acpi_not_in_use
		check device-tree device_tree
		;;
	acpi)
		check acpi-in-use acpi_in_use
		check no-device-tree no_device_tree
		;;
	esac
}

# acpi_reclaim: START and END of each ACPI Reclaim range, as efi=debug printed them.
acpi_reclaim() {
	dmesg | sed -n 's/.*efi:   \(0x[0-9a-f]*\)-\(0x[0-9a-f]*\) \[ACPI Reclaim.*/\1 \2/p'
}

# outcome COMMAND...: what came of an access: open, or the error.
outcome() {
	if error=$("$@" 2>&1 >/dev/null); then
		echo open
		return
	fi
	case $error in
	*'Operation not permitted'*) echo EPERM ;;
	*'Bad address'*) echo EFAULT ;;
	*) echo "$error" ;;
	esac
}

# mem_access PAGE: reads, writes and maps one page through /dev/mem.
#
# Where reading is allowed, writing puts the same bytes back.
mem_access() {
	number_of_page=$(($1 / 4096))
	dd if=/dev/zero of=/run/page bs=4096 count=1 2>/dev/null
	echo "read $1 $(outcome dd if=/dev/mem of=/run/page bs=4096 count=1 \
		skip=$number_of_page conv=notrunc)"
	echo "write $1 $(outcome dd if=/run/page of=/dev/mem bs=4096 count=1 \
		seek=$number_of_page conv=notrunc)"
	echo "mmap $1 $(outcome devmem "$1" 32)"
}

# dev_mem: /dev/mem at the first, a middle and the last page of each ACPI Reclaim range.
dev_mem() {
	acpi_reclaim | while read -r start end; do
		middle=$(((start + (end - start) / 2) & ~4095))
		for page in $((start)) $middle $((end & ~4095)); do
			mem_access "$(printf '0x%x' "$page")"
		done
	done
}

# dev_mem_beside: /dev/mem at the pages of 4 KiB next to the native pages of each ACPI Reclaim range.
dev_mem_beside() {
	native=$(page_size | sed 's/^.\{16\}\(..\)\(..\)\(..\).*/0x\3\2\1/')
	acpi_reclaim | while read -r start end; do
		for page in $((start / native * native - 4096)) $(((end / native + 1) * native)); do
			mem_access "$(printf '0x%x' "$page")"
		done
	done
}

# locked_down: whether this kernel was told to trust nobody, root included.
locked_down() {
	grep -q lockdown= /proc/cmdline
}

# dev_mem_control: /dev/mem opens where nothing forbids it, so that a refusal above means something;
# lockdown forbids it everywhere.
# The UART's identification registers are at 0xfe0.
dev_mem_control() {
	uart=$(sed -n 's/^\([0-9a-f]*\)-[0-9a-f]* : \(ARMH0011\|.*pl011\).*/\1/p' /proc/iomem | head -n 1)
	[ -n "$uart" ] || {
		echo "no ARMH0011 or pl011 in /proc/iomem"
		return 1
	}
	if locked_down; then
		[ "$(outcome devmem $((0x$uart + 0xfe0)) 32)" = EPERM ]
	else
		devmem $((0x$uart + 0xfe0)) 32
	fi
}

table_hashes() {
	find /sys/firmware/acpi/tables -type f | sort | xargs -r sha256sum
}

# memory_facts: what there can be thousands of is told once, and is not accessed.
memory_facts() {
	uname -r | section uname
	section iomem </proc/iomem
	head -n 3 /proc/meminfo | section meminfo
	section cmdline </proc/cmdline
	xxd -p /sys/firmware/fdt | section fdt
	table_hashes | section tables
}

# zones: NODE NAME START SPANNED MANAGED, in pages, of each zone that has memory.
zones() {
	awk '
		$1 == "Node" && $3 == "zone" { node = $2 + 0; name = $4 }
		$1 == "spanned" { spanned = $2 }
		$1 == "managed" { managed = $2 }
		$1 == "start_pfn:" { print node, name, $2, spanned, managed }
	' /proc/zoneinfo
}

# efi_variables: reads all, by calls into the firmware, which the kernel has kept mapped for that.
efi_variables() {
	mount -t efivarfs efivarfs /sys/firmware/efi/efivars &&
		cd /sys/firmware/efi/efivars &&
		sha256sum -- * >/run/efi-variables
}

# check_efi_variables: tells those that were read, if it was asked for.
check_efi_variables() {
	[ "$efi_runtime" = yes ] || return 0
	check efi-variables efi_variables
	section efivars </run/efi-variables
}

# page_size: AT_PAGESZ, which is 6, of an auxiliary vector, and its value.
page_size() {
	xxd -p -c 16 /proc/self/auxv | grep '^0600000000000000'
}

# kcore_headers: the ELF header of /proc/kcore and its program headers, whose number is at 56.
kcore_headers() {
	[ -e /proc/kcore ] || return 0
	segments=$(hexdump -s 56 -n 2 -e '1/2 "%u"' /proc/kcore)
	head -c $((64 + 56 * segments)) /proc/kcore | xxd -p -c 56
}

# kcore_info: where VMCOREINFO, in a note behind the headers, says that the memory map is, and how many
# bits addresses have.
kcore_info() {
	[ -e /proc/kcore ] || return 0
	head -c 65536 /proc/kcore | tr '\0' '\n' |
		grep -E '^(PAGESIZE|SIZE\(page\)|NUMBER\((VMEMMAP_START|VMEMMAP_END|PHYS_OFFSET|VA_BITS|TCR_EL1_T1SZ)\))='
}

# processors: the lists of those that there are, and of those that run.
processors() {
	cat /sys/devices/system/cpu/present /sys/devices/system/cpu/online
}

facts() {
	memory_facts
	zones | section zones
	processors | section processors
	page_size | section auxv
	dev_mem | section devmem
	dev_mem_beside | section beside
	kcore_headers | section kcore
	kcore_info | section kcoreinfo
	grep ioremap /proc/vmallocinfo | section ioremap
}
