# SPDX-License-Identifier: GPL-2.0
#
# A kernel that another one has started without a crash: says what it sees.

phase second kernel up
plan 3
check acpi-in-use acpi_in_use
check no-device-tree no_device_tree
check dev-mem-control dev_mem_control
facts
