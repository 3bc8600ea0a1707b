"""The worker and the command line on a real Redis Cluster: found by asking, followed when slots move."""
import json
import logging
import re

import pytest
import redis

from adminlib import Admin
from clilib import json_lines, start
from clusterlib import Cluster, slot_of
from fleet import Fleet
from simlib import SLACK, Sim, wait_until
from test_redis_rights import worker_rule


logging.getLogger("redis.cluster").disabled = True  # it takes each redirection for an error


class ClusterFleet(Fleet):
    """A cluster in place of one Redis. A queue for each master, so that every node is needed. Workers
    come as the user of deploy/redis/users.acl, whose rights must be enough."""

    def __init__(self, masters=3, replicas=0, **sim_flags):
        self.workers = []
        rule = worker_rule().replace("CHANGE-ME-worker", "pw").split()[1:]
        self.redis = Cluster(masters, replicas, args=["--user", *rule])
        try:
            self.sim = Sim(**sim_flags)
        except BaseException:
            self.redis.stop()
            raise
        self.queues = [self.redis.queue_on(n) for n in self.redis.nodes[:masters]]
        self.queue = self.queues[0]

    def env(self, **extra):
        return super().env(**{"PENSTOCK_REDIS_URL": self.redis.url,
                              "PENSTOCK_QUEUES": ",".join(self.queues), **extra})

    def worker(self, env=None, **more):
        url = self.redis.url.replace("redis://", "redis://worker:pw@")
        return super().worker(env={"PENSTOCK_REDIS_URL": url, **(env or {})}, **more)

    def close(self, check=True):
        refused = [] if not check else [
            entry for node in self.redis.alive() for entry in node.client.acl_log()
            if entry["username"] == "worker"]
        super().close(check)
        assert not refused, refused

    def done(self, queue, ids):
        """How many of these have a result; 0 while no node can tell."""
        keys = [self.key(f"result:{i}", queue) for i in ids]
        node = self.redis.owner(keys[0])
        try:
            return node.client.exists(*keys) if node else 0
        except redis.RedisError:
            return 0

    def wait_results(self, queue, ids, timeout_s=60):
        wait_until(lambda: self.done(queue, ids) == len(ids), timeout_s,
                   f"{len(ids)} results of {queue}")


def jobs(prefix, count):
    return [{"id": f"{prefix}-{i}", "prompt": f"{prefix}-{i}"} for i in range(count)]


def names(prefix, count):
    return [f"{prefix}-{i}" for i in range(count)]


def assert_called_once(fleet, allowed=0):
    """No job was called more often than once, but for so many."""
    seen = {}
    for record in fleet.sim.log():
        if record["status"] == 200:
            seen[record["prompt_head"]] = seen.get(record["prompt_head"], 0) + 1
    twice = {job: n for job, n in seen.items() if n > 1}
    assert sum(n - 1 for n in twice.values()) <= allowed, twice


@pytest.fixture(scope="module")
def fleet():
    with ClusterFleet(latency="20") as running:
        yield running


def test_queues_in_three_slots_are_all_worked_off(fleet):
    worker = fleet.worker(concurrency=16)
    assert len({slot_of(fleet.key("jobs", q)) for q in fleet.queues}) == 3
    for queue in fleet.queues:
        fleet.push(*jobs(f"a-{queue}", 30), queue=queue)
    for queue in fleet.queues:
        fleet.wait_results(queue, names(f"a-{queue}", 30))
        assert fleet.r.zcard(fleet.key("active", queue)) == 0
    assert_called_once(fleet)
    assert worker.drain() == 0


