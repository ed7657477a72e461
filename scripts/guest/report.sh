# SPDX-License-Identifier: GPL-2.0
#
# What the guest says to the host.
#
#   @phase| WHAT      a step of the run begins
#   @NAME| LINE       one line of the section NAME
#   @NAME# COUNT      the end of the section, and how many lines it has: a lost line shows
#   ok, not ok, #     KTAP

exec 3>/dev/kmsg

say() {
	echo "$*" >&3
}

phase() {
	say "@phase| $*"
}

# section NAME: the lines of the standard input.
section() {
	count=0
	while IFS= read -r line; do
		say "@$1| $line"
		count=$((count + 1))
	done
	say "@$1# $count"
}

# plan COUNT: as many checks follow.
plan() {
	say "KTAP version 1"
	say "1..$1"
	number=0
}

# check NAME COMMAND...: passes when the command does; what it prints says why it does not.
check() {
	name=$1
	shift
	number=$((number + 1))
	if why=$("$@" 2>&1); then
		say "ok $number $name"
	else
		echo "$why" | while IFS= read -r line; do say "# $line"; done
		say "not ok $number $name"
	fi
}
