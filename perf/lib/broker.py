"""The mock broker process and what is put into it."""

import json
import select
import subprocess

from environment import BIN
from processes import Child, RunError, run_json

BROKER_TIMEOUT_S = 10
PRODUCE_TIMEOUT_S = 600


class Broker:
    """`mockbroker` with one topic. It keeps about 5 MB per partition: a backlog has to be spread or streamed."""

    def __init__(self, directory, topic, partitions, cores=None):
        self.directory, self.topic, self.partitions = directory, topic, partitions
        self.child = Child([BIN / "mockbroker", "--topic", f"{topic}:{partitions}"], directory / "broker.log", cores=cores, stdout=subprocess.PIPE)
        ready, _, _ = select.select([self.child.process.stdout], [], [], BROKER_TIMEOUT_S)
        line = self.child.process.stdout.readline() if ready else b""
        if not line:
            self.child.end()
            raise RunError(f"the mock broker did not start:\n{self.child.log_tail()}")
        self.bootstrap = json.loads(line)["bootstrap"]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.child.end()

    def produce_command(self, entries, value_bytes, sites, extra=(), partitions=None):
        """`partitions`: only the first so many."""
        return [BIN / "produce", "--brokers", self.bootstrap, "--topic", self.topic, "--count", str(entries),
                "--partitions", str(partitions or self.partitions), "--bytes", str(value_bytes), "--sites", ",".join(sites),
                "-X", "queue.buffering.max.kbytes=262144", "-X", "linger.ms=50", *extra]

    def fill(self, entries, value_bytes, sites, codec="none", one_site_each=False, content=None):
        """`content` is (length, MD5) of every object, where the objects exist."""
        extra = ["-X", f"compression.codec={codec}"] + (["--content-length", str(content[0]), "--md5", content[1]] if content else []) + (["--one-site-each"] if one_site_each else [])
        return run_json(self.produce_command(entries, value_bytes, sites, extra), self.directory / "produce.log", PRODUCE_TIMEOUT_S)

    def count(self, entries, properties, cores=None, consumers=1, timeout_s=300):
        """The C yardstick over the same topic: its JSON object."""
        command = [BIN / "count", "--brokers", self.bootstrap, "--topic", self.topic, "--count", str(entries),
                   "--consumers", str(consumers), "--timeout-s", str(timeout_s)]
        for name, value in properties.items():
            command += ["-X", f"{name}={value}"]
        return run_json(command, self.directory / "count.log", timeout_s + 30, cores=cores)
