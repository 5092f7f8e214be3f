# librssshim: run `make help` for the targets.
CC       ?= cc
CFLAGS   ?= -O2 -g
PREFIX   ?= /usr/local
BUILD    ?= build

WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
            -Wvla -Wformat=2 -Wundef
CPPFLAGS += -D_GNU_SOURCE -Iinclude -I. -MMD -MP
# Initial-exec TLS: a wrapper may run inside malloc or a signal handler, where the
# lazy allocation of the dynamic TLS model is not allowed.
SHIM_CFLAGS := -std=gnu11 $(WARN) -fPIC -fvisibility=hidden -ftls-model=initial-exec

LIB     := $(BUILD)/librssshim.so
COMMAND := $(BUILD)/rssshim

# shim/calls is where an application's call enters: only the library has it. Everything else
# is one archive that the library, the command and the unit tests share.
CALLS_SRC   := $(wildcard shim/calls/*.c)
COMMAND_SRC := $(wildcard shim/command/*.c)
CORE_SRC    := $(filter-out $(CALLS_SRC) $(COMMAND_SRC),$(wildcard shim/*/*.c))
obj          = $(patsubst %.c,$(BUILD)/%.o,$(1))

.PHONY: all
all: $(LIB) $(COMMAND)

# An application's threads may have stacks of 16 KB, half of which other libraries' thread-local data
# may take; tests/behaviour/stack_use.c says what whole calls need. Only what is read when the
# program starts takes more.
STACK_MAX    := 2816
LARGE_FRAMES := shim/policy/load_file shim/policy/load_environment
ifeq (,$(findstring -fsanitize,$(CFLAGS)))
SHIM_CFLAGS  += -Wframe-larger-than=$(STACK_MAX)
endif
$(LARGE_FRAMES:%=$(BUILD)/%.o) $(call obj,$(COMMAND_SRC)): SHIM_CFLAGS += -Wno-frame-larger-than

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(SHIM_CFLAGS) $(CFLAGS) -c -o $@ $<

$(BUILD)/core.a: $(call obj,$(CORE_SRC))
	@rm -f $@
	$(AR) rcs $@ $^

$(LIB): $(call obj,$(CALLS_SRC) $(CORE_SRC)) shim/export.map
	$(CC) $(CFLAGS) $(LDFLAGS) -shared -Wl,-soname,librssshim.so -Wl,-z,defs -Wl,-z,now \
		-Wl,--version-script=shim/export.map -o $@ $(filter %.o,$^) -pthread -ldl -l:libinih.a

$(COMMAND): $(call obj,$(COMMAND_SRC)) $(BUILD)/core.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ -pthread -l:libinih.a

include shim/command/install.mk
include tests/tests.mk

.PHONY: help
help:
	@printf '%-10s %s\n' \
		all "build $(LIB) and $(COMMAND)" \
		demo "nginx on a soft RSS NIC, without and with the shim" \
		test "every test; installs what is missing" \
		bench "every benchmark, as ratios in one run" \
		lab "the tests in a virtual machine with a real RSS driver" \
		compat "outside suites with and without the shim" \
		fuzz "the fuzzers, 20 s each" \
		asan "tests with the address and undefined-behaviour sanitizers" \
		tsan "tests with the thread sanitizer" \
		install "library, command, headers, pages into DESTDIR and PREFIX ($(PREFIX))" \
		uninstall "takes that away" \
		clean "removes $(BUILD)"

.PHONY: clean
clean:
	rm -rf $(BUILD)

-include $(shell find $(BUILD) -name 'debian-*' -prune -o -type f -name '*.d' -print 2>/dev/null)
