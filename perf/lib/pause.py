"""Scenario `pause`: how long after an operator's POST the last of three nodes has taken its last entry, next to raw round trips of
the Redis and the ZooKeeper it went through.

Three daemons share one topic with a backlog, so that each takes entries all the time: the moment its gate closes is the start of
the last entry in its trace (`traceFile` of a `noop` location, CLOCK_MONOTONIC). The moment the state is durable is the `ns` of the
log line `stored` at the node that was asked. The raw round trips are taken in the same run, between the pauses, with the daemons
at work beside them."""

import json
import socket
import statistics
import time
import urllib.request

from broker import Broker
from environment import BIN, free_port, tool
from processes import Child, RunError, run_json, wait_until

NODES = 3
TOPIC = "perf-pause"
SITE = "noop-000"
TASK_MS = 1
CONCURRENCY = 2          # an entry starts every half millisecond on each node: the resolution of the measurement
ENTRIES_FULL, ENTRIES_SMALL = 400_000, 60_000
VALUE_BYTES = 300
CYCLES_FULL, CYCLES_SMALL = 300, 30
SETTLE_S = 0.03          # after a pause was answered, for what might still start
RUN_S = 0.03             # between a resume in effect and the next pause
ZOOKEEPER_CLASSPATH = "/etc/zookeeper/conf:/usr/share/java/zookeeper.jar"
DURABLE_LIMIT = ("3 x redis p99 + 2 ms", lambda redis, _: 3 * redis + 2)
POST_LIMIT = ("zookeeper p99 + redis p99 + 3 ms", lambda redis, zookeeper: zookeeper + redis + 3)


def _redis(directory):
    port = free_port()
    command = [tool("redis-server"), "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", directory]
    return Child(command, directory / "redis.log"), f"127.0.0.1:{port}"


def _zookeeper(directory):
    port = free_port()
    configuration = directory / "zoo.cfg"
    configuration.write_text(
        f"tickTime=2000\ndataDir={directory}/zookeeper\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
        "admin.enableServer=false\nmaxClientCnxns=0\n")
    command = [tool("java"), "-Xmx128m", "-cp", ZOOKEEPER_CLASSPATH, "org.apache.zookeeper.server.quorum.QuorumPeerMain", configuration]
    return Child(command, directory / "zookeeper.log"), f"127.0.0.1:{port}"


class Node:
    """One daemon, and what its trace and its log say afterwards."""

    def __init__(self, binary, directory, name, kafka, redis, zookeeper):
        self.port, self.name = free_port(), name
        self.trace, self.log = directory / f"{name}.trace", directory / f"{name}.log"
        host, port = redis.split(":")
        configuration = {
            "node": {"id": name}, "server": {"bindAddress": "127.0.0.1", "port": self.port},
            "kafka": {"hosts": kafka}, "redis": {"host": host, "port": int(port)},
            "zookeeper": {"connectionString": f"{zookeeper}/perf", "autoCreateNamespace": True},
            "extensions": {"replication": {
                "topic": TOPIC,
                "destination": {"bootstrapList": [
                    {"site": SITE, "type": "noop", "taskMs": TASK_MS, "traceFile": str(self.trace)}]},
                "queueProcessor": {"groupId": "perf", "pauseMode": "hold", "concurrency": CONCURRENCY, "waitingMax": 0}}}}
        path = directory / f"{name}.json"
        path.write_text(json.dumps(configuration))
        self.child = Child([binary, "serve", "--config", path, "--state-dir", directory / f"{name}-state"], self.log)

    def call(self, method, path):
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read()

    def pause(self):
        """Returns when the POST was sent (on a connection made before, as an operator's client has it), the status and the body."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            posted_ns = time.monotonic_ns()
            connection.sendall(f"POST /_/crr/pause/{SITE}?wait=30 HTTP/1.1\r\nHost: 127.0.0.1:{self.port}\r\n"
                               "Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
            answer = b""
            while more := connection.recv(65536):
                answer += more
        return posted_ns, int(answer.split(b" ", 2)[1]), answer.partition(b"\r\n\r\n")[2]

    def is_ready(self):
        try:
            return self.call("GET", "/_/ready")[0] == 200
        except OSError:
            return False

    def taken(self):
        for line in self.call("GET", "/metrics")[1].splitlines():
            if line.startswith(b"downbeat_entries_total") and b'"taken"' in line:
                return int(line.rpartition(b" ")[2])
        raise RunError("no count of entries in /metrics")

    def starts(self):
        """When each entry started, ns."""
        with open(self.trace, encoding="utf-8") as file:
            return [record["ns"] for record in map(json.loads, file) if record["what"] == "start"]

    def stored(self):
        """When this node's commands were acknowledged by ZooKeeper, ns, in their order."""
        with open(self.log, encoding="utf-8") as file:
            records = [json.loads(line) for line in file if '"message":"stored"' in line]
        return [(int(record["ns"]), record["command"]) for record in records]


