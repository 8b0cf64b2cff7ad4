"""Child processes of a load run: started pinned, ended by pid, measured from outside.

Every child dies with the driver (parent-death signal) and is ended by its own pid; nothing is ever ended by name."""

import ctypes
import json
import os
import signal
import subprocess
import time

PR_SET_PDEATHSIG = 1
END_TIMEOUT_S = 35
_libc = ctypes.CDLL(None, use_errno=True)


class RunError(Exception):
    """Something a load run needs is missing or did not work; the message is for the person running it."""


def _prepare(cores):
    def run():
        _libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        if cores is not None:
            os.sched_setaffinity(0, cores)

    return run


class Child:
    """A running program. `cores` pins it (and its threads) to those cores; None leaves it where the driver is."""

    def __init__(self, command, log_path, cores=None, environment=None, stdout=None, stdin=subprocess.DEVNULL):
        self.command = [str(part) for part in command]
        self.log_path = log_path
        with open(log_path, "ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=stdin, stdout=stdout or log, stderr=log,
                env={**os.environ, **(environment or {})}, preexec_fn=_prepare(cores))
        self.pid = self.process.pid
        # The kernel's clock of another process: CPUCLOCK_SCHED of ~pid (clock_getcpuclockid(3) computes the same).
        self._cpu_clock = (~self.pid << 3) | 2

    def running(self):
        return self.process.poll() is None

    def check(self):
        if not self.running():
            raise RunError(f"{self.command[0]} ended with {self.process.returncode}:\n{self.log_tail()}")

    def cpu_seconds(self):
        """User and system time of all its threads, finished ones included, in nanosecond resolution."""
        return time.clock_gettime(self._cpu_clock)

    def status(self):
        """RSS now and at its peak (kB), and the number of threads."""
        fields = {}
        with open(f"/proc/{self.pid}/status", encoding="ascii", errors="replace") as file:
            for line in file:
                name, _, value = line.partition(":")
                fields[name] = value.split()
        return {"rss_kb": int(fields["VmRSS"][0]), "rss_peak_kb": int(fields["VmHWM"][0]), "threads": int(fields["Threads"][0])}

    def log_tail(self, bytes_max=2000):
        with open(self.log_path, "rb") as log:
            return log.read()[-bytes_max:].decode(errors="replace")

    def end(self):
        """SIGTERM, then SIGKILL after a bound. Returns the exit code (negative: the signal)."""
        if self.running():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe:
                pipe.close()
        return self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def run_json(command, log_path, timeout_s, cores=None):
    """Runs a program to its end and parses the one JSON object it prints."""
    with Child(command, log_path, cores=cores, stdout=subprocess.PIPE) as child:
        try:
            out, _ = child.process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired as error:
            raise RunError(f"{command[0]} took longer than {timeout_s} s") from error
        if child.process.returncode != 0:
            raise RunError(f"{' '.join(child.command)}\nended with {child.process.returncode}:\n{child.log_tail()}")
        return json.loads(out)


def wait_until(condition, timeout_s, what, interval_s=0.02, alive=()):
    """The first true value of `condition`; fails with `what` when time is up, or at once when a child in `alive` ended."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        for child in alive:
            child.check()
        if time.monotonic() > deadline:
            raise RunError(f"{what}: not within {timeout_s} s")
        time.sleep(interval_s)
