"""What lies in deploy/ holds: the Redis configuration starts and keeps, each user of users.acl can do
its work and no more, and systemd understands the unit."""
import json
import re
import shutil
import subprocess

import pytest
import redis as redis_py

import fleet as fleet_of
from simlib import ROOT

DEPLOY = ROOT / "deploy"
SH = "penstock:{default}:"


class Guarded(fleet_of.Redis):
    """A redis-server with users.acl, its passwords filled in. `client` is the operator."""

    @classmethod
    def with_users(cls, folder):
        acl = folder / "users.acl"
        acl.write_text((DEPLOY / "redis" / "users.acl").read_text().replace("CHANGE-ME-", "pw-"))
        return cls(str(DEPLOY / "redis" / "redis.conf"), "--aclfile", str(acl))

    def start(self):
        # redis-server takes the file first, then the flags that Redis.start() puts before it.
        self.args, conf = self.args[1:], self.args[0]
        self.launch(["redis-server", conf, "--port", "0", "--unixsocket", self.socket, "--dir", self.dir,
                     *self.args], self.as_user("operator"))

    def as_user(self, name):
        return redis_py.Redis(unix_socket_path=self.socket, username=name, password=f"pw-{name}",
                              decode_responses=True)


@pytest.fixture
def guarded(tmp_path, monkeypatch):
    monkeypatch.setattr(fleet_of, "Redis", lambda *args: Guarded.with_users(tmp_path))
    with fleet_of.Fleet(rpm=600, burst_s=1) as fleet:
        yield fleet


def refused(client, *command):
    with pytest.raises(redis_py.ResponseError, match="no permissions|NOPERM"):
        client.execute_command(*command)


def test_a_worker_works_and_a_producer_pushes_with_the_rights_of_users_acl(guarded):
    guarded.worker(concurrency=4, governor="off", env={"PENSTOCK_REDIS_URL": f"unix://worker:pw-worker@{guarded.redis.socket}"})
    producer = guarded.redis.as_user("producer")
    for n in range(30):
        producer.lpush(SH + "jobs", json.dumps({"id": f"j{n}", "prompt": "x", "reply_to": "r"}))
    for _ in range(30):
        assert json.loads(producer.blpop(SH + "reply:r", 20)[1])["status"] == "succeeded"
    assert guarded.stat("throttles") > 0, "429s take the worker through every script"
    assert json.loads(producer.get(SH + "result:j7"))["id"] == "j7"
    assert producer.sadd(SH + "cancel", "later") == 1
    worker_refusals = [entry for entry in guarded.r.acl_log() if entry["username"] == "worker"]
    assert not worker_refusals


def test_the_command_line_works_with_the_rights_that_docs_redis_md_names(guarded):
    def cli(user, *words):
        guarded.cli(*words, "--redis-url", f"unix://{user}:pw-{user}@{guarded.redis.socket}")
    guarded.worker(env={"PENSTOCK_REDIS_URL": f"unix://worker:pw-worker@{guarded.redis.socket}"})
    cli("producer", "push", "--id", "p", "--wait", "hello")
    cli("producer", "get", "p")
    cli("producer", "wait", "p")
    for words in (["stats"], ["top", "--once"], ["runs"], ["workers"], ["limits"]):
        cli("watcher", *words)


def test_a_producer_sees_no_ones_jobs_and_a_watcher_changes_nothing(guarded):
    producer, watcher = guarded.redis.as_user("producer"), guarded.redis.as_user("watcher")
    for command in (("LRANGE", SH + "jobs", 0, -1), ("LPOP", SH + "jobs"), ("SMEMBERS", SH + "cancel"),
                    ("HGETALL", SH + "stats"), ("SET", "a", "b"), ("KEYS", "*"), ("FLUSHALL",)):
        refused(producer, *command)
    assert watcher.llen(SH + "jobs") == 0 and watcher.hgetall(SH + "stats") == {}
    for command in (("LPUSH", SH + "jobs", "{}"), ("DEL", SH + "stats"), ("KEYS", "*"), ("GET", "other")):
        refused(watcher, *command)
    with pytest.raises(redis_py.AuthenticationError):
        redis_py.Redis(unix_socket_path=guarded.redis.socket).ping()


def test_redis_conf_keeps_every_write_and_evicts_nothing(guarded):
    for name, value in {"appendonly": "yes", "maxmemory-policy": "noeviction", "appendfsync": "everysec"}.items():
        assert guarded.r.config_get(name) == {name: value}


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_systemd_understands_the_unit_and_calls_it_well_guarded(tmp_path):
    unit = tmp_path / "penstock-worker.service"
    text = (DEPLOY / "penstock-worker.service").read_text()
    unit.write_text(text.replace("/usr/local/bin/penstock-worker", "/bin/true"))
    verify = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True)
    assert "penstock" not in verify.stderr + verify.stdout  # it returns 0 on bad keys
    said = subprocess.run(["systemd-analyze", "security", "--offline=true", str(unit)],
                          capture_output=True, text=True, check=True).stdout
    assert float(re.search(r"exposure level for \S+: ([\d.]+)", said).group(1)) <= 1.5


def test_the_worker_may_drain_before_it_is_killed():
    """25 s of PENSTOCK_DRAIN_MS, and some to spare, in each place that kills."""
    assert int(re.search(r"^TimeoutStopSec=(\d+)", (DEPLOY / "penstock-worker.service").read_text(), re.M).group(1)) >= 35
    assert int(re.search(r"stop_grace_period: (\d+)s", (ROOT / "docker-compose.yml").read_text()).group(1)) >= 35
