"""Scenario `memory`: RSS and threads of a daemon while a backlog streams through it, at 200,000 and at 1,000,000 entries.

The producer keeps pace with the daemon's commits, so the broker never drops anything; the daemon runs with its own default queue
limits, because those are what an operator's memory depends on. Flat means: the second figure is not larger than the first."""

from broker import Broker
from daemon import Daemon, Sampler
from pipeline import BYTES_FULL, TOPIC, site_names
from processes import Child, RunError

PARTITIONS = 64
WINDOW_BYTES = 2 << 20
TIMEOUT_S = 600


def run(options, report, directory):
    marks = [20_000, 50_000] if options.small else [200_000, 1_000_000]
    if options.entries:
        marks = [options.entries // 10, options.entries]
    sites = site_names(1)
    properties = dict(text.split("=", 1) for text in options.property)
    with Broker(directory, TOPIC, PARTITIONS) as broker:
        with Daemon(options.downbeat, directory / "downbeat", sites, kafka=broker.bootstrap, topic=TOPIC, properties=properties) as daemon:
            daemon.wait_ready()
            idle = daemon.child.status()
            extra = ["--window-bytes", str(WINDOW_BYTES), "--groups", f"perf-{sites[0]}", "--timeout-s", str(TIMEOUT_S)]
            with Child(broker.produce_command(marks[-1], BYTES_FULL, sites, extra), directory / "produce.log") as producer:
                sampler = Sampler(daemon, marks[-1], TIMEOUT_S).run()
                if producer.process.wait(60) != 0:
                    raise RunError(f"the producer failed:\n{producer.log_tail()}")
            daemon.wait_committed()
            exit_code = daemon.end()
    at = {}
    for mark in marks:
        until = [sample for sample in sampler.samples if sample[1] <= mark] or sampler.samples[:1]
        at[str(mark)] = {"rss_kb": sampler.at(mark)[3], "rss_max_so_far_kb": max(sample[3] for sample in until),
                         "threads": sampler.at(mark)[4], "threads_max_so_far": max(sample[4] for sample in until)}
    report.add(properties=properties, value_bytes=BYTES_FULL, partitions=PARTITIONS, idle=idle, at=at, window=sampler.window(),
               cpu_s_per_100k_by_fifth=sampler.bands(marks[-1], 5), exit_code=exit_code)
    print(f"idle {idle}\n" + "\n".join(f"{mark} entries: {numbers}" for mark, numbers in at.items())
          + f"\n{sampler.window()}, CPU s per 100k by fifth {sampler.bands(marks[-1], 5)}", flush=True)
