"""Scenario `rest`: GET status of a real daemon next to nginx answering the same bytes, each alone on the same core.

The load generator has the other core. Rounds alternate (nginx, daemon, nginx, daemon, …) so that drift of the machine hits both;
the ratio is that of the medians. `cpu_per_request_us` says whether the server or the generator was the limit: where the server's
core was not fully used, the generator was, and the ratio of CPU per request is the one to believe."""

import contextlib
import re
import socket
import statistics
import subprocess

from daemon import PREFIX, Daemon
from environment import cores, floor_program, free_port, tool
from processes import Child, RunError, wait_until

PATH = "/crr/status"
LUA = """
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('RESULT %d %d %d %d %d\\n', summary.requests, summary.duration,
    e.connect + e.read + e.write + e.timeout, e.status, latency:percentile(99)))
end
"""
NGINX = """
daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/nginx.error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s; tcp_nodelay on; server_tokens off;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/proxy; fastcgi_temp_path {dir}/fastcgi;
  uwsgi_temp_path {dir}/uwsgi; scgi_temp_path {dir}/scgi;
  server {{ listen 127.0.0.1:{port}; location / {{ default_type application/json; return 200 '{body}'; }} }}
}}
"""


def _nginx(directory, body, core):
    directory.mkdir()
    port = free_port()
    configuration = directory / "nginx.conf"
    configuration.write_text(NGINX.format(dir=directory, port=port, body=body))
    child = Child([tool("nginx"), "-p", directory, "-c", configuration], directory / "nginx.log", cores={core})
    return child, port


def _listening(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _wrk(server, port, script, core, seconds, connections):
    """One load run against one server: requests/s, CPU per request of both sides, errors."""
    command = ["taskset", "-c", str(core), tool("wrk"), "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "-s", str(script),
               f"http://127.0.0.1:{port}{PREFIX}{PATH}"]
    before = server.cpu_seconds()
    result = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
    server_cpu = server.cpu_seconds() - before
    server.check()
    match = re.search(r"^RESULT (\d+) (\d+) (\d+) (\d+) (\d+)$", result.stdout, re.MULTILINE)
    if result.returncode != 0 or not match:
        raise RunError(f"wrk failed: {result.stdout[-1000:]}{result.stderr[-1000:]}")
    requests, duration_us, broken, refused, p99_us = map(int, match.groups())
    if requests == 0 or broken > 0 or refused > 0:
        raise RunError(f"wrk saw {requests} requests, {broken} socket errors, {refused} error answers")
    return {"requests_per_s": round(requests * 1e6 / duration_us), "p99_us": p99_us,
            "cpu_per_request_us": round(server_cpu * 1e6 / requests, 3), "core_used": round(server_cpu / (duration_us / 1e6), 3)}


def _compare(options, report, script, servers, load_core, details):
    """All servers in turn, round after round, for each number of connections. The first is what the others are compared with."""
    rounds, seconds = (2, 2) if options.small else (options.rounds or 5, 5)
    reference = servers[0][0]
    for connections in options.connections or ([64] if options.small else [1, 64, 256]):
        runs = {name: [] for name, _, _ in servers}
        for index in range(rounds):
            for name, server, port in servers:
                runs[name].append(_wrk(server, port, script, load_core, seconds, connections))
                print(f"c={connections} round {index + 1}/{rounds} {name}: {runs[name][-1]}", flush=True)
        median = {key: {name: statistics.median(run[key] for run in side) for name, side in runs.items()}
                  for key in ("requests_per_s", "cpu_per_request_us")}
        ratios = {name: {"ratio": round(median["requests_per_s"][name] / median["requests_per_s"][reference], 3),
                         "cpu_ratio": round(median["cpu_per_request_us"][name] / median["cpu_per_request_us"][reference], 3)}
                  for name in list(runs)[1:]}
        report.add(connections=connections, seconds=seconds, **ratios["downbeat"], ratios=ratios, median=median, runs=runs, **details)
        print(f"c={connections}: to {reference}: {ratios}", flush=True)


def run(options, report, directory):
    usable = cores()
    if len(usable) < 2:
        raise RunError("scenario rest needs two cores: one for the server, one for wrk")
    server_core, load_core = usable[0], usable[1]
    script = directory / "result.lua"
    script.write_text(LUA)
    with contextlib.ExitStack() as stack:
        daemon = stack.enter_context(
            Daemon(options.downbeat, directory / "downbeat", options.sites or ["aws-east", "archive"], cores={server_core}))
        daemon.wait_ready()
        status, headers, body = daemon.request("GET", PATH)
        text = body.decode()
        if status != 200 or "'" in text:
            raise RunError(f"unexpected status answer {status}: {text[:200]}")
        nginx, nginx_port = _nginx(directory / "nginx", text, server_core)
        servers = [("nginx", stack.enter_context(nginx), nginx_port), ("downbeat", daemon.child, daemon.port)]
        if options.floor:
            port = free_port()
            floor = stack.enter_context(Child([floor_program("http-floor"), port], directory / "floor.log", cores={server_core}))
            servers.append(("floor", floor, port))
        for name, child, port in servers:
            wait_until(lambda port=port: _listening(port), 10, name, alive=[child])
        _compare(options, report, script, servers, load_core, {"body_bytes": len(body), "response_headers": headers})