def test_an_idle_worker_is_woken_by_a_push_to_any_node(fleet):
    worker = fleet.worker(concurrency=4)
    for queue in fleet.queues:
        wait_until(lambda q=queue: any(
            b"cmd=blmove" in line.encode() for line in
            fleet.redis.owner(fleet.key("jobs", q)).client.execute_command("CLIENT", "LIST")
            .splitlines()), 20, "a blocked wait on the queue's node")
        fleet.push({"id": f"w-{queue}", "prompt": f"w-{queue}"}, queue=queue)
        fleet.wait_results(queue, [f"w-{queue}"], 20)
    assert worker.drain() == 0


def a_way_elsewhere(fleet, queue):
    """The queue's slot, the node that holds it and another one."""
    slot = slot_of(fleet.key("jobs", queue))
    source = fleet.redis.owner_of_slot(slot)
    return slot, source, next(n for n in fleet.redis.nodes if n is not source)


def test_a_queue_moves_to_another_node_while_it_is_busy(fleet):
    """Resharding: half of the keys here, half there, and the worker at it all the time."""
    queue, cluster = fleet.queues[0], fleet.redis
    slot, source, target = a_way_elsewhere(fleet, queue)
    worker = fleet.worker(concurrency=8)
    fleet.push(*jobs("move", 300), queue=queue)
    wait_until(lambda: fleet.done(queue, names("move", 300)) >= 20, 30, "some results")
    cluster.begin_move(slot, source, target)
    pushed = 0
    while cluster.move_keys(slot, source, target, 20):
        fleet.push(*jobs(f"during-{pushed}", 2), queue=queue)  # producers go on meanwhile
        pushed += 1
    cluster.end_move(slot, target)
    assert cluster.owner_of_slot(slot) is target
    fleet.wait_results(queue, names("move", 300))
    for i in range(pushed):
        fleet.wait_results(queue, names(f"during-{i}", 2))
    assert_called_once(fleet)
    assert not worker.events("redis_down"), "a slot that moves is no outage"
    assert not worker.events("script_refused")
    assert worker.drain() == 0
    cluster.move_slot(slot, source)


def refused(cluster, error):
    """How often the nodes have answered with this error."""
    stats = [str(node.client.info("errorstats").get(f"errorstat_{error}", 0)) for node in cluster.alive()]
    return sum(int(re.search(r"\d+", one)[0]) for one in stats)


def test_while_a_slot_stays_half_moved_its_queue_rests_and_then_goes_on_with_no_call_repeated(fleet):
    """TRYAGAIN for longer than a worker is silent about, ASK for what is pushed meanwhile."""
    queue, cluster = fleet.queues[0], fleet.redis
    slot, source, target = a_way_elsewhere(fleet, queue)
    torn, sent = refused(cluster, "TRYAGAIN"), refused(cluster, "ASK")
    worker = fleet.worker(concurrency=8)
    fleet.push(*jobs("torn", 200), queue=queue)
    wait_until(lambda: fleet.done(queue, names("torn", 200)) >= 10, 30, "some results")
    cluster.begin_move(slot, source, target)
    cluster.move_keys(slot, source, target, 5)
    source.client.execute_command("MIGRATE", "127.0.0.1", target.port, fleet.key("jobs", queue), 0, 5000)
    told = worker.wait_event("script_refused", 40)
    assert "TRYAGAIN" in told["why"] and told["queue"] == queue
    fleet.push(*jobs("torn-late", 5), queue=queue)
    while cluster.move_keys(slot, source, target, 20):
        pass
    cluster.end_move(slot, target)
    fleet.wait_results(queue, names("torn", 200) + names("torn-late", 5))
    assert_called_once(fleet)
    assert refused(cluster, "TRYAGAIN") > torn and refused(cluster, "ASK") > sent
    scripts = [line["script"] for line in worker.events("script_refused")]
    assert len(scripts) == len(set(scripts)), "one line a script, however long"
    assert not worker.events("redis_down")
    assert worker.drain() == 0
    cluster.move_slot(slot, source)


