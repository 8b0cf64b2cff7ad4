#!/usr/bin/env bash
# Runs a load scenario against the real daemon: perf/run.sh SCENARIO [--small] [--record]; --help lists the rest.
set -euo pipefail
command -v python3 >/dev/null || { echo "perf/run.sh: python3 is not installed: apt-get install python3" >&2; exit 1; }
exec python3 -B "$(dirname "$0")/lib/main.py" "$@"
