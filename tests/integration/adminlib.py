"""adminlib: a worker's pages as a test sees them.

    admin = Admin(worker)              # waits for http_up
    admin.json("/api/overview")["totals"]["waiting"]
    admin.metric("penstock_queue_depth", queue="default", state="waiting")
"""
import http.client
import json
import re
import socket

from simlib import SLACK

LINE = re.compile(r'^(\w+)(?:\{(.*)\})? (\S+)$')
LABEL = re.compile(r'(\w+)="([^"]*)"')


class Admin:
    def __init__(self, worker, token=None):
        up = worker.wait_event("http_up")
        self.host, self.port, self.token = up["host"], up["port"], token

    def ask(self, method, path, body=None, **headers):
        """(status, headers, text); header names with _ for -."""
        conn = http.client.HTTPConnection(self.host, self.port, timeout=15 * SLACK)
        head = {k.replace("_", "-"): v for k, v in headers.items()}
        if self.token:
            head.setdefault("Authorization", f"Bearer {self.token}")
        try:
            conn.request(method, path, None if body is None else json.dumps(body), head)
            answer = conn.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            conn.close()

    def status(self, path):
        return self.ask("GET", path)[0]

    def json(self, path):
        status, _, text = self.ask("GET", path)
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)

    def act(self, path, **body):
        status, _, text = self.ask("POST", path, body, X_Penstock="1")
        assert status == 200, f"{path}: {status} {text}"
        return json.loads(text)

    def metrics(self):
        """{name: [(labels, value)...]}"""
        status, _, text = self.ask("GET", "/metrics")
        assert status == 200, text
        all_ = {}
        for line in text.splitlines():
            if line.startswith("#"):
                continue
            name, labels, value = LINE.match(line).groups()
            all_.setdefault(name, []).append((dict(LABEL.findall(labels or "")), float(value)))
        return all_

    def metric(self, name, **labels):
        """The sum of all rows that carry these labels."""
        return sum(value for have, value in self.metrics().get(name, [])
                   if labels.items() <= have.items())

    def events(self, count):
        """The first moments of /events."""
        conn = http.client.HTTPConnection(self.host, self.port, timeout=15 * SLACK)
        head = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        try:
            conn.request("GET", "/events", headers=head)
            answer = conn.getresponse()
            assert answer.status == 200, answer.status
            got = []
            while len(got) < count:
                line = answer.readline().decode().strip()
                if line.startswith("data: "):
                    got.append(json.loads(line[6:]))
            return got
        finally:
            conn.close()

    def connect(self):
        return socket.create_connection((self.host, self.port), timeout=15 * SLACK)
