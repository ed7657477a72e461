# SPDX-License-Identifier: GPL-2.0
#
# A kernel that has done its work by the time that it starts the first process: KUnit.

phase booted
