# Suites with and without the shim, too long for `make test`: others', and a program an intercepted call.
COMPAT_PYTHON ?= test_socket test_select test_selectors test_poll test_epoll test_asyncio \
	test_subprocess test_fork1

.PHONY: compat
compat: all softnic tools
	@tests/lib/install-packages
	@BUILD=$(abspath $(BUILD)) tests/compat/python $(COMPAT_PYTHON)
	@BUILD=$(abspath $(BUILD)) tests/compat/behaviour.sh
