"""A worker under Sentinel: it follows the master, whoever that is, and no other."""
import signal
import time

import pytest
import redis

from clilib import ALL_WELL, json_lines, run, start, text_file
from fleet import Fleet
from sentinellib import Watched
from simlib import SLACK, Sim, wait_until


@pytest.fixture
def fleet():
    watched = Watched()
    running = Fleet.__new__(Fleet)
    running.queue, running.workers, running.redis = "default", [], watched
    try:
        running.sim = Sim(latency=20)
    except BaseException:
        watched.stop()
        raise
    with running:
        yield running


def push_and_replicate(fleet, count):
    fleet.push(*[{"id": f"j{n}", "prompt": f"j{n}"} for n in range(count)])
    fleet.r.execute_command("WAIT", 1, 5000)
    return [f"j{n}" for n in range(count)]


def have_results(fleet, ids):
    def all_there():
        try:
            return fleet.r.exists(*[fleet.key(f"result:{i}") for i in ids]) == len(ids)
        except redis.RedisError:
            return False
    wait_until(all_there, 90, f"{len(ids)} results")


def repeated_calls(fleet):
    seen = [record["prompt_head"] for record in fleet.sim.log() if record["status"] == 200]
    return len(seen) - len(set(seen))


def test_a_killed_master_is_followed_to_its_replica(fleet):
    worker = fleet.worker(concurrency=8, lease_ms=5000)
    old = fleet.redis.master()
    ids = push_and_replicate(fleet, 300)
    wait_until(lambda: fleet.stat("succeeded") >= 30, 30, "some results")
    old.kill()
    wait_until(lambda: fleet.redis.master() is not old, 60, "another master")
    since = time.monotonic()
    wait_until(lambda: len(worker.events("redis_up")) == 2, 60, "the worker to follow")
    print(f"back {time.monotonic() - since:.2f} s after the new master")
    have_results(fleet, ids)
    assert repeated_calls(fleet) <= 64, "only what was in hand may be called again"
    assert len(worker.events("redis_down")) == 1
    old.start()  # comes back as a replica
    fleet.push({"id": "after", "prompt": "after"})
    have_results(fleet, ["after"])
    assert worker.drain() == 0


def test_a_demoted_master_that_still_answers_is_left(fleet):
    worker = fleet.worker(concurrency=8, lease_ms=5000)
    old = fleet.redis.master()
    ids = push_and_replicate(fleet, 100)
    wait_until(lambda: fleet.stat("succeeded") >= 10, 30, "some results")
    fleet.redis.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", "mymaster")
    wait_until(lambda: fleet.redis.master() is not old, 60, "another master")
    wait_until(lambda: len(worker.events("redis_up")) >= 2, 60, "the worker to follow")
    assert "names another master" in worker.events("redis_down")[0]["why"], "told, not found out"
    have_results(fleet, ids)
    wait_until(lambda: "name=penstock" not in old.client.execute_command("CLIENT", "LIST"), 20,
               "the worker to leave the old master")
    assert worker.drain() == 0


def test_a_run_of_the_command_line_follows_the_master_and_loses_no_line(fleet, tmp_path):
    worker = fleet.worker(concurrency=4, lease_ms=5000)
    old = fleet.redis.master()
    source, out = text_file(tmp_path / "in.txt", 600), tmp_path / "out.jsonl"
    process = start(fleet, "run", source, "--text", "-o", out, "--yes")
    wait_until(lambda: out.exists() and out.stat().st_size, 30, "the first results")
    fleet.redis.sentinels[0].client.execute_command("SENTINEL", "FAILOVER", "mymaster")
    wait_until(lambda: fleet.redis.master() is not old, 60, "another master")
    _, err = process.communicate(timeout=120 * SLACK)
    assert process.returncode == ALL_WELL, err
    results = json_lines(out.read_text())
    assert len({r["id"] for r in results}) == len(results) == 600
    for words in (["stats"], ["top", "--once"], ["runs"], ["dead"], ["limits"]):
        run(fleet, *words)
    assert worker.drain() == 0


def test_a_stopped_master_is_left_for_its_replica(fleet):
    """SIGSTOP: the sockets stay open and nothing is said. The Sentinels' word must be enough."""
    worker = fleet.worker(concurrency=8, lease_ms=5000)
    old = fleet.redis.master()
    ids = push_and_replicate(fleet, 100)
    wait_until(lambda: fleet.stat("succeeded") >= 10, 30, "some results")
    old.process.send_signal(signal.SIGSTOP)
    try:
        wait_until(lambda: fleet.redis.master() is not old, 60, "another master")
        since = time.monotonic()
        wait_until(lambda: len(worker.events("redis_up")) >= 2, 60, "the worker to follow")
        print(f"back {time.monotonic() - since:.2f} s after the new master")
        have_results(fleet, ids)
    finally:
        old.process.send_signal(signal.SIGCONT)
    assert worker.drain() == 0
