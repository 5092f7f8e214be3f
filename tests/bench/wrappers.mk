BENCHES += bench-wrappers

$(BUILD)/bench_wrappers: tests/bench/bench_wrappers.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $< $(LDFLAGS) -ldl

.PHONY: bench-wrappers
bench-wrappers: all softnic $(BUILD)/bench_wrappers
	@BUILD=$(abspath $(BUILD)) tests/bench/wrappers.sh
