"""Scenario `decode`: one entry read again and again, by the daemon's own decoder and by simdjson, one core, nothing else.

It keeps the answer to "why no SIMD library": all read the same bytes for the same fields. simdjson `ondemand` checks only what it
touches; `dom` checks everything, as ours does. Both pay for two copies and for undoing the escapes of `value`, which ours does without."""

import os
import statistics
import subprocess

from environment import BIN, PERF, cores, floor_program, tool
from pipeline import BYTES_FULL, BYTES_SMALL
from processes import RunError, run_json

TIMEOUT_S = 60


def _entry(directory, value_bytes):
    command = [BIN / "produce", "--print", "--brokers", "none", "--topic", "none", "--count", "1", "--bytes", str(value_bytes)]
    text = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=True).stdout
    path = directory / f"entry-{value_bytes}"
    path.write_bytes(text.split(b"\n", 1)[1].rstrip(b"\n"))  # the first line is the key
    return path


def _build():
    tool("g++")
    # The makefile's own name for it: to make, another spelling of a path is another target.
    command = ["make", "-s", "-C", str(PERF / "baseline"), os.path.relpath(BIN / "decode", PERF / "baseline")]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        raise RunError(f"decode.cpp did not build (is libsimdjson-dev installed?):\n{result.stderr[-3000:]}")
    return BIN / "decode"


def run(options, report, directory):
    simdjson, ours = _build(), floor_program("decode-floor")
    count, rounds = (20_000, 1) if options.small else (500_000, options.rounds or 5)
    pinned = {cores()[0]}
    for value_bytes in (BYTES_FULL, BYTES_SMALL):
        entry = _entry(directory, value_bytes)
        sides = {"downbeat": [ours, entry, str(count)], "simdjson-ondemand": [simdjson, entry, str(count), "ondemand"],
                 "simdjson-dom": [simdjson, entry, str(count), "dom"]}
        runs = {name: [] for name in sides}
        for _ in range(rounds):
            for name, command in sides.items():
                runs[name].append(run_json(command, directory / "decode.log", TIMEOUT_S, cores=pinned))
        ns = {name: round(statistics.median(run["ns"] for run in results), 1) for name, results in runs.items()}
        report.add(value_bytes=value_bytes, ns=ns, ratio=round(ns["downbeat"] / ns["simdjson-ondemand"], 3),
                   simdjson_implementation=runs["simdjson-dom"][0]["implementation"],
                   runs={name: [run["ns"] for run in results] for name, results in runs.items()})
        print(f"{value_bytes} bytes: {ns}", flush=True)
