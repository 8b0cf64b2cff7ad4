"""Command line of the load runs; see ../README.md."""

import argparse
import pathlib
import shlex
import shutil
import sys
import tempfile

import copying
import decode
import latency
import memory
import neighbour
import pause
import pipeline
import profile_run
import rest
import slow
from environment import Report, build_baseline, downbeat_binary
from processes import RunError

SCENARIOS = {
    "rest": rest.run, "pipeline": pipeline.run, "profile": profile_run.run, "latency": latency.run, "memory": memory.run,
    "neighbour": neighbour.run, "pause": pause.run, "copy": copying.run, "slow": slow.run, "decode": decode.run,
}


def parse():
    parser = argparse.ArgumentParser(prog="perf/run.sh", description="Load runs of the real daemon next to C programs and nginx.")
    parser.add_argument("scenario", choices=sorted(SCENARIOS))
    parser.add_argument("--small", action="store_true", help="a minute's worth: does it still work, not how fast is it")
    parser.add_argument("--record", action="store_true", help="also append the results to perf/results/")
    parser.add_argument("--downbeat", metavar="PATH", help="the daemon (default: the release build, built if missing)")
    parser.add_argument("--rounds", type=int, metavar="N", help="alternations between the two sides")
    parser.add_argument("--connections", type=int, action="append", metavar="N", help="rest: connections (repeatable)")
    parser.add_argument("--floor", action="store_true", help="also one layer alone: http-floor or consumer-floor of Benchmarks")
    parser.add_argument("--sites", type=lambda text: text.split(","), metavar="A,B", help="rest: names of the locations")
    parser.add_argument("--suite", action="append", choices=sorted({*pipeline.SUITES, *copying.SUITES}), help="pipeline, copy: only these (repeatable)")
    parser.add_argument("-X", dest="property", action="append", default=[], metavar="NAME=VALUE", help="memory: a librdkafka property of the daemon")
    parser.add_argument("--entries", type=int, metavar="N", help="memory: stream so many, with marks at a tenth and at the end")
    parser.add_argument("--keep", action="store_true", help="leave the run's directory (logs, configuration) behind")
    return parser.parse_args()


def main():
    options = parse()
    directory = pathlib.Path(tempfile.mkdtemp(prefix="downbeat-perf-"))
    failed = False
    try:
        build_baseline()
        options.downbeat = downbeat_binary(options.downbeat)
        report = Report(options.scenario, "perf/run.sh " + shlex.join(sys.argv[1:]), options.record)
        SCENARIOS[options.scenario](options, report, directory)
    except RunError as error:
        failed = True
        print(f"perf/run.sh: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        failed = True
        print("perf/run.sh: interrupted", file=sys.stderr)
    finally:
        if options.keep or failed:
            print(f"logs in {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
