"""Suites `warm-…` of scenario `pipeline`: what a backlog costs a daemon that runs already.

A backlog is what piles up in front of a paused location. One daemon and one C program (`count --hold`) stay up, both paused; each
cycle fills the topic, lets one side read it, then the other. A window begins with the resume and has a fixed length that suffices
for the backlog and its commits, so nobody has to ask for the end: the daemon is asked only afterwards whether all was committed.
Cycles with a backlog of nothing, shuffled among the others, are what a window costs by itself; `marginal` has them subtracted."""

import json
import random
import select
import statistics
import subprocess
import time

from broker import Broker
from daemon import Daemon
from environment import BIN
from processes import Child, RunError, run_json, wait_until

TOPIC = "perf"
BYTES = 300
PARTITIONS = 128  # hold a million entries of 300 bytes
ENTRIES_PER_PARTITION = 8_000  # how a backlog is spread when it is to have partitions in proportion
WARM_UP = 100_000
SEED = 1
TIMEOUT_S = 60
# Windows: the daemon commits a second after it began, and no side reads less than this.
WINDOW_MIN_S, ENTRIES_PER_S_MIN = 2, 150_000
PAUSE_S = 1.3  # a paused daemon tells librdkafka after a second
BACKLOGS = {0: 10, 1_000: 14, 10_000: 8, 100_000: 4, 1_000_000: 2}
LOCATIONS_BACKLOGS = {0: 3, 5_000: 4}
# As many partitions as deployments have, and enough in each that a fetch brings more than a handful.
DENSE_PARTITIONS, DENSE_BACKLOGS = 8, {0: 3, 10_000: 4}
TURNS_BACKLOGS = {0: 2, 10_000: 3}


def _dense(count, backlogs):
    return {"backlogs": backlogs, "partitions": DENSE_PARTITIONS, "locations": count, "concurrency": 300, "equal_windows": True}


SUITES = {
    "warm-backlog": [{"backlogs": BACKLOGS}],
    "warm-partitions": [{"backlogs": BACKLOGS, "in_proportion": True}],
    # 300 running and waiting entries of each location: those of all together are bounded by 65,536.
    # What a hundred of them do in an empty second counts, so empty windows are as long as the others.
    "warm-locations": [{"backlogs": LOCATIONS_BACKLOGS, "locations": count, "concurrency": 300, "equal_windows": True} for count in (1, 10, 100)],
    "warm-locations-dense": [_dense(count, DENSE_BACKLOGS) for count in (1, 10, 100)],
    # The same, one and a hundred in turns: what a message costs on one machine drifts by a third within the minutes that a case takes.
    "warm-locations-turns": [_dense(count, TURNS_BACKLOGS) for count in (1, 100, 1, 100, 1, 100)],
}


