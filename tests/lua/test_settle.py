"""settle: results, retries, deaths, late answers, counters, reply lists."""
import decimal

import pytest

from lua_lib import LEASE_MS, MIB, TTL_MS, Admission, bury, done, later, unread

DAY_MS = 86_400_000


def lose_lease(q):
    q.pass_ms(LEASE_MS + 1)
    q.tick()


# done

@pytest.mark.parametrize("status", ["succeeded", "expired", "cancelled"])
def test_a_done_job_leaves_its_result_and_nothing_else(q, status):
    token = q.take("a")
    assert q.settle(done("a", token, why=status, value='{"x":"\u00e9"}')) == ["ok"]
    assert q.result("a") == '{"x":"\u00e9"}'
    assert 0 < q.ttl("result:a") <= TTL_MS
    assert q.place("a") == [] and q.job("a") == {}
    assert q.counts()[status] == "1"


def test_what_ends_is_told_only_while_someone_follows_the_queue(q):
    token = q.take("a", "b", "c")
    q.settle(done("a", token))
    assert not q.redis.exists(q.key("ended"))
    q.redis.set(q.key("tail"), "1")
    q.settle(done("b", token, run="nightly"), bury("c", token))
    told = [entry for _, entry in q.redis.xrange(q.key("ended"))]
    assert told == [{b"id": b"b", b"status": b"succeeded", b"run": b"nightly"},
                    {b"id": b"c", b"status": b"failed", b"run": b""}]
    assert 0 < q.redis.pttl(q.key("ended")) <= 60_000


def test_done_again_is_already(q):
    token = q.take("a")
    q.settle(done("a", token, reply_to="inbox", value="first"))
    assert q.settle(done("a", token, reply_to="inbox", value="second")) == ["already"]
    assert q.result("a") == "first" and q.replies("inbox") == ["first"]


def test_of_no_jobs_does_nothing(q):
    assert q.settle() == []
    assert q.redis.keys("*") == []


def test_a_stranger_settles_nothing(q):
    q.take("a")
    assert q.settle(bury("a", "other"), later("a", "other"),
                    done("a", "other", why="expired"), done("b", "other", why="cancelled")) == ["lost"] * 4
    assert q.place("a") == ["active"] and q.result("a") is None


def test_a_result_of_megabytes_is_stored(q):
    token = q.take("a")
    q.settle(done("a", token, value="r" * (4 * MIB), reply_to="inbox"))
    assert q.redis.strlen(q.key("result:a")) == 4 * MIB


def test_frees_the_cancel_set(q):
    token = q.take("a", "b", "c")
    q.redis.sadd(q.key("cancel"), "a", "b", "c")
    q.settle(done("a", token, why="cancelled"), bury("b", token), later("c", token, 10_000))
    assert q.redis.smembers(q.key("cancel")) == {b"c"}


# bury

def test_a_buried_job_is_dead_and_has_a_result(q):
    token = q.take("a")
    assert q.settle(bury("a", token, attempts=5, throttles=2, reply_to="inbox")) == ["ok"]
    assert q.place("a") == ["dead"]
    assert q.replies("inbox") == [q.result("a")]
    job = q.job("a")
    assert job["payload"] == unread("a")
    assert (job["attempts"], job["throttles"], job["cause"]) == ("5", "2", "api_error")
    assert (job["last_status"], job["last_error"]) == ("500", "api_error: oops")
    assert int(job["died"]) == q.score("dead", "a")
    assert q.counts()["failed"] == "1"


def test_buried_again_is_already(q):
    token = q.take("a")
    q.settle(bury("a", token))
    assert q.settle(bury("a", token), done("a", token), later("a", token)) == [
        "already", "already", "lost"]


# later

@pytest.mark.parametrize("why, counter", [("throttle", "throttles"), ("retry", "retries"),
                                          ("parked", "parked"), ("handed_back", "handed_back")])
def test_a_job_that_comes_back_waits_for_its_time(q, why, counter):
    token = q.take("a")
    before = q.now()
    assert q.settle(later("a", token, 60_000, why, attempts=1, throttles=4, run="r",
                          last_status="429", last_error="slow down")) == ["ok"]
    due = q.score("delayed", "a")
    assert before + 60_000 <= due <= q.now() + 60_000
    job = q.job("a")
    assert (job["attempts"], job["throttles"]) == ("1", "4")
    assert (job["last_status"], job["last_error"]) == ("429", "slow down")
    assert q.counts()[counter] == q.counts("run:r")[counter] == "1"


def test_without_an_error_the_last_one_stays(q):
    token = q.take("a")
    q.settle(later("a", token, 10_000, last_status="500", last_error="oops"))
    q.pass_ms(20_000)
    q.settle(later("a", q.claim().token, 10_000, "parked", last_status="0"))
    assert (q.job("a")["last_status"], q.job("a")["last_error"]) == ("500", "oops")


