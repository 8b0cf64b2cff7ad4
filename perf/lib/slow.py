"""Scenario `slow`: what a thousand slow or odd clients do to the others.

Crowds hold connections open in different ways: heads sent a byte at a time, answers never read, requests pipelined in one packet.
Meanwhile an ordinary client asks for the status one request after the other; its latency is measured without and with each crowd.
A crowd that the daemon closes (its right, after a time-out) is counted."""

import multiprocessing
import selectors
import socket
import time

from daemon import PREFIX, Daemon
from processes import RunError

REQUEST = f"GET {PREFIX}/crr/status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
TRICKLE_INTERVAL_S = 0.5
PIPELINED = 64


def _connect(port, receive_bytes=None):
    client = socket.socket()
    if receive_bytes:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    client.settimeout(5)
    client.connect(("127.0.0.1", port))
    client.setblocking(False)
    return client


class Crowd(multiprocessing.Process):
    """Base: `count` connections; `act` is called for each of them every TRICKLE_INTERVAL_S. Reads and drops what arrives.
    A process of its own, so that its work is not taken for the daemon's latency."""

    receive_bytes = None
    reads = True

    def __init__(self, port, count):
        super().__init__(daemon=True)
        self.port, self.count = port, count
        self.connected, self.stopped = multiprocessing.Event(), multiprocessing.Event()
        self.closed = multiprocessing.Value("i", 0)
        self.clients = []

    def act(self, client, turn):
        raise NotImplementedError

    def run(self):
        self.clients = [_connect(self.port, self.receive_bytes) for _ in range(self.count)]
        self.connected.set()
        selector = selectors.DefaultSelector()
        for client in self.clients:
            selector.register(client, selectors.EVENT_READ)
        turn = 0
        while not self.stopped.is_set():
            for client in list(self.clients):
                try:
                    self.act(client, turn)
                except BlockingIOError:
                    pass
                except OSError:
                    self._lost(selector, client)
            turn += 1
            self._receive(selector, time.monotonic() + TRICKLE_INTERVAL_S)
        for client in self.clients:
            client.close()

    def _receive(self, selector, until):
        while self.reads and (left := until - time.monotonic()) > 0 and not self.stopped.is_set():
            for key, _ in selector.select(left):
                try:
                    if key.fileobj.recv(65536) == b"":
                        self._lost(selector, key.fileobj)
                except BlockingIOError:
                    pass
                except OSError:
                    self._lost(selector, key.fileobj)
        self.stopped.wait(max(0, until - time.monotonic()))

    def _lost(self, selector, client):
        if client in self.clients:
            selector.unregister(client)
            self.clients.remove(client)
            client.close()
            self.closed.value += 1


class Idle(Crowd):
    def act(self, client, turn):
        pass


class Trickle(Crowd):
    """One byte of a head now and then; it never ends."""

    def act(self, client, turn):
        client.send((REQUEST[:-2] + b"X-Slow: " + b"a" * 4000)[turn:turn + 1])


class NeverRead(Crowd):
    """Asks and asks and reads nothing: the answers must not pile up in the daemon."""

    receive_bytes = 4096
    reads = False

    def act(self, client, turn):
        client.send(REQUEST * PIPELINED)


class Pipelined(Crowd):
    """Many requests in one packet, over and over: one connection's turn must be bounded."""

    def act(self, client, turn):
        client.send(REQUEST * PIPELINED)


def _latencies(daemon, seconds):
    values, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        start = time.perf_counter()
        status, _, _ = daemon.request("GET", "/crr/status")
        values.append(time.perf_counter() - start)
        if status != 200:
            raise RunError(f"status answered {status} under load")
        time.sleep(0.002)
    values.sort()
    return {"requests": len(values), "p50_ms": round(values[len(values) // 2] * 1e3, 3),
            "p99_ms": round(values[len(values) * 99 // 100] * 1e3, 3), "max_ms": round(values[-1] * 1e3, 3)}


def run(options, report, directory):
    count, seconds = (100, 2) if options.small else (1000, 15)
    for kind in (None, Idle, Trickle, NeverRead, Pipelined):
        name = "nobody" if kind is None else kind.__name__.lower()
        with Daemon(options.downbeat, directory / name, ["aws-east", "archive"]) as daemon:
            daemon.wait_ready()
            before = daemon.child.status()
            crowd = kind(daemon.port, count) if kind else None
            if crowd:
                crowd.start()
                if not crowd.connected.wait(30):
                    raise RunError(f"the {name} crowd could not connect")
            latency = _latencies(daemon, seconds)
            after = daemon.child.status()
            if crowd:
                crowd.stopped.set()
                crowd.join(10)
        result = {"crowd": name, "count": count if kind else 0, "closed": crowd.closed.value if crowd else 0, "latency": latency,
                  "rss_kb": after["rss_kb"], "rss_grown_kb": after["rss_kb"] - before["rss_kb"], "threads": after["threads"]}
        report.add(**result)
        print(result, flush=True)