def _raw(servers, count, directory):
    """One round of both round trips: what the pauses are held against."""
    return {name: run_json([BIN / "rtt", f"--{name}", address, "--count", str(count), "--gap-us", "2000"], directory / "rtt.log", 120)
            for name, address in servers.items()}


def _cycle(nodes, index):
    """One pause and resume. Returns when the POST was sent, when the resume was, and who was asked."""
    before = [node.taken() for node in nodes]
    wait_until(lambda: all(node.taken() > count for node, count in zip(nodes, before)), 30, "entries at every node", interval_s=0.002)
    time.sleep(RUN_S)
    asked = nodes[index % len(nodes)]
    posted_ns, status, body = asked.pause()
    if status != 200:
        raise RunError(f"pause: {status} {body!r}")
    time.sleep(SETTLE_S)
    resumed_ns = time.monotonic_ns()
    nodes[(index + 1) % len(nodes)].call("POST", f"/_/crr/resume/{SITE}")
    return posted_ns, resumed_ns, asked


def _percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _delays(nodes, cycles):
    """For each cycle the last start of any node: ms after the POST, and ms after the write was acknowledged."""
    starts = sorted(start for node in nodes for start in node.starts())
    stored = {node.name: [ns for ns, command in node.stored() if command == "pause"] for node in nodes}
    from_post, from_stored = [], []
    for posted_ns, resumed_ns, asked in cycles:
        within = [ns for ns in starts if posted_ns - 50_000_000 < ns < resumed_ns]
        if not within:
            raise RunError("no entry started before a pause")
        durable = next(ns for ns in stored[asked.name] if ns > posted_ns)
        last = max(within)
        from_post.append((last - posted_ns) / 1e6)
        from_stored.append((last - durable) / 1e6)
    return from_post, from_stored


def _figures(values):
    return {"p50_ms": round(_percentile(values, 0.5), 3), "p99_ms": round(_percentile(values, 0.99), 3), "max_ms": round(max(values), 3)}


def run(options, report, directory):
    count, entries = (CYCLES_SMALL, ENTRIES_SMALL) if options.small else (CYCLES_FULL, ENTRIES_FULL)
    redis, redis_address = _redis(directory)
    zookeeper, zookeeper_address = _zookeeper(directory)
    servers = {"redis": redis_address, "zookeeper": zookeeper_address}
    nodes = []
    with redis, zookeeper, Broker(directory, TOPIC, 96) as broker:
        broker.fill(entries, VALUE_BYTES, [SITE])
        try:
            nodes += [Node(options.downbeat, directory, f"node-{index}", broker.bootstrap, redis_address, zookeeper_address) for index in range(NODES)]
            wait_until(lambda: all(node.is_ready() for node in nodes), 90, "all nodes", interval_s=0.2, alive=[node.child for node in nodes])
            raw, cycles = [_raw(servers, count, directory)], []
            for index in range(count):
                cycles.append(_cycle(nodes, index))
                if index == count // 2:
                    raw.append(_raw(servers, count, directory))
            raw.append(_raw(servers, count, directory))
        finally:
            for node in nodes:
                node.child.end()
    from_post, from_stored = _delays(nodes, cycles)
    _report(report, count, _figures(from_post), _figures(from_stored), raw)


def _report(report, count, post, durable, raw):
    typical = {name: statistics.median(round_trips[name]["p99_ms"] for round_trips in raw) for name in raw[0]}
    limits = {"from_stored": DURABLE_LIMIT[1](typical["redis"], typical["zookeeper"]), "from_post": POST_LIMIT[1](typical["redis"], typical["zookeeper"])}
    holds = durable["p99_ms"] <= limits["from_stored"] and post["p99_ms"] <= limits["from_post"]
    report.add(nodes=NODES, cycles=count, from_stored=durable, from_post=post, raw=raw, raw_p99_ms=typical,
               limits_ms={name: round(value, 3) for name, value in limits.items()}, holds=holds)
    print(f"raw p99: redis publish to subscriber {typical['redis']:.2f} ms, zookeeper set {typical['zookeeper']:.2f} ms")
    print(f"write acknowledged to last entry of the last node: {durable}, allowed {limits['from_stored']:.2f} ms ({DURABLE_LIMIT[0]})")
    print(f"POST to last entry of the last node: {post}, allowed {limits['from_post']:.2f} ms ({POST_LIMIT[0]})")
    print("both hold" if holds else "NOT within the limits", flush=True)