class HeldCount:
    """`count --hold`: C clients that stay assigned to the whole topic, and paused between backlogs."""

    def __init__(self, broker, properties, consumers):
        command = [BIN / "count", "--brokers", broker.bootstrap, "--topic", broker.topic, "--hold", "--consumers", str(consumers), "--timeout-s", str(TIMEOUT_S)]
        for name, value in properties.items():
            command += ["-X", f"{name}={value}"]
        self.child = Child(command, broker.directory / "count.log", stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.end()

    def read(self, entries, window_s):
        """CPU seconds of the window in which each client reads that many."""
        self.child.process.stdin.write(f"{entries} {window_s}\n".encode())
        self.child.process.stdin.flush()
        ready, _, _ = select.select([self.child.process.stdout], [], [], window_s + TIMEOUT_S)
        line = self.child.process.stdout.readline() if ready else b""
        if not line:
            raise RunError(f"count --hold: no answer\n{self.child.log_tail()}")
        return json.loads(line)["cpu_seconds"]


class HeldDaemon:
    """A daemon whose locations are paused between backlogs, all together."""

    def __init__(self, daemon):
        self.daemon = daemon

    def _post(self, verb):
        status, _, body = self.daemon.request("POST", f"/crr/{verb}")
        if status != 200:
            raise RunError(f"POST {verb}: {status} {body[:300]!r}")

    def _locations(self):
        return self.daemon.get_json("/crr/locations")["locations"]

    def pause(self):
        self._post("pause")
        wait_until(lambda: all(location["state"] == "disabled" for location in self._locations()), TIMEOUT_S, "the pause", 0.1, [self.daemon.child])
        time.sleep(PAUSE_S)

    def committed(self):
        """By the location that has committed least."""
        return min(sum(int(partition["committed"] or 0) for partition in location["partitions"]) for location in self._locations())

    def read(self, total, window_s):
        """CPU seconds of the window, which is made longer if everything up to `total` is not committed in it."""
        start, cpu = time.monotonic(), self.daemon.child.cpu_seconds()
        self._post("resume")
        while True:
            time.sleep(max(0, start + window_s - time.monotonic()))
            spent = self.daemon.child.cpu_seconds() - cpu
            if self.committed() == total:
                return spent
            self.daemon.child.check()
            if window_s > TIMEOUT_S:
                raise RunError(f"{self.committed()} of {total} entries committed after {window_s} s")
            window_s += 1


def _normalise(case, small):
    case = {"bytes": BYTES, "partitions": PARTITIONS, "locations": 1, "concurrency": 500, "in_proportion": False, "equal_windows": False, **case}
    if small:
        case["backlogs"] = {count: 1 for count in list(case["backlogs"])[:3]}
    return case


def _fill(broker, case, count, first):
    partitions = min(case["partitions"], -(-count // ENTRIES_PER_PARTITION)) if case["in_proportion"] else case["partitions"]
    sites = site_names(case["locations"])
    extra = ["--first", str(first)] + (["--one-site-each"] if len(sites) > 1 else [])
    run_json(broker.produce_command(count, case["bytes"], sites, extra, partitions), broker.directory / "produce.log", TIMEOUT_S)


def site_names(count):
    return [f"noop-{index:03d}" for index in range(count)]


def _window(case, count):
    count = max(case["backlogs"]) if case["equal_windows"] else count
    return WINDOW_MIN_S + count * case["locations"] / ENTRIES_PER_S_MIN


def _summary(case, runs):
    """Medians: CPU ms of a window; CPU seconds per 100,000 messages read, raw and without what an empty window costs."""
    median = {side: {count: statistics.median(values) for count, values in by_count.items()} for side, by_count in runs.items()}
    summary = {}
    for count in sorted(count for count in case["backlogs"] if count):
        per_100k = 100_000 / (count * case["locations"])
        summary[count] = {side: {"raw": round(by_count[count] * per_100k, 4), "marginal": round((by_count[count] - by_count[0]) * per_100k, 4)}
                          for side, by_count in median.items()}
    return {side: round(by_count[0] * 1000, 2) for side, by_count in median.items()}, summary


def run_case(options, report, directory, case, suite):
    case = _normalise(case, options.small)
    properties = {"queued.min.messages": 10_000_000, "queued.max.messages.kbytes": 2_000_000}
    order = [count for count, times in case["backlogs"].items() for _ in range(times)]
    random.Random(SEED).shuffle(order)
    order = [0, WARM_UP // case["locations"], 0] + order  # the first three are not counted
    runs = {side: {count: [] for count in case["backlogs"]} for side in ("c", "downbeat")}
    directory.mkdir()
    with Broker(directory, TOPIC, case["partitions"]) as broker, \
            Daemon(options.downbeat, directory / "downbeat", site_names(case["locations"]), kafka=broker.bootstrap, topic=TOPIC, properties=properties,
                   processor={"concurrency": case["concurrency"], "waitingMax": case["concurrency"], "pauseMode": "hold"}) as daemon, \
            HeldCount(broker, properties, case["locations"]) as counter:
        daemon.wait_ready()
        held, total = HeldDaemon(daemon), 0
        wait_until(lambda: daemon.request("GET", "/_/ready", prefix="")[0] == 200, TIMEOUT_S, "all assignments", 0.5, [daemon.child])
        held.pause()
        for index, count in enumerate(order):
            if count:
                _fill(broker, case, count, total)
            total += count
            spent = {"downbeat": held.read(total, _window(case, count))}
            held.pause()
            spent["c"] = counter.read(count, _window(case, count))
            print(f"  {count:>9} {' '.join(f'{side} {seconds * 1000:.2f} ms' for side, seconds in spent.items())}", flush=True)
            for side, seconds in spent.items() if index >= 3 else ():
                runs[side][count].append(round(seconds, 6))
    empty_ms, per_100k = _summary(case, runs)
    report.add(suite=suite, case=case, properties=properties, empty_window_ms=empty_ms, cpu_s_per_100k=per_100k, runs=runs)
    print(f"{suite} {case['locations']} locations; an empty window takes {empty_ms} ms")
    for count, sides in per_100k.items():
        print(f"  {count:>9} entries, CPU s per 100k: {sides}", flush=True)
