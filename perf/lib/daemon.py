"""A real `downbeat serve` under load: its configuration, its API, its progress."""

import http.client
import json
import socket
import time

from environment import free_port
from processes import Child, RunError, wait_until

READY_TIMEOUT_S = 60
REQUEST_TIMEOUT_S = 10
PREFIX = "/_/backbeat/api"


class Daemon:
    """`downbeat serve` with its own state directory and port. `kafka` is None for the broker inside the daemon, else the
    bootstrap address of one outside. `places` adds to the configuration of a location. `properties` are librdkafka's, given alike
    to both sides of a comparison."""

    def __init__(self, binary, directory, locations, kafka=None, cores=None, group="perf", topic="perf", properties=None, processor=None,
                 places=None, source=None, roles=None):
        directory.mkdir(parents=True, exist_ok=True)
        self.port = free_port()
        self.locations = locations
        self.topic = topic
        # Names stand for locations that do nothing; whole entries of the bootstrap list for themselves.
        bootstrap = [{"site": name, "type": "noop", **(places or {}).get(name, {})} if isinstance(name, str) else name for name in locations]
        configuration = {
            "node": {"id": "perf"},
            "server": {"bindAddress": "127.0.0.1", "port": self.port},
            "extensions": {"replication": {
                "topic": topic,
                **({"source": source} if source else {}),
                "destination": {"bootstrapList": bootstrap},
                "queueProcessor": {"groupId": group, **(processor or {})}}}}
        if kafka:
            configuration["kafka"] = {"hosts": kafka, "properties": properties or {}}
        path = directory / "config.json"
        path.write_text(json.dumps(configuration, indent=1))
        command = [binary, "serve", "--config", path, "--embedded", "--state-dir", directory / "state"]
        if roles:
            command += ["--roles", roles]
        self.child = Child(command, directory / "daemon.log", cores=cores)
        self._connection = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        if self._connection:
            self._connection.close()
        return self.child.end()

    def request(self, method, path, prefix=PREFIX):
        """(status, headers, body) over one kept connection."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_TIMEOUT_S)
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connection.request(method, prefix + path)
        response = self._connection.getresponse()
        return response.status, dict(response.getheaders()), response.read()

    def get_json(self, path):
        status, _, body = self.request("GET", path)
        if status != 200:
            raise RunError(f"GET {path}: {status} {body[:300]!r}")
        return json.loads(body)

    def _answers(self):
        try:
            return self.request("GET", "/crr/status")[0] == 200
        except OSError:
            self._connection = None
            return False

    def wait_ready(self):
        wait_until(self._answers, READY_TIMEOUT_S, "the daemon's API", alive=[self.child])

    def _entries(self):
        """Lines of that one family: the whole page has some for each partition, and is asked for often."""
        status, _, body = self.request("GET", "/metrics?name[]=downbeat_entries_total", prefix="")
        if status != 200:
            raise RunError(f"GET /metrics: {status}")
        return [line for line in body.splitlines() if line.startswith(b"downbeat_entries_total{")]

    def finished(self, location=None):
        """Entries that have come to an end, of all locations together or of one, from the daemon's own counters."""
        total = 0
        for line in self._entries():
            if not line.partition(b"}")[0].endswith((b'"taken"', b'"abandoned"', b'"gap"')):
                if location is None or f'location="{location}"'.encode() in line:
                    total += int(line.rpartition(b" ")[2])
        return total

    def taken(self):
        """Entries taken by all locations together, finished or not."""
        return sum(int(line.rpartition(b" ")[2]) for line in self._entries() if line.partition(b"}")[0].endswith(b'"taken"'))

    def wait_committed(self, timeout_s=30):
        """Until the broker has every offset: what was counted as finished is also committed."""
        def is_done():
            locations = self.get_json("/crr/locations")["locations"]
            return all(location["lag"] == 0 for location in locations)
        wait_until(is_done, timeout_s, "the commit of everything that was finished", interval_s=0.2, alive=[self.child])


class Sampler:
    """Follows a daemon until it has done `goal` entries: (seconds, entries, CPU seconds, RSS kB, threads) every interval."""

    def __init__(self, daemon, goal, timeout_s):
        self.daemon, self.goal, self.timeout_s = daemon, goal, timeout_s
        # The daemon renders eight lines for each location: a hundred of them are asked less often.
        self.interval_s = 0.02 + 0.002 * len(daemon.locations)
        self.samples = []

    def _sample(self):
        done = self.daemon.finished()
        status = self.daemon.child.status()
        self.samples.append((time.monotonic(), done, self.daemon.child.cpu_seconds(), status["rss_kb"], status["threads"]))
        return done

    def run(self):
        deadline = time.monotonic() + self.timeout_s
        while self._sample() < self.goal:
            self.daemon.child.check()
            if time.monotonic() > deadline:
                raise RunError(f"{self.samples[-1][1]} of {self.goal} entries done after {self.timeout_s} s")
            time.sleep(self.interval_s)
        return self

    def window(self):
        """Seconds, CPU seconds and entries from the last sample before anything was done to the first with all done."""
        first = max((index for index, sample in enumerate(self.samples) if sample[1] == 0), default=0)
        start, end = self.samples[first], self.samples[-1]
        return {"seconds": round(end[0] - start[0], 4), "cpu_seconds": round(end[2] - start[2], 4), "entries": end[1] - start[1]}

    def bands(self, backlog, count):
        """CPU seconds per 100,000 entries while the backlog left was in each of `count` equal parts, from full to empty."""
        costs = []
        for index in range(count):
            low, high = backlog * index // count, backlog * (index + 1) // count
            start = max((sample for sample in self.samples if sample[1] <= low), key=lambda sample: sample[0])
            end = self.at(high)
            costs.append(round((end[2] - start[2]) * 100_000 / max(1, end[1] - start[1]), 4))
        return costs

    def at(self, entries):
        """The first sample with at least that many entries done."""
        return next(sample for sample in self.samples if sample[1] >= entries)
