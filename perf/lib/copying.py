"""Scenario `copy`: objects from one HTTP server to another through the whole daemon, next to C.

nginx serves static files, another nginx takes them with PUT; both stand in for S3 (the second answers with the ETag a copy should
have and heeds `If-None-Match: *`, as S3 does). Sides: `downbeat` (Kafka entries in, signatures, looks at the target, MD5, status),
`c` (libcurl's multi interface: GET and PUT, nothing else), `c-md5` (the same, digesting the bytes) and `floor` (read and write, one
thread an object). Each side copies the same objects, 16 in flight, to an empty target in memory."""

import hashlib
import os
import pathlib
import shutil
import statistics
import tempfile
import threading
import time

from broker import Broker
from daemon import Daemon
from environment import BIN, free_port, tool
from processes import Child, RunError, run_json, wait_until

IN_FLIGHT = 16
# What the daemon may have resident with 64 large objects at once.
RSS_MAX_KB = 100_000_000 // 1024
TIMEOUT_S = 120
# Between two looks at the daemon's counters, each of which costs it, and the core it runs on, more than a copy: the end is known
# from the copies themselves.
SAMPLE_S = 0.1
PARTITIONS = 4
MIB = 1 << 20
SUITES = {
    "many": {"objects": 2_000, "bytes": 4_096, "rounds": 5},
    "large": {"objects": 8, "bytes": 256 * MIB, "rounds": 3},
    # Memory only: more transfers at once than the pool has blocks for.
    "wide": {"objects": 64, "bytes": 32 * MIB, "rounds": 1, "in_flight": 64, "alone": True},
}
SMALL = {"many": {"objects": 200, "bytes": 4_096, "rounds": 1}, "large": {"objects": 2, "bytes": 8 * MIB, "rounds": 1}}

CONFIGURATION = """
daemon off; master_process off; worker_processes 1; pid {dir}/nginx.pid; error_log {dir}/error.log; {user}
events {{ worker_connections 4096; }}
http {{
  access_log off; log_not_found off; sendfile on; tcp_nodelay on; keepalive_requests 1000000; client_max_body_size 0; default_type image/png;
  client_body_temp_path {dir}/body; proxy_temp_path {dir}/p; fastcgi_temp_path {dir}/f; uwsgi_temp_path {dir}/u; scgi_temp_path {dir}/s;
  client_body_buffer_size 256k;
  map $http_x_amz_meta_downbeat $copied {{ default ""; "~^1;[0-9]+;[0-9]*;(?<md5>[0-9a-f]+);" '"$md5"'; }}
  server {{
    listen 127.0.0.1:{port};
    root {root};
    location / {{ {more} }}
  }}
}}
"""

# As S3 does, it refuses to write with `If-None-Match: *` where something stands.
TARGET = """dav_methods PUT; create_full_put_path on; add_header ETag $copied;
      set $there $http_if_none_match;
      if (-e $request_filename) { set $there "${there} something"; }
      if ($there = "* something") { return 412; }"""


def _nginx(directory, root, more=""):
    directory.mkdir()
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    path = directory / "nginx.conf"
    path.write_text(CONFIGURATION.format(dir=directory, root=root, port=port, more=more, user=user))
    child = Child([tool("nginx"), "-p", directory, "-c", path], directory / "nginx.log")
    wait_until(lambda: (directory / "nginx.pid").exists(), 10, "nginx", alive=[child])
    return child, port


def _make_source(root, case):
    """All objects have the same bytes: links to one file."""
    folder = root / "photos" / "2031" / "02"
    folder.mkdir(parents=True)
    data = os.urandom(MIB)
    digest = hashlib.md5()
    first = folder / "cat-000000000000.png"
    with open(first, "wb") as file:
        for start in range(0, case["bytes"], MIB):
            part = data[:min(MIB, case["bytes"] - start)]
            file.write(part)
            digest.update(part)
    for index in range(1, case["objects"]):
        os.link(first, folder / f"cat-{index:012d}.png")
    return digest.hexdigest()


