"""Scenario `pipeline`: the whole no-op pipeline of a real daemon next to the C program that only counts, on the same topic.

The topic is filled first, in a broker process of its own. Rounds alternate between the two sides, each daemon round with a new
group and state directory, so that every round reads everything. Rates are over the window from first to last entry; CPU seconds
are those of the whole process in that window. Both sides have the same librdkafka queue limits, large enough not to fill."""

import statistics

import warm
from broker import Broker
from daemon import Daemon, Sampler
from environment import cores, floor_program
from processes import run_json
from warm import TOPIC, site_names

BYTES_FULL, BYTES_SMALL = 1695, 300
BYTES_PER_PARTITION_MAX = 4_000_000  # the broker drops beyond about 5 MB, batches' own overhead included
DAEMON_TIMEOUT_S = 300
BANDS = 5  # parts of a backlog whose cost is told apart
CONCURRENCY = 500  # of a location, in every case that does not say otherwise

# Of the suites others than 3 are the default for. Rounds of one side differ by half on a shared machine, and what these two say is
# held against a bound: the median of three is not steady enough for that.
ROUNDS = {"size": 7, "pinned": 5}

# name: what is varied. `pin` puts both consumers on one core, and the broker on the other.
SUITES = {
    "size": [{"entries": 500_000}, {"entries": 1_000_000, "bytes": BYTES_SMALL}],
    "pinned": [{"entries": 500_000, "pin": True}, {"entries": 1_000_000, "bytes": BYTES_SMALL, "pin": True}],
    # The daemon's own default bound on running entries. It is made for tasks that take milliseconds; no-op ones then cross
    # between the threads ten at a time.
    "default": [{"entries": 500_000, "concurrency": 10}, {"entries": 1_000_000, "bytes": BYTES_SMALL, "pin": True, "concurrency": 10}],
    "backlog": [{"entries": count} for count in (1_000, 10_000, 100_000, 1_000_000)],
    # Running and waiting entries of all locations together are bounded by 65,536.
    "locations": [{"entries": 300_000 // count, "locations": count, "concurrency": min(CONCURRENCY, 32_768 // count)} for count in (1, 10, 100)],
    # One partition does not hold a plain backlog: compressed as the original's producer does it, all three sizes alike.
    "partitions": [{"entries": 60_000, "bytes": BYTES_SMALL, "partitions": count, "codec": "zstd"} for count in (1, 16, 256)],
    **warm.SUITES,  # these in one process that runs already, all others from its start
}
SMALL = [{"entries": 20_000, "partitions": 16}, {"entries": 20_000, "bytes": BYTES_SMALL, "partitions": 16, "pin": True}]


def queue_limits(entries, value_bytes):
    """Limits a run cannot reach: a full prefetch queue makes librdkafka 2.0.2 pause a whole second, which measures nothing."""
    return {"queued.min.messages": min(10_000_000, max(100_000, entries)),
            "queued.max.messages.kbytes": min(2_000_000, max(65_536, entries * value_bytes // 1024 * 2))}


def _normalise(case):
    case = {"bytes": BYTES_FULL, "locations": 1, "pin": False, "codec": "none", "concurrency": CONCURRENCY, **case}
    needed = -(-case["entries"] * (case["bytes"] + 100) // BYTES_PER_PARTITION_MAX)
    case.setdefault("partitions", max(256, needed))
    return case


def _per_100k(cpu_seconds, entries):
    return round(cpu_seconds * 100_000 / entries, 4)


def _floor_round(program, broker, case, properties, pinned, directory):
    command = [program, broker.bootstrap, TOPIC, str(case["partitions"]), str(case["entries"])]
    command += [f"{name}={value}" for name, value in properties.items()]
    return _figures(run_json(command, directory / "floor.log", DAEMON_TIMEOUT_S, cores=pinned))


def _count_round(broker, case, properties, pinned):
    return _figures(broker.count(case["entries"], properties, cores=pinned, consumers=case["locations"]))


def _figures(numbers):
    return {"entries_per_s": round(numbers["entries"] / numbers["seconds"]), "cpu_s_per_100k": _per_100k(numbers["cpu_seconds"], numbers["entries"]),
            "rss_peak_kb": numbers["max_rss_kb"], "seconds": numbers["seconds"]}


def _daemon_round(options, broker, case, properties, pinned, directory, name):
    sites = site_names(case["locations"])
    goal = case["entries"] * case["locations"]
    with Daemon(options.downbeat, directory / name, sites, kafka=broker.bootstrap, cores=pinned, group=name, topic=TOPIC,
                properties=properties, processor={"concurrency": case["concurrency"], "waitingMax": case["concurrency"]}) as daemon:
        daemon.wait_ready()
        sampler = Sampler(daemon, goal, DAEMON_TIMEOUT_S).run()
        window, last = sampler.window(), daemon.child.status()
        daemon.wait_committed()
    return {"entries_per_s": round(window["entries"] / window["seconds"]), "cpu_s_per_100k": _per_100k(window["cpu_seconds"], window["entries"]),
            "rss_peak_kb": last["rss_peak_kb"], "threads": last["threads"], "seconds": window["seconds"],
            "cpu_by_backlog": sampler.bands(goal, BANDS)}


def run_case(options, report, directory, case, suite):
    case = _normalise(case)
    usable = cores()
    pinned = {usable[0]} if case["pin"] else None
    broker_cores = {usable[1]} if case["pin"] and len(usable) > 1 else None
    properties = queue_limits(case["entries"], case["bytes"])
    rounds = 1 if options.small else options.rounds or ROUNDS.get(suite, 3)
    floor = floor_program("consumer-floor") if options.floor and case["locations"] == 1 else None
    directory.mkdir()
    with Broker(directory, TOPIC, case["partitions"], cores=broker_cores) as broker:
        broker.fill(case["entries"], case["bytes"], site_names(case["locations"]), case["codec"], one_site_each=case["locations"] > 1)
        sides = {"c": [], "downbeat": [], **({"floor": []} if floor else {})}
        for index in range(rounds):
            sides["c"].append(_count_round(broker, case, properties, pinned))
            print(f"  c        {sides['c'][-1]}", flush=True)
            sides["downbeat"].append(_daemon_round(options, broker, case, properties, pinned, directory, f"group-{index}"))
            print(f"  downbeat {sides['downbeat'][-1]}", flush=True)
            if floor:
                sides["floor"].append(_floor_round(floor, broker, case, properties, pinned, directory))
                print(f"  floor    {sides['floor'][-1]}", flush=True)
    median = {name: {key: statistics.median(run[key] for run in runs) for key in ("entries_per_s", "cpu_s_per_100k", "rss_peak_kb")}
              for name, runs in sides.items()}
    ratio = median["downbeat"]["entries_per_s"] / median["c"]["entries_per_s"]
    cpu_ratio = median["downbeat"]["cpu_s_per_100k"] / median["c"]["cpu_s_per_100k"]
    report.add(suite=suite, case=case, properties=properties, ratio=round(ratio, 3), cpu_ratio=round(cpu_ratio, 3), median=median, runs=sides)
    print(f"{suite} {case}: {median['downbeat']['entries_per_s']:.0f} entries/s = {ratio:.2f} of C, "
          f"{median['downbeat']['cpu_s_per_100k']} CPU s per 100k = {cpu_ratio:.2f} of C", flush=True)


def run(options, report, directory):
    suites = {"small": SMALL} if options.small and not options.suite else {name: SUITES[name] for name in options.suite or SUITES}
    for suite, cases in suites.items():
        for index, case in enumerate(cases):
            measure = warm.run_case if suite in warm.SUITES else run_case
            measure(options, report, directory / f"{suite}-{index}", case, suite)
