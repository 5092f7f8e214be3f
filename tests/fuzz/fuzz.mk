# Fuzzing: tests/fuzz/fuzz_X.c is a libFuzzer target, linked with the core under the address and
# undefined-behaviour sanitizers; tests/fuzz/seeds/X are its seeds. `make fuzz` runs each for FUZZ_SECONDS
# on what it finds from the seeds; a finding fails, and is left in $(BUILD)/fuzz.
FUZZ_CC      ?= clang
FUZZ_SECONDS ?= 20
FUZZ_CFLAGS  := -g -O1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all \
		-Wno-frame-larger-than
FUZZ_SRC     := $(wildcard tests/fuzz/fuzz_*.c)
FUZZ_BIN     := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(FUZZ_SRC))
FUZZ_CORE    := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(CORE_SRC))

# The command's own parts, for targets that show what they read.
FUZZ_COMMAND := $(patsubst %.c,$(BUILD)/fuzz/%.o,$(filter-out %/main.c,$(COMMAND_SRC)))

$(FUZZ_CORE) $(FUZZ_COMMAND): $(BUILD)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	$(FUZZ_CC) $(CPPFLAGS) $(SHIM_CFLAGS) $(FUZZ_CFLAGS) -fsanitize=fuzzer-no-link -c -o $@ $<

$(BUILD)/fuzz/command.a: $(FUZZ_COMMAND)
	@rm -f $@
	$(AR) rcs $@ $^

$(FUZZ_BIN): $(BUILD)/fuzz/%: tests/fuzz/%.c $(FUZZ_CORE) $(BUILD)/fuzz/command.a
	$(FUZZ_CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(FUZZ_CFLAGS) -Wno-missing-prototypes -fsanitize=fuzzer \
		-o $@ $< $(BUILD)/fuzz/command.a $(FUZZ_CORE) $(LDFLAGS) -linih

FUZZ_NAMES   := $(patsubst tests/fuzz/fuzz_%.c,%,$(FUZZ_SRC))

# One after another, also with -j: each is to have its CPU.
.PHONY: fuzz $(addprefix fuzz-,$(FUZZ_NAMES))
fuzz: $(FUZZ_BIN)
	@for name in $(FUZZ_NAMES); do $(MAKE) --no-print-directory fuzz-$$name || exit 1; done

$(addprefix fuzz-,$(FUZZ_NAMES)): fuzz-%: $(BUILD)/fuzz/fuzz_%
	@echo "fuzz $* for $(FUZZ_SECONDS) s"
	@corpus=$$(mktemp -d) && trap 'rm -rf $$corpus' EXIT && \
		$< -max_total_time=$(FUZZ_SECONDS) -timeout=10 -rss_limit_mb=1024 -verbosity=0 \
			-print_final_stats=1 -artifact_prefix=$(BUILD)/fuzz/$*- $$corpus tests/fuzz/seeds/$*
