# SPDX-License-Identifier: GPL-2.0
#
# The front door. The verbs and their variables are described in one place, the harness:
# tools/harness/src/opt.rs. `make help` prints it.

VERBS := deps crash test fuzz matrix differential check bench patches image apply help

.DEFAULT_GOAL := help
.PHONY: $(VERBS)
# The harness runs one thing after the other, and gives its kernel builds all cores itself.
.NOTPARALLEL:

# What was given on the command line, and nothing else, is handed over: NAME=VALUE. The harness says
# which names a verb takes.
given := $(foreach name,$(.VARIABLES),$(if $(filter command,$(firstword $(origin $(name)))),$(name)))
quoted = '$(subst ','\'',$(1))'
arguments = $(foreach name,$(given),$(call quoted,$(name)=$(value $(name))))

# make itself ends with 2 whatever the status of the harness; scripts/harness VERB keeps it.
$(VERBS):
	@$(call quoted,$(CURDIR)/scripts/harness) $@ $(arguments)

# The harness says which verbs there are.
.DEFAULT:
	@$(call quoted,$(CURDIR)/scripts/harness) $@
