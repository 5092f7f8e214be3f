BENCHES += bench-wrappers

$(BUILD)/bench_wrappers: tests/bench/bench_wrappers.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $< $(LDFLAGS) -ldl

.PHONY: bench-wrappers
bench-wrappers: $(BUILD)/bench_wrappers $(LIB)
	@LD_PRELOAD=$(abspath $(LIB)) $(BUILD)/bench_wrappers $(abspath $(LIB))
