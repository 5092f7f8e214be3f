# The same code with the compiler's sanitizers in it, in a directory of its own, and what runs it.
SANITIZE_asan = -fsanitize=address,undefined -fno-sanitize-recover=undefined
# It does not see fences, and says so; what they order is atomic itself.
SANITIZE_tsan = -fsanitize=thread -Wno-tsan
SANITIZE_MAKE = $(MAKE) --no-print-directory -s BUILD=$(BUILD)/$(1) \
	CFLAGS="-O1 -g -fno-omit-frame-pointer -Wno-format-truncation $(SANITIZE_$(1))" \
	LDFLAGS="$(LDFLAGS) $(SANITIZE_$(1))"

.PHONY: asan tsan asan-library tsan-library asan-unit tsan-unit
asan-library tsan-library: %-library:
	+@$(call SANITIZE_MAKE,$*) $(BUILD)/$*/librssshim.so

asan-unit:
	+@$(call SANITIZE_MAKE,asan) sanitized-unit
tsan-unit:

asan tsan: %: %-library %-unit softnic tools behaviour
	@BUILD=$(abspath $(BUILD)) tests/sanitize/unit $*
	@BUILD=$(abspath $(BUILD)) tests/sanitize/servers $*
	@BUILD=$(abspath $(BUILD)) tests/sanitize/hand-over $*
	@BUILD=$(abspath $(BUILD)) tests/sanitize/behaviour $*

.PHONY: sanitized-unit
sanitized-unit: $(UNIT_BIN)

# The pool with the library inside: linked, not preloaded, so that the sanitizer's own interceptors
# come behind our wrappers, and see what goes to the kernel.
$(BUILD)/pool-within: tests/tools/pool.c $(call obj,$(CALLS_SRC)) $(BUILD)/core.a
	$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $^ $(LDFLAGS) \
		-ldl -l:libinih.a

.PHONY: sanitized asan-pool tsan-pool
sanitized: asan-pool tsan-pool
asan-pool tsan-pool: %-pool:
	+@$(call SANITIZE_MAKE,$*) $(BUILD)/$*/pool-within
