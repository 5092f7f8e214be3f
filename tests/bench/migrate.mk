# What moving connections costs and brings. Takes no part of the library: it is preloaded.
BENCHES += bench-migrate
.PHONY: bench-migrate
bench-migrate: all softnic tools
	@BUILD=$(abspath $(BUILD)) tests/bench/migrate.sh