def _make_present(scratch, case):
    """Memory the target is about to need, in a file to be removed when the round begins: a virtual machine gives free memory back to
    its host after two seconds, and getting it again costs the target's nginx more than all else. Each round must find it alike."""
    path = scratch / "present"
    data = bytes(MIB)
    with open(path, "wb") as file:
        for _ in range(case["objects"] * case["bytes"] // MIB):
            file.write(data)
    return path


def _check(target, case, md5):
    files = sorted(target.rglob("*.png"))
    if len(files) != case["objects"] or any(file.stat().st_size != case["bytes"] for file in files):
        raise AssertionError(f"{len(files)} copies of {case['objects']}")
    with open(files[-1], "rb") as file:
        if hashlib.file_digest(file, "md5").hexdigest() != md5:
            raise AssertionError(f"{files[-1]} differs")


def _figures(case, seconds, cpu_seconds, rss_kb):
    return {"objects_per_s": round(case["objects"] / seconds, 1), "mb_per_s": round(case["objects"] * case["bytes"] / 1e6 / seconds, 1),
            "cpu_s": round(cpu_seconds, 3), "rss_peak_kb": rss_kb, "seconds": round(seconds, 4)}


def _c_round(command, case, directory):
    numbers = run_json(command, directory / "c.log", TIMEOUT_S)
    return _figures(case, numbers["seconds"], numbers["cpu_seconds"], numbers["max_rss_kb"])


def _last_copy(target):
    """When the last copy appeared, as time.monotonic() counts."""
    # Both clocks before the files are looked at: that takes a while.
    now, now_ns = time.monotonic(), time.time_ns()
    return now - (now_ns - max(file.stat().st_ctime_ns for file in target.rglob("*.png"))) / 1e9


def _daemon_round(options, case, directory, ports, broker, name, fill, target):
    credentials = {"accessKey": "test", "secretKey": "test"}
    source = {"type": "s3", "endpoint": f"http://127.0.0.1:{ports[0]}", "credentials": credentials}
    place = {"site": "copy", "type": "s3", "endpoint": f"http://127.0.0.1:{ports[1]}", "bucket": "copies", "credentials": credentials}
    processor = {"concurrency": case.get("in_flight", IN_FLIGHT), "waitingMax": 64, "minMPUSizeMB": 5000}
    with Daemon(options.downbeat, directory / name, [place], kafka=broker.bootstrap, group=name, topic="perf", source=source,
                processor=processor, roles="api,queue-processor") as daemon:
        daemon.wait_ready()
        filling = None
        if fill:
            wait_until(lambda: daemon.get_json("/crr/locations/copy")["state"] == "enabled", TIMEOUT_S, "an assignment", alive=[daemon.child])
            # Beside the look-out for the first entry taken.
            filling = threading.Thread(target=fill)
            filling.start()
        deadline = time.monotonic() + TIMEOUT_S
        # From the first entry taken: large objects that run beside each other all end at the same time.
        start = (time.monotonic(), daemon.child.cpu_seconds())
        while daemon.taken() == 0:
            daemon.child.check()
            if time.monotonic() > deadline:
                raise RunError(f"nothing taken after {TIMEOUT_S} s")
            start = (time.monotonic(), daemon.child.cpu_seconds())
        if filling:
            filling.join()
        while daemon.finished() < case["objects"]:
            daemon.child.check()
            if time.monotonic() > deadline:
                raise RunError(f"{daemon.finished()} of {case['objects']} entries done after {TIMEOUT_S} s")
            time.sleep(SAMPLE_S)
        cpu_seconds = daemon.child.cpu_seconds() - start[1]
        last = daemon.child.status()
    return _figures(case, _last_copy(target) - start[0], cpu_seconds, last["rss_peak_kb"])


def run_case(options, report, directory, case, suite):
    scratch = pathlib.Path(tempfile.mkdtemp(prefix="downbeat-copy-", dir="/dev/shm"))
    directory.mkdir()
    children = []
    try:
        (scratch / "target").mkdir()
        md5 = _make_source(scratch / "source", case)
        source, source_port = _nginx(scratch / "from", scratch / "source")
        children.append(source)
        target, target_port = _nginx(scratch / "to", scratch / "target", TARGET)
        children.append(target)
        from_url, to_url = f"http://127.0.0.1:{source_port}", f"http://127.0.0.1:{target_port}/copies"
        curl = [BIN / "copycurl", "--source", from_url, "--target", to_url, "--count", case["objects"], "--in-flight", IN_FLIGHT]
        relay = [BIN / "copyrelay", "--source-port", source_port, "--target-port", target_port, "--count", case["objects"],
                 "--in-flight", IN_FLIGHT]
        rounds = {"downbeat": []} if case.get("alone") else {"floor": [], "c": [], "c-md5": [], "downbeat": []}
        for index in range(options.rounds or case["rounds"]):
            for side, results in rounds.items():
                if side == "downbeat":
                    with Broker(directory, "perf", PARTITIONS) as broker:
                        def fill():
                            broker.fill(case["objects"], 1_695, ["copy"], content=(case["bytes"], md5))

                        def fill_late():
                            _make_present(scratch, case).unlink()
                            fill()
                        # Many entries would still come in while the first are copied.
                        is_late = case["bytes"] >= MIB
                        if not is_late:
                            fill()
                        results.append(_daemon_round(options, case, directory, (source_port, target_port), broker, f"copy-{index}",
                                                     fill_late if is_late else None, scratch / "target"))
                else:
                    _make_present(scratch, case).unlink()
                    results.append(_c_round(relay if side == "floor" else curl + (["--md5"] if side == "c-md5" else []), case, directory))
                print(f"  {side:9} {results[-1]}", flush=True)
                _check(scratch / "target", case, md5)
                shutil.rmtree(scratch / "target" / "copies")
    finally:
        for child in children:
            child.end()
        shutil.rmtree(scratch, ignore_errors=True)
    key = "mb_per_s" if case["bytes"] >= MIB else "objects_per_s"
    median = {side: {name: statistics.median(run[name] for run in runs) for name in runs[0]} for side, runs in rounds.items()}
    ratios = {side: round(median["downbeat"][key] / median[side][key], 3) for side in median}
    report.add(suite=suite, case=case, figure=key, ratios=ratios, median=median, runs=rounds)
    print(f"{suite}: {key} {({side: figures[key] for side, figures in median.items()})}; downbeat is {ratios} of them; "
          f"peak RSS {median['downbeat']['rss_peak_kb'] // 1024} MiB", flush=True)
    peak = max(run["rss_peak_kb"] for run in rounds["downbeat"])
    if case.get("alone") and peak > RSS_MAX_KB:
        raise RunError(f"{peak} kB resident with {case['in_flight']} objects at once, at most {RSS_MAX_KB}")


def run(options, report, directory):
    for suite, case in (SMALL if options.small else SUITES).items():
        if not options.suite or suite in options.suite:
            run_case(options, report, directory / suite, case, suite)