def test_later_again_is_lost(q):
    token = q.take("a")
    q.settle(later("a", token, 10_000))
    assert q.settle(later("a", token, 99_000)) == ["lost"]
    assert q.score("delayed", "a") < q.now() + 11_000


def test_a_scheduled_job_is_no_longer_its_admitters(q):
    q.push("1")
    claim = q.claim()
    q.admit(claim.token, Admission(claim.ids[0], "a", start=60_000, start_is="in"))
    assert q.settle(later("a", claim.token, 0)) == ["lost"]
    assert q.score("delayed", "a") > q.now() + 50_000


# late answers

def test_a_late_answer_is_taken_while_the_job_is_delayed(q1):
    token = q1.take("a")
    lose_lease(q1)
    assert q1.place("a") == ["delayed"]
    assert q1.settle(done("a", token, reply_to="inbox")) == ["ok"]
    assert q1.place("a") == [] and q1.replies("inbox") == [q1.result("a")]
    assert q1.counts()["late_answers"] == q1.counts()["succeeded"] == "1"


def test_a_late_answer_is_taken_while_another_holds_the_job(q1):
    token = q1.take("a")
    lose_lease(q1)
    other = q1.claim().token
    assert q1.settle(done("a", token, value="paid for")) == ["ok"]
    assert q1.place("a") == []
    assert q1.renew(("a", other)) == [1]
    assert q1.settle(done("a", other, value="paid twice")) == ["already"]
    assert q1.settle(later("a", other)) == ["lost"]
    assert q1.result("a") == "paid for"


def test_a_late_answer_reaches_the_lists_of_duplicates(q1):
    token = q1.take("a")
    lose_lease(q1)
    q1.push("1")
    claim = q1.claim(want=2)
    fresh = next(item.id for item in claim.items if item.claimed)
    q1.admit(claim.token, Admission(fresh, "a", reply_to="inbox"))
    q1.settle(done("a", token))
    assert q1.replies("inbox") == [q1.result("a")]


def test_a_late_answer_is_taken_where_the_hash_has_vanished(q):
    token = q.take("a")
    q.redis.delete(q.key("job:a"))
    q.evicted.add("a")
    assert q.settle(done("a", token)) == ["ok"]
    assert q.place("a") == [] and q.result("a")


def test_a_late_answer_to_a_retried_job_is_taken(q1):
    token = q1.take("a")
    lose_lease(q1)
    q1.settle(bury("a", q1.claim().token))
    q1.dead_retry("a")
    assert q1.settle(done("a", token)) == ["ok"]
    assert q1.place("a") == []


def test_a_late_answer_is_refused_once_the_job_is_dead(q1):
    token = q1.take("a")
    lose_lease(q1)
    q1.settle(bury("a", q1.claim().token))
    result = q1.result("a")
    assert q1.settle(done("a", token)) == ["already"]
    assert q1.result("a") == result and q1.place("a") == ["dead"]


def test_a_late_answer_is_refused_once_the_job_is_dead_and_its_result_expired(q1):
    token = q1.take("a")
    lose_lease(q1)
    q1.settle(bury("a", q1.claim().token))
    q1.redis.delete(q1.key("result:a"))
    assert q1.settle(done("a", token)) == ["already"]


def test_a_late_answer_is_refused_once_there_is_a_result(q1):
    token = q1.take("a")
    lose_lease(q1)
    q1.settle(done("a", q1.claim().token, value="first"))
    assert q1.settle(done("a", token)) == ["already"]
    assert q1.result("a") == "first"


@pytest.mark.parametrize("end", [bury, later])
def test_a_late_failure_is_refused(q1, end):
    token = q1.take("a")
    lose_lease(q1)
    assert q1.settle(end("a", token)) == ["lost"]
    other = q1.claim().token
    assert q1.settle(end("a", token)) == ["lost"]
    assert q1.job("a")["token"] == other


def test_a_late_answer_wins_over_a_retry_in_the_same_call(q1):
    """One worker lost a job's lease, claimed it again, and both calls end at once."""
    token = q1.take("a")
    lose_lease(q1)
    other = q1.claim().token
    assert q1.settle(later("a", other, 10_000), done("a", token)) == ["ok", "ok"]
    assert q1.place("a") == [] and q1.result("a")


def test_one_job_twice_in_a_call_ends_once(q):
    token = q.take("a")
    assert q.settle(done("a", token, reply_to="inbox"),
                    done("a", token, reply_to="inbox")) == ["ok", "already"]
    assert len(q.replies("inbox")) == 1


# reply lists

