"""unpark: jobs that waited for a shut pool are due once it opens sooner than was thought."""
import pytest

from lua_lib import later


def test_a_parked_job_is_due_now(q):
    q.delay("a", 60_000, why="parked")
    assert q.unpark("a") == [1]
    assert q.score("delayed", "a") <= q.now()
    assert q.claim().ids == ["a"]


def test_a_second_time_nothing_happens(q):
    q.delay("a", 60_000, why="parked")
    assert q.unpark("a", "a") == [1, 0]


@pytest.mark.parametrize("why", ["throttle", "retry", "handed_back"])
def test_what_waits_for_another_reason_waits_on(q, why):
    q.delay("a", 60_000, why=why)
    due = q.score("delayed", "a")
    assert q.unpark("a") == [0]
    assert q.score("delayed", "a") == due


def test_what_was_parked_once_and_now_waits_for_a_retry_waits_on(q):
    q.delay("a", 10_000, why="parked")
    q.pass_ms(20_000)
    q.settle(later("a", q.claim().token, 60_000, "retry"))
    assert q.unpark("a") == [0]


def test_what_is_not_delayed_is_left_alone(q):
    q.take("active")
    q.kill("dead")
    assert q.unpark("active", "dead", "unknown", "") == [0] * 4
    assert q.place("active") == ["active"] and q.place("dead") == ["dead"]


def test_a_parked_job_that_was_due_anyway_is_left_alone(q):
    q.delay("a", 10_000, why="parked")
    q.pass_ms(20_000)
    due = q.score("delayed", "a")
    assert q.unpark("a") == [0]
    assert q.score("delayed", "a") == due


def test_of_no_ids_does_nothing(q):
    assert q.unpark() == []


def test_unparks_a_hundred_at_once(q):
    ids = [f"j{i}" for i in range(100)]
    token = q.take(*ids)
    q.settle(*(later(id, token, 60_000, "parked") for id in ids))
    assert q.unpark(*ids) == [1] * 100
    assert len(q.claim(want=100).ids) == 100


def test_what_any_worker_parked_is_due_now_a_hundred_looked_at_a_time(q):
    for n in range(101):
        q.delay(f"r{n}", 20_000, why="retry")
    for n in range(60):
        q.delay(f"p{n}", 30_000 + n, why="parked")
    q.delay("later", 3_600_000, why="parked")
    assert q.unpark("+0") == [100]
    assert q.unpark("+100") == [-1]
    due = [id for id in q.members("delayed") if q.score("delayed", id) <= q.now()]
    assert sorted(due) == sorted(f"p{n}" for n in range(60))
