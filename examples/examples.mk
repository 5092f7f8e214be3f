# What a reader copies from: each program needs include/rssshim.h and -lrssshim, nothing else.
EXAMPLE_BIN := $(patsubst examples/%.c,$(BUILD)/examples/%,$(wildcard examples/*.c))

$(EXAMPLE_BIN): $(BUILD)/examples/%: examples/%.c examples/workers.h include/rssshim.h $(LIB)
	@mkdir -p $(@D)
	$(CC) -D_GNU_SOURCE -Iinclude -std=gnu11 $(WARN) $(CFLAGS) -o $@ $< $(LDFLAGS) -pthread \
		-L$(BUILD) -lrssshim -Wl,-rpath,'$$ORIGIN/..'

.PHONY: examples
examples: $(EXAMPLE_BIN)
