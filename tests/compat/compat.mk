# Others' programs and suites with and without the shim, and a program an intercepted call; what of it
# is fast is in `make test`, too.
.PHONY: compat
compat:
	@tests/lib/install-packages
	@$(MAKE) --no-print-directory all softnic tools sanitized
	@BUILD=$(abspath $(BUILD)) tests/run --compat
