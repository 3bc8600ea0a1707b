"""tick's sweep: a job that has its hash and has lost its place gets it back, a page of keys at a time."""
import pytest

from lua_lib import LEASE_MS, Queue


@pytest.fixture
def lame(server):
    """A queue whose keys are not looked at after each call: they are wrong on purpose."""
    server.client.flushall()
    return Queue(server, check=False)


def sweep(queue, pages=1):
    for _ in range(pages):
        queue.redis.delete(queue.key("op:sweep:at"))  # a second goes by
        queue.tick()


def test_an_active_job_without_a_lease_is_recovered(lame):
    lame.take("a")
    lame.redis.zrem(lame.key("active"), "a")
    sweep(lame)
    assert lame.place("a") == ["active"] and lame.counts()["orphans"] == "1"
    lame.check_invariants()
    lame.pass_ms(LEASE_MS + 1)
    assert lame.tick().recovered == 1
    assert lame.claim().ids == ["a"]


def test_an_unread_payload_without_a_lease_goes_back_to_jobs(lame):
    lame.push("1")
    lame.claim()
    lame.redis.delete(lame.key("active"))
    sweep(lame)
    lame.pass_ms(LEASE_MS + 1)
    assert lame.tick().recovered == 1 and lame.redis.lrange(lame.key("jobs"), 0, -1) == [b"1"]
    lame.check_invariants()


def test_a_delayed_job_without_its_place_is_due_when_it_was(lame):
    lame.delay("a", 60_000)
    due = lame.score("delayed", "a")
    lame.redis.zrem(lame.key("delayed"), "a")
    sweep(lame)
    assert lame.score("delayed", "a") == due
    lame.check_invariants()


def test_a_dead_job_without_its_place_is_dead_since_it_died(lame):
    lame.kill("a")
    died = lame.score("dead", "a")
    lame.redis.zrem(lame.key("dead"), "a")
    sweep(lame)
    assert lame.score("dead", "a") == died
    lame.check_invariants()


def test_its_living_holder_keeps_it(lame):
    token = lame.take("a")
    lame.redis.zrem(lame.key("active"), "a")
    sweep(lame)
    assert lame.renew(("a", token)) == [] and lame.tick().recovered == 0


def test_a_queue_in_good_order_is_left_as_it_is(q):
    q.take("a", "b")
    q.kill("d")
    q.delay("c", 60_000)
    q.push("1")
    q.claim()
    before = q.everything()
    q.tick()
    assert q.everything() == before and "orphans" not in q.counts()


def test_goes_through_all_keys_page_by_page_and_begins_again(lame):
    lame.redis.mset({f"other:{n}": "x" for n in range(3000)})
    for _ in range(2):
        lame.take("a")
        lame.redis.zrem(lame.key("active"), "a")
        sweep(lame, pages=40)
        assert lame.place("a") == ["active"]
        lame.redis.delete(lame.key("active"), lame.key("job:a"))


def test_looks_at_one_page_a_second_however_many_workers_tick(lame):
    lame.redis.mset({f"other:{n}": "x" for n in range(3000)})
    lame.tick()
    cursor = lame.redis.get(lame.key("op:sweep"))
    lame.tick()
    assert lame.redis.get(lame.key("op:sweep")) == cursor


def test_of_another_queues_jobs_nothing_changes(server, lame):
    other = Queue(server, name="q2", check=False)
    other.take("a")
    other.redis.zrem(other.key("active"), "a")
    sweep(lame, pages=3)
    assert other.place("a") == []


def test_a_strangers_key_is_left_alone_and_stops_no_one(lame):
    lame.take("b")
    lame.pass_ms(LEASE_MS + 1)
    lame.take("a")
    lame.redis.zrem(lame.key("active"), "a")
    lame.redis.set(lame.key("job:foreign"), "a stranger's")
    sweep(lame)
    assert lame.place("a") == ["active"] and lame.place("b") == ["delayed"]
    assert lame.counts()["recoveries"] == "1"
    assert lame.redis.get(lame.key("job:foreign")) == b"a stranger's"
