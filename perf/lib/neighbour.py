"""Scenario `neighbour`: a fast location alone, and beside one whose every task takes five seconds.

Both locations read the same topic; a backlog for the fast one lies behind enough entries for the slow one to fill all its slots. What
counts is the fast one's rate with the other beside it, by its rate alone; rounds alternate. The daemon has its own queue limits: with
those of scenario `pipeline` the slow location would fetch the whole backlog meanwhile, and the two would share the cores for that."""

import statistics
import time

from broker import Broker
from daemon import Daemon
from pipeline import BYTES_FULL, TOPIC
from processes import run_json, wait_until

PARTITIONS = 256
FAST, SLOW = "fast", "slow"
SLOW_TASK_MS = 5_000
TIMEOUT_S = 120


def _round(options, broker, count, slow_count, directory, name, is_beside):
    sites = [FAST, SLOW] if is_beside else [FAST]
    with Daemon(options.downbeat, directory / name, sites, kafka=broker.bootstrap, group=name, topic=TOPIC,
                processor={"concurrency": 100, "waitingMax": 100},
                places={SLOW: {"taskMs": SLOW_TASK_MS}}) as daemon:
        daemon.wait_ready()
        wait_until(lambda: daemon.finished(FAST) > slow_count, TIMEOUT_S, "the first entries", alive=[daemon.child], interval_s=0.005)
        first, start = daemon.finished(FAST), time.monotonic()
        wait_until(lambda: daemon.finished(FAST) >= count + slow_count, TIMEOUT_S, "all entries", alive=[daemon.child], interval_s=0.005)
        seconds = time.monotonic() - start
        in_flight = daemon.get_json(f"/crr/locations/{SLOW}")["inFlight"] if is_beside else 0
        daemon.child.process.kill()  # not waiting for the slow ones
    return {"entries_per_s": round((count + slow_count - first) / seconds), "slow_in_flight": in_flight}


def run(options, report, directory):
    count, slow_count = (50_000, 2_000) if options.small else (500_000, 10_000)
    rounds = 1 if options.small else options.rounds or 3
    with Broker(directory, TOPIC, PARTITIONS) as broker:
        for sites, entries, first in (([SLOW], slow_count, 0), ([FAST], count, slow_count)):
            run_json(broker.produce_command(entries, BYTES_FULL, sites, ["--first", str(first)]), directory / "produce.log", 600)
        sides = {"alone": [], "beside": []}
        for index in range(rounds):
            for name in sides:
                sides[name].append(_round(options, broker, count, slow_count, directory, f"{name}-{index}", name == "beside"))
                print(f"{name}: {sides[name][-1]}", flush=True)
    median = {name: statistics.median(run["entries_per_s"] for run in runs) for name, runs in sides.items()}
    ratio = round(median["beside"] / median["alone"], 3)
    report.add(entries=count, slow_task_ms=SLOW_TASK_MS, partitions=PARTITIONS, ratio=ratio, median=median, runs=sides)
    print(f"fast location beside a slow one: {ratio} of its rate alone", flush=True)
