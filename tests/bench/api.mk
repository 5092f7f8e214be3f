BENCHES += bench-api

# Linked with the library as a program of one's own would be, never preloaded.
$(BUILD)/bench_api: tests/bench/bench_api.c $(LIB)
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $< $(LDFLAGS) -L$(BUILD) -lrssshim \
		-Wl,-rpath,$(abspath $(BUILD))

.PHONY: bench-api
bench-api: $(BUILD)/bench_api
	@$(BUILD)/bench_api
