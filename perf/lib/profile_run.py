"""Scenario `profile`: where the CPU time of the no-op pipeline goes, function by function, as `perf record` samples it.

A backlog of realistic entries is read with the daemon's threads sampled from its first entry to its last; the report keeps threads,
libraries and functions. It is read beside scenario `pipeline`, whose figures it explains."""

import collections
import re
import shutil
import subprocess

from broker import Broker
from daemon import Daemon, Sampler
from environment import tool
from pipeline import BYTES_FULL, CONCURRENCY, TOPIC, queue_limits, site_names
from processes import Child, RunError

PARTITIONS = 256
FREQUENCY = 1999
FUNCTIONS_MAX = 40
LINE = re.compile(r"^\s*([\d.]+)%\s+(\S+)\s+(\S+)\s+\[(.)\]\s+(.*?)\s*$")


def _demangle(names):
    program = shutil.which("swift-demangle") or shutil.which("swift")
    if program is None:
        return names
    command = [program] + ([] if program.endswith("demangle") else ["demangle"]) + ["--simplified", "--compact"]
    result = subprocess.run(command, input="\n".join(names), capture_output=True, text=True, timeout=60, check=False)
    lines = result.stdout.splitlines()
    return lines if result.returncode == 0 and len(lines) == len(names) else names


def _rows(data):
    command = [tool("perf"), "report", "-i", str(data), "--stdio", "--no-children", "-s", "comm,dso,symbol", "--percent-limit", "0.05"]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    # `perf report` may put empty columns, shown as dashes, behind the symbol.
    lines = (re.sub(r"(\s+-)+\s*$", "", line) for line in result.stdout.splitlines())
    rows = [match.groups() for match in map(LINE.match, lines) if match]
    if not rows:
        raise RunError(f"perf report: {result.stderr[-500:]}")
    names = _demangle([row[4] for row in rows])
    return [(float(row[0]), row[1], row[2], name) for row, name in zip(rows, names)]


def _sums(rows, column):
    sums = collections.Counter()
    for row in rows:
        sums[row[column]] += row[0]
    return {name: round(share, 1) for name, share in sums.most_common(12)}


def run(options, report, directory):
    entries = 100_000 if options.small else 500_000
    data = directory / "perf.data"
    with Broker(directory, TOPIC, PARTITIONS) as broker:
        broker.fill(entries, BYTES_FULL, site_names(1))
        with Daemon(options.downbeat, directory / "downbeat", site_names(1), kafka=broker.bootstrap, topic=TOPIC,
                    properties=queue_limits(entries, BYTES_FULL), processor={"concurrency": CONCURRENCY, "waitingMax": CONCURRENCY}) as daemon:
            daemon.wait_ready()
            command = [tool("perf"), "record", "-e", "cpu-clock", "-F", str(FREQUENCY), "-o", data, "-p", str(daemon.child.pid)]
            with Child(command, directory / "perf.log") as recorder:
                sampler = Sampler(daemon, entries, 120).run()
                recorder.process.send_signal(2)
                recorder.process.wait(30)
            window = sampler.window()
    rows = _rows(data)
    functions = [{"share": share, "thread": thread, "library": library, "function": name[:160]}
                 for share, thread, library, name in rows[:FUNCTIONS_MAX]]
    report.add(entries=entries, value_bytes=BYTES_FULL, partitions=PARTITIONS, window=window, threads=_sums(rows, 1), libraries=_sums(rows, 2),
               functions=functions)
    print(f"{window}\nthreads {_sums(rows, 1)}\nlibraries {_sums(rows, 2)}")
    for row in functions[:25]:
        print(f"{row['share']:6.2f}% {row['thread']:16} {row['library']:22} {row['function'][:110]}")
