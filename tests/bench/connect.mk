# connect() in a world with a soft RSS NIC. Takes no part of the library: it is preloaded.
$(BUILD)/bench_connect: tests/bench/bench_connect.c
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $< $(LDFLAGS)

BENCHES += bench-connect
.PHONY: bench-connect
bench-connect: all softnic $(BUILD)/bench_connect
	@BUILD=$(abspath $(BUILD)) tests/bench/connect.sh

BENCHES += bench-proxy
.PHONY: bench-proxy
bench-proxy: all softnic
	@BUILD=$(abspath $(BUILD)) tests/bench/proxy.sh $(ROUNDS)
