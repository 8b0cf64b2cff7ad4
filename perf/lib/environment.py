"""Where a run happens: the machine, the tools, the built programs, the directory for results."""

import datetime
import json
import os
import pathlib
import platform
import shutil
import socket
import subprocess

from processes import RunError

PERF = pathlib.Path(__file__).resolve().parent.parent
ROOT = PERF.parent
BIN = PERF / "out" / "bin"
PACKAGES = {"wrk": "wrk", "nginx": "nginx-light", "make": "make", "cc": "gcc", "g++": "g++", "valgrind": "valgrind", "perf": "linux-perf"}


def tool(name):
    """The path of a program, or an error naming the Debian package that has it."""
    path = shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
    if path is None:
        raise RunError(f"{name} is not installed: apt-get install {PACKAGES.get(name, name)}")
    return path


def build_baseline():
    for name in ("make", "cc"):
        tool(name)
    result = subprocess.run(["make", "-s", "-C", str(PERF / "baseline")], capture_output=True, text=True, timeout=120, check=False)
    if result.returncode != 0:
        raise RunError(f"the C programs did not build (is librdkafka-dev installed?):\n{result.stderr[-3000:]}")


def downbeat_binary(path):
    """The daemon to measure: the one given, else the release build, built if it is missing."""
    if path:
        binary = pathlib.Path(path).resolve()
        if not binary.is_file():
            raise RunError(f"no such file: {binary}")
        return binary
    binary = ROOT / ".build" / "release" / "downbeat"
    if not binary.exists():
        print("building the release binary (swift build -c release --product downbeat)", flush=True)
        result = subprocess.run(["swift", "build", "-c", "release", "--product", "downbeat"], cwd=ROOT, timeout=3600, check=False)
        if result.returncode != 0:
            raise RunError("the release build failed")
    return binary


def floor_program(name):
    """A program of Benchmarks/: one layer of the daemon alone (`…-floor`), or `latency-summary`. Built on demand."""
    command = ["swift", "build", "-c", "release", "--package-path", "Benchmarks", "--scratch-path", ".build-bench", "--product", name]
    if subprocess.run(command, cwd=ROOT, timeout=3600, check=False).returncode != 0:
        raise RunError(f"{name} did not build")
    return ROOT / ".build-bench" / "release" / name


def free_port():
    """A loopback port nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def cores():
    """The cores this run may use, lowest first. Comparisons on one core need a second one for the other side."""
    return sorted(os.sched_getaffinity(0))


def _first_line(command):
    try:
        return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=30, check=False).stdout.strip()
    except OSError:
        return ""


def machine():
    model = ""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
        for line in file:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {"cores": len(cores()), "cpu": model, "memory_mb": memory >> 20, "kernel": platform.release()}


def commit():
    changed = bool(_first_line(["git", "status", "--porcelain", "--untracked-files=no", "--", ".", ":!perf/results"]))
    return _first_line(["git", "rev-parse", "--short=12", "HEAD"]) + ("+changes" if changed else "")


class Report:
    """Writes one JSON line per measurement to perf/out/SCENARIO.jsonl, and to perf/results/ when the run is to be kept."""

    def __init__(self, scenario, command, record):
        self.common = {
            "scenario": scenario, "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "commit": commit(), "command": command, "machine": machine()}
        self.paths = [PERF / "out" / f"{scenario}.jsonl"]
        if record:
            self.paths.append(PERF / "results" / f"{scenario}.jsonl")
        for path in self.paths:
            path.parent.mkdir(parents=True, exist_ok=True)

    def add(self, **numbers):
        numbers["load_average_1m"] = round(os.getloadavg()[0], 2)
        line = json.dumps({**self.common, **numbers})
        for path in self.paths:
            with open(path, "a", encoding="utf-8") as file:
                file.write(line + "\n")
