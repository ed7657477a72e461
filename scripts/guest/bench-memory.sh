# SPDX-License-Identifier: GPL-2.0
#
# Says how much memory the first process has, and nothing else.

section meminfo </proc/meminfo
