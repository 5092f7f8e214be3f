#!/usr/bin/env bash
# timeout: 300
# Less than a minute of tests/compat/soak.sh, which has what it is about.
SOAK_SECONDS=${SOAK_SECONDS:-24} exec "$(dirname "$0")/../compat/soak.sh"
