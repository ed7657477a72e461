# SPDX-License-Identifier: GPL-2.0
#
# A kernel that hostile firmware has started: says what memory it sees.

phase kernel up
plan 2
check acpi-in-use acpi_in_use
check no-device-tree no_device_tree
memory_facts
