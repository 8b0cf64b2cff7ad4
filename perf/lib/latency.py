"""Scenario `latency`: from the producer's call to the start of the entry's task, next to the C program's poll of the same message.

The object's name holds the time of sending (`produce --stamp`), the daemon's `noop` location writes the time each task starts
(`traceFile`), the C program the time it has each message; all CLOCK_MONOTONIC. Percentiles are HdrHistogram's (Benchmarks'
`latency-summary`). Both sides read alone, one after the other, at a rate far below what either can do. The broker answers an empty fetch
only after the whole `fetch.wait.max.ms`, so both sides get the same small one: it bounds most of what is measured."""

import json
import re
import subprocess

from broker import Broker
from daemon import Daemon
from environment import BIN, cores, floor_program
from pipeline import BYTES_FULL, TOPIC
from processes import Child, RunError, wait_until

PARTITIONS = 16
SITE = "noop-000"
PROPERTIES = {"fetch.wait.max.ms": 2}
STAMP = re.compile(r"cat-(\d+)\.png")


def _summary(program, values):
    result = subprocess.run([program], input="\n".join(map(str, values)), capture_output=True, text=True, timeout=60, check=False)
    if result.returncode != 0:
        raise RunError(f"latency-summary: {result.stderr[-500:]}")
    return json.loads(result.stdout)


def _produce(broker, rate, count, directory):
    command = [BIN / "produce", "--brokers", broker.bootstrap, "--topic", TOPIC, "--count", str(count), "--partitions", str(PARTITIONS),
               "--bytes", str(BYTES_FULL), "--sites", SITE, "--stamp", "--rate", str(rate), "-X", "linger.ms=0"]
    with Child(command, directory / "produce.log") as producer:
        if producer.process.wait(count / rate + 60) != 0:
            raise RunError(f"the producer failed:\n{producer.log_tail()}")


def _c_round(program, rate, count, directory):
    with Broker(directory, TOPIC, PARTITIONS) as broker:
        path = directory / "latencies"
        command = [BIN / "count", "--brokers", broker.bootstrap, "--topic", TOPIC, "--count", str(count), "--latencies", path, "--timeout-s", "120"]
        command += [part for name, value in PROPERTIES.items() for part in ("-X", f"{name}={value}")]
        with Child(command, directory / "count.log") as counter:
            _produce(broker, rate, count, directory)
            if counter.process.wait(60) != 0:
                raise RunError(f"count failed:\n{counter.log_tail()}")
    return _summary(program, path.read_text().split())


def _daemon_round(options, program, rate, count, directory):
    trace = directory / "trace"
    with Broker(directory, TOPIC, PARTITIONS) as broker, \
            Daemon(options.downbeat, directory / "downbeat", [SITE], kafka=broker.bootstrap, topic=TOPIC, properties=PROPERTIES,
                   places={SITE: {"traceFile": str(trace)}}) as daemon:
        daemon.wait_ready()
        wait_until(lambda: daemon.get_json(f"/crr/locations/{SITE}")["state"] == "enabled", 60, "an assignment", alive=[daemon.child])
        _produce(broker, rate, count, directory)
        wait_until(lambda: daemon.finished() >= count, 60, "all entries", alive=[daemon.child])
    values = []
    for line in trace.read_text().splitlines():
        note = json.loads(line)
        if note["what"] == "start":
            values.append(note["ns"] - int(STAMP.search(note["key"]).group(1)))
    if len(values) != count:
        raise RunError(f"{len(values)} starts for {count} entries")
    return _summary(program, values)


def run(options, report, directory):
    program = floor_program("latency-summary")
    rounds = 1 if options.small else options.rounds or 3
    for rate in [500] if options.small else [100, 1_000, 5_000]:
        count = min(rate * (3 if options.small else 8), 20_000)
        sides = {"c": [], "downbeat": []}
        for index in range(rounds):
            for name, measure in (("c", lambda place: _c_round(program, rate, count, place)),
                                  ("downbeat", lambda place: _daemon_round(options, program, rate, count, place))):
                place = directory / f"{name}-{rate}-{index}"
                place.mkdir()
                sides[name].append(measure(place))
                print(f"{rate}/s {name}: {sides[name][-1]}", flush=True)
        median = {name: {key: sorted(run[key] for run in runs)[len(runs) // 2] for key in ("p50_us", "p99_us", "p999_us")}
                  for name, runs in sides.items()}
        ratio = {key: round(median["downbeat"][key] / median["c"][key], 3) for key in median["c"]}
        report.add(rate=rate, entries=count, partitions=PARTITIONS, value_bytes=BYTES_FULL, properties=PROPERTIES, median=median, ratio=ratio, runs=sides)
        print(f"{rate}/s: {median}, ratio {ratio} ({len(cores())} cores)", flush=True)
