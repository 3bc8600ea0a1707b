"""producer: pushes jobs while the play lasts, each exactly once, whatever happens to Redis.

A push and the number of its batch are one transaction, so that after an error the producer can see
whether Redis had taken it. Most jobs are plain; some are malformed, pushed twice, delayed or cancelled.
"""
import json
import threading
import time

import redis

BATCH = 20


def kind_of(n):
    return {7: "malformed", 13: "twin", 21: "delayed", 33: "cancelled"}.get(n % 50, "plain")


def payloads(n, job_id):
    job = {"id": job_id, "prompt": job_id, "reply_to": "all", "run": "chaos", "timeout_ms": 8000}
    kind = kind_of(n)
    if kind == "malformed":
        job["promt"] = "a typing mistake"
    elif kind == "delayed":
        job["delay_ms"] = 500
    if kind == "twin":
        return [job, {k: v for k, v in job.items() if k != "reply_to"}]
    return [job]


class Producer(threading.Thread):
    def __init__(self, stage, most):
        super().__init__(daemon=True)
        self.stage, self.most = stage, most
        self.ids, self.pushed = [], 0
        self.batches = 0
        self.over = threading.Event()
        self.fault = None
        self.stem = f"penstock:{{{stage.opt.queue}}}:"
        self.client = redis.Redis(unix_socket_path=stage.redis.socket, decode_responses=True,
                                  socket_timeout=20)

    def run(self):
        try:
            while not self.over.is_set() and len(self.ids) < self.most:
                self.step()
        except Exception as fault:  # reported by the main thread
            self.fault = fault

    def step(self):
        try:
            waiting = self.client.llen(self.stem + "jobs")
        except redis.RedisError:
            waiting = self.stage.opt.backlog
        if waiting >= self.stage.opt.backlog:
            time.sleep(0.02)
            return
        first = len(self.ids)
        names = [f"j{n}" for n in range(first, first + BATCH)]
        raw = [json.dumps(p) for n, name in enumerate(names, first) for p in payloads(n, name)]
        self.batches += 1
        while not self.push(raw):
            time.sleep(0.05)
        self.ids += names
        self.pushed += len(raw)
        self.cancel([name for n, name in enumerate(names, first) if kind_of(n) == "cancelled"])

    def push(self, raw):
        """One attempt, if Redis has not taken it already; True when it has."""
        mark = f"penstock:chaos:{{{self.stage.opt.queue}}}:pushed"
        try:
            if self.client.get(mark) == str(self.batches):
                return True
            pipe = self.client.pipeline(transaction=True)
            pipe.lpush(self.stem + "jobs", *raw)
            pipe.set(mark, self.batches)
            pipe.execute()
            return True
        except redis.RedisError:
            return False

    def cancel(self, names):
        while names:
            try:
                self.client.sadd(self.stem + "cancel", *names)
                return
            except redis.RedisError:
                time.sleep(0.05)

    def finish(self):
        self.over.set()
        self.join()
        if self.fault:
            raise self.fault
