# SPDX-License-Identifier: GPL-2.0
#
# Loads the crash kernel and crashes, and looks at nothing: what is measured is the crash kernel.

phase first kernel up
kexec "$loader" -p /boot/Image --initrd=/boot/crash.cpio --command-line="$crash_command_line"
phase crash
echo c >/proc/sysrq-trigger
