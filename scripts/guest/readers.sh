# SPDX-License-Identifier: GPL-2.0
#
# The programs that read dumps read this one. What they make of it is told, and not checked here: some
# of them do not know every kernel.

# has_log FILE: it is the log of the crashed kernel, from its first line to the crash.
has_log() {
	for says in 'Linux version [0-9]' "$cause_says"; do
		grep -q "$says" "$1" || {
			echo "no '$says' among $(wc -l <"$1") lines"
			return 1
		}
	done
}

makedumpfile_log() {
	makedumpfile --dump-dmesg /proc/vmcore /run/log && has_log /run/log
}

# Without what nobody asks for: pages that are free, zero, of a cache, or of processes.
makedumpfile_filtered() {
	makedumpfile -d 31 -c /proc/vmcore /run/filtered &&
		[ "$(stat -c %s /run/filtered)" -lt "$(stat -c %s /proc/vmcore)" ] &&
		makedumpfile --dump-dmesg /run/filtered /run/filtered-log &&
		has_log /run/filtered-log
}

vmcore_dmesg_log() {
	vmcore-dmesg /proc/vmcore >/run/vmcore-log && has_log /run/vmcore-log
}

# reader NAME COMMAND: what came of it: yes, or the end of what it said.
reader() {
	if why=$("$2" 2>&1); then
		echo "$1 yes"
	else
		echo "$1 $(echo "$why" | tr -s '\r\n' '  ' | tail -c 300)"
	fi
}

# readers: makedumpfile keeps what it does not want to have in memory in /tmp.
readers() {
	mkdir -p /tmp
	reader makedumpfile-log makedumpfile_log
	reader makedumpfile-filtered makedumpfile_filtered
	reader vmcore-dmesg vmcore_dmesg_log
}