def test_an_empty_queue_that_moves_is_followed_by_the_idle_worker(fleet):
    queue, cluster = fleet.queues[1], fleet.redis
    slot, source, target = a_way_elsewhere(fleet, queue)
    worker = fleet.worker(concurrency=4)
    cluster.move_slot(slot, target)
    fleet.push({"id": "followed", "prompt": "followed"}, queue=queue)
    fleet.wait_results(queue, ["followed"], 20)
    cluster.move_slot(slot, source)
    fleet.push({"id": "followed-back", "prompt": "followed-back"}, queue=queue)
    fleet.wait_results(queue, ["followed-back"], 20)
    assert not worker.events("redis_down")
    assert worker.drain() == 0


def test_scripts_that_one_node_has_lost_are_loaded_there_again(fleet):
    worker = fleet.worker(concurrency=4)
    for queue in fleet.queues:
        fleet.redis.owner(fleet.key("jobs", queue)).client.script_flush()
        fleet.push(*jobs(f"flush-{queue}", 5), queue=queue)
        fleet.wait_results(queue, names(f"flush-{queue}", 5), 30)
    assert worker.drain() == 0


def test_the_command_line_works_on_queues_of_any_node(fleet, tmp_path):
    worker = fleet.worker(concurrency=8)
    for queue in fleet.queues:
        assert fleet.cli("push", "--queue", queue, "--id", f"cli-{queue}", "hello").strip()
        assert fleet.cli("wait", "--queue", queue, f"cli-{queue}")
        got = json.loads(fleet.cli("get", "--queue", queue, "--json", f"cli-{queue}"))
        assert got["status"] == "succeeded"
        assert queue in fleet.cli("stats", "--queue", queue)
        prompts = tmp_path / f"{queue}.jsonl"
        prompts.write_text("".join(json.dumps(job) + "\n" for job in jobs(f"run-{queue}", 40)))
        out = tmp_path / f"{queue}.out"
        fleet.cli("run", "--queue", queue, "--run", f"run-{queue}", "-o", str(out), str(prompts))
        assert len(out.read_text().splitlines()) == 40
        assert f"run-{queue}" in fleet.cli("runs", "--queue", queue)
    assert "it is a cluster: 3 nodes" in fleet.cli("check")
    assert worker.drain() == 0


def test_an_operator_has_every_handle_on_a_cluster(fleet):
    worker = fleet.worker(concurrency=8)
    for queue in fleet.queues:
        def cli(*words, code=0):
            return fleet.cli(*words, "--queue", queue, code=code)  # noqa: B023
        tail = start(fleet, "tail", "--queue", queue, "--count", "5")
        wait_until(lambda: fleet.r.exists(fleet.key("tail", queue)), 20, "the tail to begin")  # noqa: B023
        fleet.push(*[{**job, "run": "op"} for job in jobs(f"op-{queue}", 4)], '{"run":"op","prompt":5}', queue=queue)
        assert len(json_lines(tail.communicate(timeout=60 * SLACK)[0])) == 5
        assert len([r for r in json_lines(cli("export", "--run", "op")) if r["id"].startswith("op-")]) == 4
        assert len(json.loads(cli("dead", "list", "--run", "op", "--json"))) == 1
        assert json.loads(cli("dead", "drop", "--run", "op", "--json"))["dropped"] == 1
        cli("pause", "--run", "op")
        fleet.push(*[{**job, "run": "op"} for job in jobs(f"held-{queue}", 3)], queue=queue)
        wait_until(lambda: fleet.r.zcard(fleet.key("delayed", queue)) == 3, 20, "the run to be held")  # noqa: B023
        assert json.loads(cli("cancel", "--run", "op", "--json"))["asked"] == 3
        fleet.wait_results(queue, names(f"held-{queue}", 3))
        cli("resume", "--run", "op")
        cli("pause", "a reason")
        assert json.loads(cli("stats", "--json"))["queues"][queue]["paused"] == "a reason"
        cli("resume")
    pool = "anthropic:main:claude-sonnet-5"
    for words in (["pause", "--pool", pool], ["resume", "--pool", pool], ["limits", "set", pool, "requests=600"],
                  ["limits", "clear", pool]):
        fleet.cli(*words)
    top = json.loads(fleet.cli("top", "--json"))
    assert set(top["queues"]) == set(fleet.queues) and pool in top["pools"] and len(top["runs"]) >= 3
    assert worker.drain() == 0
    wait_until(lambda: not fleet.r.zcard("penstock:workers"), 20, "the worker to sign off")
    for n in range(20):
        fleet.r.hset(f"penstock:pool:{{anthropic:main:model-{n}}}", "requests_limit", 5)
    stats = json.loads(fleet.cli("stats", "--json"))  # by a walk now, through every node
    assert len(stats["pools"]) == 21 and {r["queue"] for r in stats["runs"].values()} == set(fleet.queues)


