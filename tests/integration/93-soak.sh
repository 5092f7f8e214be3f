#!/usr/bin/env bash
# timeout: 200
# Half a minute of tests/compat/soak.sh, which has what it is about.
SOAK_SECONDS=${SOAK_SECONDS:-30} exec "$(dirname "$0")/../compat/soak.sh"
