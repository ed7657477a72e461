# SPDX-License-Identifier: GPL-2.0
#
# Says how much memory the first process has, and nothing else.

# Until then memory of processes that have ended is still being freed. None is started any more.
sleep 1
section meminfo </proc/meminfo
section zoneinfo </proc/zoneinfo
section vmstat </proc/vmstat
