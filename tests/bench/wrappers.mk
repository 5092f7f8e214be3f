BENCHES += bench-wrappers

$(BUILD)/bench_wrappers: tests/bench/bench_wrappers.c $(wildcard tests/bench/wrappers/*.[ch]) tests/bench/timing.h
	@mkdir -p $(@D)
	$(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $(filter %.c,$^) $(LDFLAGS) -ldl

.PHONY: bench-wrappers
bench-wrappers: all softnic $(BUILD)/bench_wrappers
	@BUILD=$(abspath $(BUILD)) tests/bench/wrappers.sh
