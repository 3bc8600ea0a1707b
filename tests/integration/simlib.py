"""simlib: a penstock-sim for a test. docs/simulator.md explains what it can do.

    with Sim(rpm=600, burst_s=1, latency="lognormal:450:0.7:100:3000") as sim:
        ... run something against sim.base_url ...
        assert sim.stats()["repeats"] == 0

Flags are keyword arguments: otpm_precharge=True is --otpm-precharge, key=["a=k1", "b=k2"] repeats
--key, fail={"529": 0.1} is --fail 529=0.1. The control API has a port of its own, so that the
simulator can be steered while it refuses connections. stop() fails if it did not end cleanly.
"""
import http.client
import json
import os
import pathlib
import subprocess
import tempfile
import time
import urllib.parse

ROOT = pathlib.Path(__file__).resolve().parents[2]
SLACK = float(os.environ.get("PENSTOCK_TEST_SLACK", "1"))


def build_dir():
    """The folder with the programs: PENSTOCK_BUILD, or build/ in the checkout."""
    return pathlib.Path(os.environ.get("PENSTOCK_BUILD", ROOT / "build"))


def wait_until(condition, timeout_s=10.0, what="the condition"):
    """Wait for condition() to be truthy and return it; never a bare sleep."""
    end = time.monotonic() + timeout_s * SLACK
    while True:
        got = condition()
        if got:
            return got
        if time.monotonic() > end:
            raise AssertionError(f"waited {timeout_s * SLACK:g} s in vain for {what}")
        time.sleep(0.01)


def _text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return ",".join(f"{k}={_text(v)}" for k, v in value.items())
    return str(value)


def _argv(flags):
    argv = []
    for name, value in flags.items():
        for one in value if isinstance(value, (list, tuple)) else [value]:
            argv.append(f"--{name.replace('_', '-')}={_text(one)}")
    return argv


class Sim:
    """One running simulator. Starts at once; stop() (or the end of the with block) ends it."""

    def __init__(self, binary=None, start=True, **flags):
        self.binary = str(binary or build_dir() / "penstock-sim")
        self.flags = {"listen": "127.0.0.1:0", "control": "127.0.0.1:0", **flags}
        self.process = self.base_url = self.control_url = None
        if start:
            self.start()

    def start(self):
        self._err = tempfile.TemporaryFile()
        self.process = subprocess.Popen([self.binary, *_argv(self.flags)], text=True,
                                        stdout=subprocess.PIPE, stderr=self._err)
        for line in self.process.stdout:
            if "control on " in line:
                self.control_url = line.split()[-1]
            if "listening on " in line:
                self.base_url = line.split()[-1]
                return self
        self.process.wait()
        raise AssertionError(f"penstock-sim did not start: {self.stderr()}")

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    @property
    def port(self):
        return urllib.parse.urlsplit(self.base_url).port

    @property
    def pid(self):
        return self.process.pid

    def stderr(self):
        self._err.seek(0)
        return self._err.read().decode(errors="replace")

    def stop(self):
        """End it by SIGTERM. A dirty end (exit code, anything on stderr) fails the test."""
        if self.process is None:
            return
        process, self.process = self.process, None
        process.terminate()
        try:
            code = process.wait(timeout=20 * SLACK)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError("penstock-sim did not stop within 20 s")
        finally:
            process.stdout.close()
        err = self.stderr()
        self._err.close()
        assert code == 0 and not err, f"penstock-sim ended with {code}: {err}"

    # The control API.

    def control(self, method, path, body=None):
        """One control request; gives the parsed answer (or its text where it is not JSON)."""
        where = urllib.parse.urlsplit(self.control_url)
        conn = http.client.HTTPConnection(where.hostname, where.port, timeout=30 * SLACK)
        try:
            conn.request(method, path, None if body is None else json.dumps(body))
            answer = conn.getresponse()
            text = answer.read().decode()
        finally:
            conn.close()
        if answer.status != 200:
            raise AssertionError(f"{method} {path}: {answer.status} {text.strip()}")
        return text if path.startswith("/sim/log") else json.loads(text)

    def stats(self):
        return self.control("GET", "/sim/stats")

    def quota(self, group=None, org=None):
        """The one quota of stats() that fits; what T_adm is made of (docs/simulator.md)."""
        fit = [q for q in self.stats()["quotas"]
               if (group is None or q["group"] == group) and (org is None or q["org"] == org)]
        assert len(fit) == 1, f"{len(fit)} quotas fit"
        return fit[0]

    def config(self, **settings):
        """Change settings: config(rpm=60), config(fail={"529": .7}, for_ms=20000), after_ms=..."""
        return self.control("POST", "/sim/config",
                            {k.replace("_", "-") if k not in ("for_ms", "after_ms") else k: v
                             for k, v in settings.items()})

    def refuse(self, for_ms=0):
        """Refuse connections and cut the existing ones, for a time or until accept()."""
        return self.control("POST", "/sim/config", {"refuse": True, "for_ms": for_ms})

    def accept(self):
        return self.control("POST", "/sim/config", {"refuse": False})

    def cut(self):
        """Reset all connections that exist now."""
        return self.control("POST", "/sim/cut")["cut"]

    def script(self, *steps):
        """Lay out answers: script({"match": {"contains": "abc"}, "status": 429, ...}, ...)"""
        return self.control("POST", "/sim/script", {"steps": list(steps)})

    def clear_script(self):
        return self.control("DELETE", "/sim/script")

    def reset(self, **what):
        """Zero the counts; buckets=True makes the buckets new as well, peaks=True only the peaks."""
        return self.control("POST", "/sim/reset", what)

    def log(self, since=0):
        """Every logged request after number `since`, oldest first."""
        records = []
        while True:
            lines = self.control("GET", f"/sim/log?since={since}&limit=20000").splitlines()
            if not lines:
                return records
            records += [json.loads(line) for line in lines]
            since = records[-1]["n"]

    def seen(self, text=""):
        """How many logged requests have the text in the first 32 bytes of their prompt."""
        return self.control("GET", "/sim/seen?contains=" + urllib.parse.quote(text))

    def series(self):
        """Arrivals, accepted, refused and failed, second by second since the last reset."""
        return self.control("GET", "/sim/series")["seconds"]

    def wait_for(self, count, timeout_s=10.0, field="requests"):
        """Wait until stats()[field] reaches count; gives the stats."""
        def reached():
            stats = self.stats()
            return stats if stats[field] >= count else None
        return wait_until(reached, timeout_s, f"{field} >= {count}")