def patient(admin, path):
    """The answer, once there are not too many questions."""
    status, text = wait_until(lambda: [got for got in [admin.ask("GET", path)[::2]] if got[0] != 429],
                              20, path)[0]
    assert status == 200, text
    return json.loads(text)


def test_the_admin_pages_tell_of_keys_on_every_node(fleet):
    worker = fleet.worker(env={"PENSTOCK_HTTP": "127.0.0.1:0"}, concurrency=8)
    admin = Admin(worker)
    for queue in fleet.queues:
        fleet.push(*[{**job, "run": "seen"} for job in jobs(f"adm-{queue}", 5)], "{", queue=queue)
        fleet.wait_results(queue, names(f"adm-{queue}", 5))

    def all_there():
        seen = admin.json("/api/overview")
        queues = {q["name"]: q for q in seen["queues"]}
        return seen if all(queues[q]["failed"] >= 1 for q in fleet.queues) \
            and seen["workers"] and seen["workers"][0]["version"] and seen["pools"] else None
    wait_until(all_there, 20, "an overview with each node's part")
    for queue in fleet.queues:
        assert patient(admin, f"/api/dead?queue={queue}")["count"] >= 1
        assert patient(admin, f"/api/job?queue={queue}&id=adm-{queue}-0")["result"]
    admin.act("/api/queues/pause", queue=fleet.queues[2], reason="test")
    assert fleet.r.get(fleet.key("paused", fleet.queues[2])) == "test"
    admin.act("/api/queues/resume", queue=fleet.queues[2])
    assert worker.drain() == 0


def test_the_node_of_the_url_may_die_and_the_work_goes_on():
    """kill -9 of a master under load: its replica takes over, and every job still has one result."""
    with ClusterFleet(replicas=1, latency="20") as fleet:
        cluster = fleet.redis
        worker = fleet.worker(concurrency=16, lease_ms=5000)
        for queue in fleet.queues:
            fleet.push(*jobs(f"f-{queue}", 200), queue=queue)
        for node in cluster.nodes[:3]:
            node.client.execute_command("WAIT", 1, 5000)
        wait_until(lambda: fleet.done(fleet.queues[1], names(f"f-{fleet.queues[1]}", 200)) >= 20, 30,
                   "some results")
        cluster.nodes[0].kill()  # it holds the first queue, and is the one that the URL names
        worker.wait_event("redis_down", 30)
        wait_until(lambda: len(worker.events("redis_up")) >= 2, 60, "the worker to come back")
        for queue in fleet.queues:
            fleet.wait_results(queue, names(f"f-{queue}", 200), 90)
        assert len(worker.events("redis_down")) == len(worker.events("redis_up")) - 1
        # What had ended and was not replicated is called again: at most what was in hand.
        assert_called_once(fleet, allowed=64)
        cluster.connect()
        cluster.nodes[0].start()  # the old master comes back as a replica: nothing changes
        fleet.push({"id": "after", "prompt": "after"})
        fleet.wait_results(fleet.queue, ["after"], 30)
        assert worker.drain() == 0
