"""dead_drop: an operator throws dead jobs away."""
from lua_lib import done


def test_a_dead_job_is_gone_and_its_result_stays(q):
    q.kill("a")
    result = q.result("a")
    assert q.dead_drop("a") == [1]
    assert (q.place("a"), q.job("a"), q.result("a")) == ([], {}, result)
    assert q.counts()["dead_dropped"] == "1"


def test_only_the_dead_are_dropped(q):
    token = q.take("active", "done")
    q.settle(done("done", token))
    q.delay("delayed", 60_000)
    assert q.dead_drop("active", "done", "delayed", "unknown") == [0] * 4
    assert q.place("active") == ["active"] and q.place("delayed") == ["delayed"]


def test_of_no_ids_does_nothing(q):
    assert q.dead_drop() == []


def test_a_dead_job_without_its_hash_is_dropped(q):
    q.kill("a")
    q.redis.delete(q.key("job:a"))
    q.evicted.add("a")
    assert q.dead_drop("a") == [1]
    assert q.members("dead") == []


def test_drops_a_hundred_at_once(q):
    ids = [f"j{i}" for i in range(100)]
    q.kill(*ids)
    assert q.dead_drop(*ids) == [1] * 100
    assert q.redis.zcard(q.key("dead")) == 0
