# SPDX-License-Identifier: GPL-2.0
#
# The kernel's own tests of kexec, as its tree has them, in a guest that looks to them like a
# distribution: the configuration and the image of the running kernel are where they look for them.

# selftest SCRIPT: what came of it: yes, or the status and the last line. One that skips did not pass.
selftest() {
	if said=$(sh "./$1" 2>&1); then
		echo "$1 yes"
	else
		echo "$1 status $?: $(echo "$said" | tail -n 1)"
	fi
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
