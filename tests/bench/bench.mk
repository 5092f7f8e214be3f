# Benchmarks. DPDK is what a user could take instead of the port solver; it is linked into the
# benchmark alone, which says so where libdpdk-dev is not there and cannot be installed.
DPDK_CFLAGS := $(shell pkg-config --exists libdpdk 2>/dev/null && \
	echo -DHAVE_DPDK -DALLOW_EXPERIMENTAL_API && pkg-config --cflags libdpdk | sed 's/-I/-isystem /g')
DPDK_LIBS   := $(shell pkg-config --libs libdpdk 2>/dev/null)

$(BUILD)/bench_ports: tests/bench/bench_ports.c $(BUILD)/core.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) $(DPDK_CFLAGS) -o $@ $< $(BUILD)/core.a \
		$(LDFLAGS) -l:libinih.a $(DPDK_LIBS)

BENCHES += bench-ports
.PHONY: bench-ports
bench-ports:
	@tests/lib/install-packages tests/bench/packages || echo "no libdpdk-dev: rows of DPDK are left out"
	@rm -f $(BUILD)/bench_ports # it may have been built without
	@$(MAKE) --no-print-directory $(BUILD)/bench_ports
	@$(BUILD)/bench_ports

$(BUILD)/bench_learn: tests/bench/bench_learn.c $(BUILD)/core.a
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) -std=gnu11 $(WARN) $(CFLAGS) -o $@ $< $(BUILD)/core.a $(LDFLAGS) -l:libinih.a

BENCHES += bench-learn
.PHONY: bench-learn
bench-learn: $(BUILD)/bench_learn
	@$(BUILD)/bench_learn
