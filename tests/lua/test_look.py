"""look: many things at once for those who watch; whatever is asked, nothing changes."""
import pytest

from lua_lib import MIB, Queue, text, unread

HOUR_MS = 3_600_000


@pytest.fixture
def raw(server):
    """A queue whose keys a test makes by hand, so that they are not checked."""
    server.client.flushall()
    return Queue(server, check=False)


def look(q, *items):
    """The answers to items of (what, argument...)."""
    args = [word for item in items for word in (*item, "", "", "")[:4]]
    before = q.everything()
    _, *answers = q.call("look", *args)
    assert q.everything() == before, "look changed something"
    return answers


def one(q, *item):
    return look(q, item)[0]


def pairs(flat):
    words = [text(word) for word in flat]
    return dict(zip(words[::2], words[1::2]))


def delay_all(q, dues):
    for id, in_ms in dues.items():
        q.redis.zadd(q.key("delayed"), {id: q.now() + in_ms})
        q.redis.hset(q.key("job:" + id), mapping={"state": "delayed", "due": q.now() + in_ms, "payload": "{}"})


# queue

def test_a_queue_tells_why_it_is_paused_its_counters_and_when_jobs_are_due(raw):
    raw.kill("d")
    delay_all(raw, {"past": -5000, "in-3-s": 3000, "in-10-s": 10_000, "in-30-s": 30_000, "in-2-min": 120_000,
                    "in-10-min": 600_000, "in-2-h": 2 * HOUR_MS, "in-a-day": 24 * HOUR_MS})
    raw.redis.set(raw.key("paused"), "lunch")
    why, stats, due = one(raw, "queue", raw.stem)
    assert (why, pairs(stats)["failed"]) == (b"lunch", "1")
    assert due == [1, 0, 1, 1, 1, 1, 1, 2]


def test_a_queue_that_no_one_has_used_tells_nothing(q):
    assert one(q, "queue", q.stem) == [b"", [], [0] * 8]


@pytest.mark.parametrize("name", ["paused", "stats"])
def test_a_key_that_someone_made_something_else_of_is_nothing_to_see(q1, name):
    q1.redis.rpush(q1.key(name), "a stranger's")
    why, stats, due = one(q1, "queue", q1.stem)
    assert (why, stats, due) == (b"", [], [0] * 8)
    q1.redis.delete(q1.key(name))


# hash, workers

def test_a_hash_is_told_whole(raw):
    raw.redis.hset("a-hash", mapping={"admitted": 3, "failed": 1})
    assert pairs(one(raw, "hash", "a-hash")) == {"admitted": "3", "failed": "1"}
    assert one(raw, "hash", "no-hash") == []


def test_of_the_workers_the_latest_hundred_are_told_the_latest_first(raw):
    workers, prefix = "workers", "worker:"
    raw.redis.zadd(workers, {f"w{i}": 1000 + i for i in range(120)})
    raw.redis.hset(prefix + "w119", "in_flight", 7)
    told = one(raw, "workers", workers, prefix)
    assert [text(id) for id, _, _ in told] == [f"w{i}" for i in range(119, 19, -1)]
    assert told[0] == [b"w119", b"1119", [b"in_flight", b"7"]]


# dead

def test_dead_jobs_come_in_pages_the_latest_first(q):
    q.kill("a", cause="api_error", last_error="api_error: oops", last_status="500")
    q.redis.zadd(q.key("dead"), {"a": 1000, "gone": 2000})
    q.evicted.add("gone")
    assert one(q, "dead", q.stem, 0, 50) == [2, [b"gone", b"2000", b"", b"", b"", b""],
                                            [b"a", b"1000", b"api_error", b"api_error: oops", b"500", b"1"]]
    assert one(q, "dead", q.stem, 1, 50)[1:] == [[b"a", b"1000", b"api_error", b"api_error: oops", b"500", b"1"]]
    assert one(q, "dead", q.stem, 2, 50) == [2]


def test_a_page_of_the_dead_has_a_hundred_at_most(q1):
    ids = [f"j{i}" for i in range(130)]
    q1.redis.zadd(q1.key("dead"), {id: i for i, id in enumerate(ids)})
    q1.evicted.update(ids)
    assert len(one(q1, "dead", q1.stem, 0, 5000)) == 101


# job

def test_a_job_is_told_without_its_payload_which_is_cut(q):
    token = q.take("a", run="night")
    fields, head, size, result, result_size, ttl, due, lease = one(q, "job", q.stem, "a", 6)
    told = pairs(fields)
    assert told["state"] == "active" and told["run"] == "night"
    assert "payload" not in told and "token" not in told and token not in told.values()
    assert (head, size) == (b'{"id":', len(unread("a")))
    assert (result, result_size, ttl, due) == (b"", 0, -2, b"")
    assert int(lease) == q.score("active", "a")


def test_a_result_is_cut_too_and_tells_how_long_it_stays(q):
    q.kill("a")
    _, _, _, result, size, ttl, _, _ = one(q, "job", q.stem, "a", 10)
    assert (result, size) == (q.result("a")[:10].encode(), len(q.result("a")))
    assert 0 < ttl <= 600_000


def test_an_unknown_job_is_nothing(q):
    assert one(q, "job", q.stem, "none", 10) == [[], b"", 0, b"", 0, -2, b"", b""]


# waiting

def waiting(q):
    got, answers = [], 0
    while page := one(q, "waiting", q.stem, len(got)):
        got += page
        answers += 1
    return got, answers


def test_what_waits_is_told_from_the_left_a_hundred_at_a_time(q1):
    q1.push(*(f'{{"id":"j{i}"}}' for i in range(257)))
    got, answers = waiting(q1)
    assert got == q1.redis.lrange(q1.key("jobs"), 0, -1) and answers == 3


def test_large_payloads_come_in_smaller_answers(q1):
    q1.push(*("x" * (MIB // 2) for _ in range(10)))
    first = one(q1, "waiting", q1.stem, 0)
    assert len(first) <= 7
    assert len(waiting(q1)[0]) == 10


def test_nothing_waits_in_an_empty_queue(q):
    assert one(q, "waiting", q.stem, 0) == []


# members

def members(q, name):
    got, cursor = [], b"0"
    while True:
        cursor, *some = one(q, "members", q.stem, name, cursor)
        got += [(text(id), text(run)) for id, run in some]
        if cursor == b"0":
            return got


def test_members_are_told_with_their_runs(q):
    q.take("a", run="night")
    q.take("b")
    assert sorted(members(q, "active")) == [("a", "night"), ("b", "")]
    assert members(q, "delayed") == []


def test_no_member_that_stays_is_missed_while_others_go(raw):
    delay_all(raw, {f"j{i}": 60_000 + i for i in range(1500)})
    seen, cursor = set(), b"0"
    while True:
        cursor, *some = one(raw, "members", raw.stem, "delayed", cursor)
        ids = [text(id) for id, _ in some]
        seen.update(ids)
        raw.redis.zrem(raw.key("delayed"), *ids[::2])
        if cursor == b"0":
            break
    assert seen == {f"j{i}" for i in range(1500)}


# many at once

def test_answers_come_in_the_order_of_the_questions(raw):
    raw.redis.hset("a-hash", "a", 1)
    assert look(raw, ("hash", "a-hash"), ("queue", raw.stem), ("hash", "no-hash")) == \
        [[b"a", b"1"], [b"", [], [0] * 8], []]
