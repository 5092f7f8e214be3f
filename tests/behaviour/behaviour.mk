# The behaviour programs, each also as a shared library whose constructor runs it.
BEHAVIOUR_HELP := tests/behaviour/behaviour.c
BEHAVIOUR_SRC  := $(filter-out $(BEHAVIOUR_HELP),$(wildcard tests/behaviour/*.c))
BEHAVIOUR_BIN  := $(patsubst tests/behaviour/%.c,$(BUILD)/behaviour/%,$(BEHAVIOUR_SRC))
BEHAVIOUR_LIB  := $(addsuffix .so,$(BEHAVIOUR_BIN))
# They test what the calls do with wrong arguments, too.
BEHAVIOUR_CC    = $(CC) $(filter-out -MMD -MP,$(CPPFLAGS)) -std=gnu11 $(WARN) -Wno-nonnull $(CFLAGS)

$(BUILD)/behaviour/main.o $(BUILD)/behaviour/library.o: $(BEHAVIOUR_HELP) tests/behaviour/behaviour.h
	@mkdir -p $(@D)
	$(BEHAVIOUR_CC) -fPIC $(if $(filter library.o,$(@F)),-DBEHAVIOUR_LIBRARY) -c -o $@ $<

$(BEHAVIOUR_BIN): $(BUILD)/behaviour/%: tests/behaviour/%.c $(BUILD)/behaviour/main.o
	$(BEHAVIOUR_CC) -o $@ $^ $(LDFLAGS) -pthread

$(BEHAVIOUR_LIB): $(BUILD)/behaviour/%.so: tests/behaviour/%.c $(BUILD)/behaviour/library.o
	$(BEHAVIOUR_CC) -fPIC -shared -o $@ $^ $(LDFLAGS) -pthread

.PHONY: behaviour
behaviour: $(BEHAVIOUR_BIN) $(BEHAVIOUR_LIB)
