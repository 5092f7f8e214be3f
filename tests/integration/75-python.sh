#!/bin/bash
# timeout: 300
# The short ones of CPython's own tests, with and without the shim; the rest are in `make compat`.
exec "$(dirname "$0")/../compat/python" test_select test_selectors test_poll test_epoll test_fork1
