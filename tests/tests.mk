# Tests. Unit tests link the archive, and objects of the command that they name; never the
# interposers: a test must not be shimmed itself.
UNIT_SRC := $(wildcard tests/unit/test_*.c)
UNIT_BIN := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(UNIT_SRC))

$(BUILD)/unit/%: tests/unit/%.c $(BUILD)/core.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $< $(filter %.o,$^) $(BUILD)/core.a \
		$(LDFLAGS) -lcriterion -linih

$(BUILD)/unit/test_nic_scan: $(BUILD)/shim/command/nic_knowledge.o

.PHONY: unit
unit: $(UNIT_BIN)
	@for t in $^; do $$t || exit 1; done

# The bench: the soft RSS NIC and the tools that judge from outside. They share no code with the
# library, which they are there to check.
BPF_CLANG ?= clang
SOFTNIC   := $(BUILD)/softnic
TOOL_BIN  := $(patsubst tests/tools/%.c,$(BUILD)/%,$(wildcard tests/tools/*.c)) $(BUILD)/observe

# The multiarch directory holds asm/types.h, which clang does not look for with -target bpf.
$(BUILD)/softnic.bpf.o: tests/softnic/softnic.bpf.c tests/softnic/rules.h
	@mkdir -p $(@D)
	$(BPF_CLANG) -target bpf -O2 -g -Wall -Wextra -I/usr/include/$(shell $(CC) -dumpmachine) -c -o $@ $<

$(SOFTNIC): tests/softnic/softnic.c tests/softnic/rules.h $(BUILD)/softnic.bpf.o
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -DSOFTNIC_OBJECT='"$(BUILD)/softnic.bpf.o"' \
		-o $@ $< $(LDFLAGS) -lbpf

$(filter-out $(BUILD)/observe,$(TOOL_BIN)): $(BUILD)/%: tests/tools/%.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $< $(LDFLAGS)

$(BUILD)/observe: $(wildcard tests/tools/observe/*.c) tests/tools/observe/observe.h
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $(filter %.c,$^) $(LDFLAGS)

.PHONY: softnic tools
softnic: $(SOFTNIC)
tools: $(TOOL_BIN)

# Everything, on a fresh machine too. The runner's own count is the last line.
.PHONY: test
test:
	@tests/lib/install-packages
	@$(MAKE) --no-print-directory all softnic tools sanitized $(UNIT_BIN)
	@BUILD=$(abspath $(BUILD)) tests/run

# What is committed, not what lies about.
C_FILES     = $(shell git ls-files '*.[ch]' ':!*.bpf.c')
SHIM_FILES  = $(shell git ls-files 'shim/*.c')
# The path-sensitive checks that know a raw system call only as inline assembly take what it filled
# for uninitialised; those are left out.
DEEP_CHECKS = clang-analyzer-core.NullDereference,clang-analyzer-core.StackAddressEscape,$\
	clang-analyzer-deadcode.DeadStores,clang-analyzer-unix.Malloc
CPPCHECK    = cppcheck -q --std=c11 --enable=warning,performance,portability --inline-suppr \
	--error-exitcode=1 -D_GNU_SOURCE -D__x86_64__ -Iinclude -I. \
	$(addprefix --suppress=,uninitvar legacyUninitvar ctuuninitvar)
TIDY        = xargs -r -n 4 -P $(shell nproc) \
	sh -c 'clang-tidy --quiet $(1) "$$@" -- -std=gnu11 $(filter-out -M%,$(CPPFLAGS))' -

.PHONY: format-check lint lint-deep
format-check:
	clang-format --dry-run -Werror $(C_FILES)
	clang-format --dry-run -Werror tests/softnic/softnic.bpf.c

lint:
	@printf '%s\n' $(SHIM_FILES) | $(call TIDY) 2>/dev/null
	@$(CPPCHECK) $(SHIM_FILES)

lint-deep: lint
	@printf '%s\n' $(SHIM_FILES) | $(call TIDY,--checks='-*,$(DEEP_CHECKS)') 2>/dev/null

# What other parts of the tests have to offer: make lab, make bench.
include $(wildcard tests/*/*.mk)

# Each part names its own in BENCHES.
.PHONY: bench
bench: $(BENCHES)