def test_a_reply_list_keeps_the_order_of_finishing(q):
    token = q.take("a", "b", "c")
    q.settle(done("b", token, reply_to="inbox"), done("c", token, reply_to="inbox"))
    q.settle(done("a", token, reply_to="inbox"))
    assert q.replies("inbox") == [q.result(id) for id in "bca"]


def test_each_push_renews_a_reply_lists_time_to_live(q):
    token = q.take("a", "b")
    q.settle(done("a", token, reply_to="inbox"))
    q.pass_ms(TTL_MS // 2)
    assert q.ttl("reply:inbox") <= TTL_MS // 2
    q.settle(done("b", token, reply_to="inbox"))
    assert q.ttl("reply:inbox") > TTL_MS // 2


# counters

def test_a_mixed_batch_adds_up(q):
    token = q.take("a", "b", "c", "d", "e", "f")
    words = q.settle(
        done("a", token, run="r1", input_tokens=10, output_tokens=20, cost_usd="0.1"),
        done("b", token, run="r2", input_tokens=1, output_tokens=2, cost_usd="0.000000001"),
        bury("c", token, run="r1", input_tokens=5),
        later("d", token, 10_000, "throttle", run="r1"),
        done("e", token, why="expired"),
        later("f", token, 10_000, "parked"),
        done("a", token, run="r1", input_tokens=10, cost_usd="0.1"),
        bury("x", "other", run="r1"))
    assert words == ["ok"] * 6 + ["already", "lost"]
    stats = q.counts()
    expected = {"succeeded": "2", "failed": "1", "expired": "1", "throttles": "1", "parked": "1",
                "input_tokens": "16", "output_tokens": "22", "cost_usd": "0.100000001"}
    assert {name: stats.get(name) for name in expected} == expected
    run = q.counts("run:r1")
    assert run.pop("created") and run.pop("updated")
    assert run == {"succeeded": "1", "failed": "1", "throttles": "1", "input_tokens": "15",
                   "output_tokens": "20", "cost_usd": "0.1"}
    assert q.counts("run:r2")["cost_usd"] == "0.000000001"
    assert 29 * DAY_MS < q.ttl("run:r1") <= 30 * DAY_MS


def test_costs_add_up_to_the_billionth(q1):
    total = decimal.Decimal(0)
    for i in range(200):
        cost = decimal.Decimal(i * 7919 % 100_003) / 1_000_000_000 + i % 3
        token = q1.take(f"j{i}")
        q1.settle(done(f"j{i}", token, cost_usd=f"{cost:.9f}"))
        total += cost
    assert decimal.Decimal(q1.counts()["cost_usd"]) == total


def test_whole_dollars_have_no_decimals(q):
    token = q.take("a", "b")
    q.settle(done("a", token, cost_usd="99.5"))
    assert q.counts()["cost_usd"] == "99.5"
    q.settle(done("b", token, cost_usd="0.500000000"))
    assert q.counts()["cost_usd"] == "100"


@pytest.mark.parametrize("nothing", ["", "0", "0.000000000"])
def test_what_is_not_known_is_not_counted(q, nothing):
    token = q.take("a")
    q.settle(done("a", token, input_tokens=nothing, output_tokens=nothing, cost_usd=nothing))
    assert not {"input_tokens", "output_tokens", "cost_usd"} & set(q.counts())


def test_a_run_says_when_it_began_and_last_changed(q):
    token = q.take("a", "b")
    q.settle(done("a", token, run="r"))
    created = int(q.counts("run:r")["created"])
    q.redis.hset(q.key("run:r"), mapping={"created": created - 5000, "updated": created - 5000})
    q.settle(done("b", token, run="r"))
    run = q.counts("run:r")
    assert int(run["created"]) == created - 5000
    assert int(run["updated"]) >= created


def test_counters_that_someone_spoilt_stop_nothing(q):
    token = q.take("a", "b")
    q.redis.delete(q.key("stats"))
    q.redis.set(q.key("stats"), "mine")
    q.redis.set(q.key("run:r"), "mine", px=100_000)
    assert q.settle(done("a", token, run="r")) == ["ok"]
    assert q.ttl("run:r") <= 100_000, "what is another's is not kept longer"
    q.push("1")
    assert len(q.claim().items) == 1
    q.redis.delete(q.key("stats"), q.key("run:r"))
    q.redis.hset(q.key("stats"), "succeeded", "many")
    assert q.settle(done("b", token)) == ["ok"]
    assert q.counts()["succeeded"] == "1"


def test_settles_a_hundred_jobs_of_a_hundred_runs(q):
    ids = [f"j{i}" for i in range(100)]
    token = q.take(*ids)
    assert q.settle(*(done(id, token, run=f"r{id}", reply_to=f"inbox{id}") for id in ids)) == [
        "ok"] * 100
    assert q.counts("run:rj7")["succeeded"] == "1"
