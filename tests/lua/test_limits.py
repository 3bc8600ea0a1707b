"""What holds for all scripts: memory that runs out, bounds of time, a script's own head."""
import re
import socket
import time

import pytest
import redis

from lua_lib import (LARGE, LUA, SCRIPTS, Admission, Pool, Queue, Redisd, Reject, bury, done, later,
                     source)


@pytest.fixture
def full(q1):
    """A queue with a job in each state, in a Redis that has no memory left."""
    q1.push("payload", "{")
    q1.unread = q1.claim(want=2)
    q1.holder = q1.take("a", "b", "c", "d")
    q1.kill("dead1", "dead2")
    q1.push("more")
    q1.redis.config_set("maxmemory", 1)
    yield q1
    q1.redis.config_set("maxmemory", 0)


def test_without_memory_nothing_new_is_taken(full):
    with pytest.raises(redis.exceptions.ResponseError, match="maxmemory"):
        full.claim()
    assert full.redis.llen(full.key("jobs")) == 1


def test_without_memory_all_that_is_in_flight_can_end(full):
    claim = full.unread
    assert full.admit(claim.token, Admission(claim.ids[0], "e", reply_to="r"))[0].code == "active"
    assert full.reject(claim.token, Reject(claim.ids[1])) != [""]
    assert full.settle(done("a", full.holder, reply_to="inbox", run="r"), bury("b", full.holder),
                       later("c", full.holder)) == ["ok"] * 3
    assert full.renew(("d", full.holder)) == []


def test_without_memory_a_duplicate_is_answered(full):
    full.settle(done("a", full.holder))
    claim = full.unread
    assert full.admit(claim.token, Admission(claim.ids[0], "a", reply_to="inbox"))[0].code == "duplicate"
    assert full.replies("inbox") == [full.result("a")]


def test_without_memory_leases_that_ran_out_come_back(full):
    full.redis.config_set("maxmemory", 0)
    full.pass_ms(60_000)
    full.redis.config_set("maxmemory", 1)
    assert full.tick().recovered == 6


def test_without_memory_the_dead_can_be_dropped_and_retried(full):
    assert full.dead_drop("dead1") == [1]
    assert full.dead_retry("dead2") == [1]


def test_without_memory_a_gate_shuts_for_the_fleet_and_opens(full):
    pool = Pool(full.server)
    assert pool.shut("auth", trouble=True)[1]
    assert pool.enter(eager=True).starts == 1
    assert pool.open(only_trouble=True)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_scripts_head_says_what_it_keeps_or_what_a_repeat_does(name):
    text = (LUA / f"{name}.lua").read_text()
    head = text[:text.index("]]")]
    assert "Returns {now" in head
    assert re.search(r"^  (Keeps|Repeat):", head, re.M)


@pytest.mark.parametrize("name", SCRIPTS)
def test_only_a_claim_is_refused_without_memory(name):
    first = source(name).split("\n", 1)[0]
    flags = {"claim": "", "look": " flags=no-writes"}
    assert first == "#!lua" + flags.get(name, " flags=allow-oom")


def test_scripts_touch_only_keys_of_their_queue(q1):
    q1.kill("a", run="r", reply_to="inbox")
    q1.dead_retry("a")
    q1.redis.sadd(q1.key("cancel"), "b")
    q1.tick()
    assert all(key.startswith(b"penstock:{q}:") for key in q1.redis.keys("*"))


def test_a_large_payload_crosses_lua_once(q1):
    """The memory of Lua does not keep what went through it."""
    for _ in range(20):
        q1.push(b"b" * (64 * LARGE))
        claim = q1.claim()
        assert claim.items[0].payload is None and claim.items[0].bytes == 64 * LARGE
        q1.admit(claim.token, Admission(claim.ids[0], "a"))
        q1.settle(later("a", claim.token, 0))
        claim = q1.claim()
        assert claim.items[0].id == "a" and claim.items[0].payload is None, "nor when it comes back"
        q1.settle(done("a", claim.token))
        q1.redis.delete(q1.key("result:a"))
    assert q1.redis.info("memory")["used_memory_vm_eval"] < 32 * 64 * LARGE


@pytest.fixture(scope="module")
def cluster():
    """A cluster of one node: it refuses keys of other slots like any."""
    with socket.socket() as free:  # its bus needs a port, even without others
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = Redisd("--cluster-enabled", "yes", "--cluster-port", str(port), "--bind", "127.0.0.1")
    running.client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, 16383)
    until = time.monotonic() + 20
    while b"cluster_state:ok" not in running.client.execute_command("CLUSTER", "INFO"):
        assert time.monotonic() < until, "the cluster does not come up"
    yield running
    running.stop()


def test_every_script_runs_in_a_cluster(cluster):
    q = Queue(cluster, "orders")
    q.push("1", "2", "{", "4")
    claim = q.claim()
    jobs = [Admission(id, f"j{i}", run="r", reply_to="inbox") for i, id in enumerate(claim.ids)]
    assert q.admit(claim.token, *jobs[:2], jobs[3])
    assert q.reject(claim.token, Reject(claim.ids[2], "bad", q.ulid(), reply_to="inbox")) == ["bad"]
    assert q.renew(("j0", claim.token)) == []
    assert q.settle(done("j0", claim.token, run="r", reply_to="inbox"), bury("j1", claim.token),
                    later("j3", claim.token, 5000)) == ["ok"] * 3
    q.redis.sadd(q.key("cancel"), "unknown")
    assert q.tick().dead == 2
    assert q.dead_retry("j1") == q.dead_drop("bad") == [1]
    pool = Pool(cluster)
    assert pool.shut("auth", trouble=True) and pool.enter(eager=True).starts == 1 and pool.open()
