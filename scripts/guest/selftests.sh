# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own tests of kexec, as its tree has them, in a guest that looks to them like a
# distribution: the configuration and the image of the running kernel are where they look for them.

# selftest SCRIPT: its status, and the last line that it said.
selftest() {
	said=$(sh "./$1" 2>&1)
	echo "$1 status $?: $(echo "$said" | tail -n 1)"
}

selftests() {
	release=$(uname -r)
	mkdir -p /tmp "/lib/modules/$release"
	ln -s /boot/config "/lib/modules/$release/config"
	ln -s /boot/Image "/boot/vmlinuz-$release"
	cd /guest/selftests || return
	for script in test_*.sh; do
		selftest "$script"
	done
}
