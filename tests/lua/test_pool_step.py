"""pool_step: the ledger that paces the fleet. docs/governor.md tells what it does."""
import dataclasses
import datetime

import pytest

from lua_lib import text

ANSWER = ("now", "wait", "cause", "granted", "why", "requests", "input", "output", "mean_out",
          "per_byte", "ask_in", "input_limit", "output_limit", "budget")
AHEAD_MS = 500


@dataclasses.dataclass
class Round:
    wait: int
    cause: str
    granted: int
    ask_in: int
    marks: list
    delays: list
    now: int


def step(pool, want=0, cost=(100, 50, 1024), ok=0, ok_sent=0, failed=0, failed_sent=0, refused=0,
         refused_sent=0, explained=0, back=0, headers=None, eager=0):
    """One round. headers: (sent, marked, marks[3], [(limit, remaining, reset)] * 3)."""
    sent, marked, marks, limits = headers or (0, 0, (0, 0, 0), [(-1, -1, -1)] * 3)
    args = [120_000, eager, want, *cost, 0, back, back * cost[0], back * cost[1], 0, 0, 0, 0, ok, ok_sent,
            failed, failed_sent, refused, refused_sent, explained, 0, 0, ok * 100, ok * 300, ok * 50, 400,
            sent, marked, *marks, *[n for limit in limits for n in limit]]
    answer = pool.server.call("pool_step", pool.stem, *args)
    head, delays = answer[:14], [int(d) for d in answer[14:]]
    return Round(head[1], text(head[2]), head[3], head[10], [float(text(m)) for m in head[5:8]], delays,
                 head[0])


def limits(requests=6000, left=100, reset=1000):
    wide = (60_000_000, 60_000_000, 0)
    return [(requests, left, reset), wide, wide]


def known(pool, left=100, requests=6000, reset=0):
    """A pool that has seen one answer: 6,000 a minute in a bucket of one second."""
    first = step(pool, want=1)
    return step(pool, ok=1, ok_sent=first.now,
                headers=(first.now, first.now, (1, 100, 50), limits(requests, left, reset)))


def test_before_anything_is_known_starts_are_few_and_more_are_asked_for_soon(pool):
    first = step(pool, want=64)
    assert 8 <= first.granted <= 40 and max(first.delays) <= AHEAD_MS
    assert 0 < first.ask_in <= 1000


def test_the_limit_is_learnt_from_the_first_header(pool):
    known(pool)
    assert float(pool.fields()["requests_limit"]) == 6000
    assert 90 <= float(pool.fields()["requests_capacity"]) <= 101


def test_grants_are_spaced_and_lie_at_most_half_a_second_ahead(pool):
    known(pool, left=0, reset=1000)
    got = step(pool, want=64)
    assert 0 < got.granted < 64 and got.delays == sorted(got.delays)
    assert max(got.delays) <= AHEAD_MS
    gaps = [b - a for a, b in zip(got.delays, got.delays[1:])]
    assert sum(gaps) / len(gaps) == pytest.approx(10, abs=4), "100 a second"


def test_the_fleet_is_never_granted_more_than_the_bucket_and_its_refill(pool):
    known(pool, left=100)
    granted = sum(step(pool, want=64).granted for _ in range(20))
    assert granted <= 100 + 100 * 0.5 + 10


def test_what_is_given_back_may_be_granted_again(pool):
    known(pool, left=100)
    assert step(pool, want=40).granted > 0
    before = float(pool.fields()["requests_spent"])
    step(pool, back=40)
    assert float(pool.fields()["requests_spent"]) == before - 40


def test_an_answer_sent_before_the_newest_anchor_changes_nothing(pool):
    got = known(pool, left=80)
    level = float(pool.fields()["requests_left"])
    step(pool, headers=(got.now - 5000, got.now - 5000, (1, 100, 50), limits(left=3)))
    assert float(pool.fields()["requests_left"]) >= level - 1


def test_a_late_answer_with_the_old_limit_does_not_bring_it_back(pool):
    got = known(pool, requests=6000)
    step(pool, headers=(got.now + 10, got.now, (1, 100, 50), limits(requests=3000, left=40)))
    assert float(pool.fields()["requests_limit"]) == 3000
    step(pool, headers=(got.now - 500, got.now - 500, (1, 100, 50), limits(requests=6000, left=90)))
    assert float(pool.fields()["requests_limit"]) == 3000


def test_the_gate_stands_above_any_level(pool):
    known(pool, left=100)
    pool.shut("quota", 5000)
    got = step(pool, want=10)
    assert (got.granted, got.cause) == (0, "quota") and 4000 < got.wait <= 5000


def test_five_failures_in_a_row_leave_one_call_to_try_and_a_success_brings_the_rate_back(pool):
    got = known(pool, left=100)
    got = step(pool, want=10, failed=5, failed_sent=got.now)
    assert (got.granted, got.cause) == (0, "overload") and pool.fields()["breaker"] == "open"
    pool.redis.hset(pool.stem, "breaker_until", got.now - 1)
    assert step(pool, want=10).granted == 1
    assert step(pool, want=10).granted == 0, "one in the fleet, not one a worker"
    step(pool, ok=1, ok_sent=got.now - 60_000)
    assert pool.fields()["breaker"] == "open", "an answer to an older call proves nothing"
    step(pool, ok=1, ok_sent=got.now + 60_000)
    assert pool.fields()["breaker"] == "ramp"


def test_where_nobody_is_counted_one_call_tries_all_the_same(pool):
    got = step(pool, want=1)
    pool.redis.hset(pool.stem, "pace", 50)
    step(pool, failed=5, failed_sent=got.now)
    pool.redis.hset(pool.stem, "breaker_until", got.now - 1)
    assert step(pool, want=64).granted == 1
    assert step(pool, want=64).granted == 0


def test_who_tries_and_is_not_heard_of_again_is_followed_by_another(pool):
    """A few times as long as a call takes, 3 s at least: a dead worker holds up the fleet no longer."""
    got = known(pool, left=100)
    step(pool, failed=5, failed_sent=got.now)
    pool.redis.hset(pool.stem, "breaker_until", got.now - 1)
    assert float(pool.fields()["latency"]) == 400 and step(pool, want=1).granted == 1
    pool.redis.hset(pool.stem, "breaker_probe_at", step(pool, want=1).now - 2500)
    assert step(pool, want=1).granted == 0
    pool.redis.hset(pool.stem, "breaker_probe_at", got.now - 3500)
    assert step(pool, want=1).granted == 1


def test_a_failure_while_the_rate_comes_back_stops_it_at_once(pool):
    got = known(pool, left=100)
    step(pool, failed=5, failed_sent=got.now)
    pool.redis.hset(pool.stem, "breaker_until", got.now - 1)
    step(pool, want=1)
    step(pool, ok=1, ok_sent=got.now + 1000)
    step(pool, failed=1, failed_sent=got.now + 2000)
    assert pool.fields()["breaker"] == "open"


def test_a_refusal_that_the_headers_explain_keeps_more_in_hand_another_is_less_hasty(pool):
    got = known(pool, left=100)
    step(pool, refused=1, refused_sent=got.now, explained=1)
    assert float(pool.fields()["margin"]) == 200
    pool.redis.hset(pool.stem, "refused_at", got.now - 5000)
    step(pool, refused=1, refused_sent=got.now, explained=0)
    assert 1.05 < float(pool.fields()["speedup"]) < 2 and "share" not in pool.fields()
    pool.redis.hset(pool.stem, mapping={"refused_at": got.now - 5000, "speedup": 1.02})
    step(pool, refused=1, refused_sent=got.now, explained=0)
    assert float(pool.fields()["share"]) < 1, "it was not haste"


def test_without_headers_a_refusal_ends_the_start_and_slows_the_pace(pool):
    first = step(pool, want=64)
    pool.redis.hset(pool.stem, mapping={"pace": 1, "pace_begun": first.now - 3000})
    step(pool, ok=100, ok_sent=first.now, refused=1, refused_sent=first.now)
    assert float(pool.fields()["pace"]) < 0.5 and pool.fields()["pace_mode"] == "climb"


def test_without_headers_what_was_accepted_between_refusals_is_gone_on_from_until_it_is_confirmed(pool):
    now = step(pool, want=1).now

    def refused_after_10_s(pace, accepted, **more):
        pool.redis.hset(pool.stem, mapping={"pace": pace, "pace_refused": now - 10_000, "refused_at": now - 10_000,
                                            "accepted": accepted, "pace_accepted": 0, **more})
        step(pool, refused=1, refused_sent=now)
        fields = pool.fields()
        return fields["pace_mode"], float(fields["pace_top"]) * 1000

    assert refused_after_10_s(0.15, 750, pace_mode="track", pace_top=0.15) == ("seek", 75)
    assert 1.08 < float(pool.fields()["pace_rise"]) < 1.3  # twice as fast within some seconds
    assert refused_after_10_s(0.12, 1000) == ("seek", 100)
    assert refused_after_10_s(0.12, 1020) == ("track", 102)


def test_without_limits_nobody_is_counted_in_the_end(pool):
    step(pool, want=1)
    pool.redis.hset(pool.stem, "pace", 50)
    assert step(pool, want=64).granted == -1


def test_a_clock_that_goes_back_does_not_stop_the_fleet(pool):
    got = known(pool, left=100)
    pool.redis.hset(pool.stem, mapping={"at": got.now + 3_600_000, "requests_next": got.now + 3_600_000,
                                        "requests_seen": got.now + 3_600_000})
    assert step(pool, want=4).granted > 0


def test_a_round_sent_twice_is_put_right_by_the_next_anchor(pool):
    known(pool, left=100)
    for _ in range(2):
        step(pool, want=10)
    spent = float(pool.fields()["requests_spent"])
    now = step(pool).now
    step(pool, headers=(now, now, (spent, 0, 0), limits(left=70)))
    assert float(pool.fields()["requests_left"]) == pytest.approx(70, abs=3)


def override(pool, **fields):
    pool.redis.hset(pool.stem, mapping=fields)


def test_an_operators_limit_paces_starts_below_what_the_api_would_allow(pool):
    known(pool)
    override(pool, requests_override=600)
    assert 1 <= step(pool, want=64).granted <= 8  # ten a second, half a second ahead
    assert step(pool, want=64).granted <= 1
    override(pool, requests_override=0)
    assert step(pool, want=64).granted > 10


def test_an_operators_limit_on_tokens_counts_what_calls_cost(pool):
    known(pool)
    override(pool, input_override=60_000)  # a thousand a second: ten calls of a hundred
    assert 1 <= step(pool, want=64).granted <= 8
    assert step(pool, want=64).granted <= 1
    step(pool, back=5)
    assert 3 <= step(pool, want=64).granted <= 7


def test_an_operators_limit_holds_where_no_header_tells_one(pool):
    override(pool, requests_override=600, pace=5)  # as fast as would need no counting
    assert 1 <= step(pool, want=64).granted <= 8
    assert 0 <= step(pool, want=64).granted <= 1
    assert pool.fields().get("pace_held", "0") == "0"  # the pace is not what held it


# ------------------------------------------------------------------------------------ budgets


def spend(pool, want=1, worker="w1", report=1, tokens=0, usd=0, held=(0, 0), spent=(0, 0), most=(1000, 0),
          mean=(100, 0), eager=0):
    """One round with a budget. Dollars are in billionths. (granted, cause, budget, why, wait ms)"""
    args = [120_000, eager, want, 100, 50, 1024, *[0] * 35]
    args += [worker, report, tokens, usd, *held, *spent, *most, *mean]
    answer = pool.server.call("pool_step", pool.stem, *args)
    return {"granted": answer[3], "cause": text(answer[2]), "budget": answer[13], "why": text(answer[4]),
            "wait": answer[1]}


def test_a_start_is_reserved_at_its_most_and_what_is_left_is_granted(pool):
    assert spend(pool, want=5, tokens=3500)["granted"] == 3
    assert float(pool.fields()["budget_tokens_held"]) == 3000
    assert spend(pool, want=5, worker="w2", tokens=3500)["granted"] == 0, "the fleet has one budget"


def test_what_a_call_did_not_use_may_be_spent_by_others(pool):
    spend(pool, want=3, tokens=3500)
    got = spend(pool, want=5, report=2, tokens=3500, held=(0, 0), spent=(300, 0))
    assert got["granted"] == 3
    assert float(pool.fields()["budget_tokens_spent"]) == 300


def test_a_report_sent_twice_counts_once(pool):
    for _ in range(2):
        spend(pool, want=0, report=7, tokens=3500, spent=(300, 0))
    assert float(pool.fields()["budget_tokens_spent"]) == 300
    spend(pool, want=0, report=8, tokens=3500, spent=(300, 0))
    assert float(pool.fields()["budget_tokens_spent"]) == 600


def test_near_the_end_calls_go_one_at_a_time_and_then_the_pool_shuts_with_the_numbers(pool):
    first = spend(pool, want=5, tokens=500)
    assert first["granted"] == 1, "less is left than one may cost at most"
    assert spend(pool, want=5, worker="w2", tokens=500)["budget"] == 1, "it waits for the other"
    assert spend(pool, want=5, report=2, tokens=500, spent=(390, 0))["granted"] == 1
    got = spend(pool, want=5, report=3, tokens=500, spent=(90, 0))
    assert (got["granted"], got["cause"], got["budget"]) == (0, "budget", 2)
    assert "PENSTOCK_BUDGET_TOKENS: 480 of 500 are spent" in got["why"]
    assert 0 < got["wait"] <= 86_400_000
    again = spend(pool, want=5, worker="w2", tokens=500)
    assert (again["granted"], again["cause"], again["budget"]) == (0, "budget", 0), "told once"


def test_what_a_dead_worker_held_is_free_after_a_minute(pool):
    spend(pool, want=3, tokens=3500)
    held = pool.fields()["held:w1"].split()
    held[0] = str(int(held[0]) - 61_000)
    pool.redis.hset(pool.stem, "held:w1", " ".join(held))
    assert spend(pool, want=5, worker="w2", tokens=3500)["granted"] == 3


def test_dollars_are_a_budget_of_their_own(pool):
    got = spend(pool, want=5, usd=10_000_000, most=(1000, 4_000_000), mean=(100, 1_000_000))
    assert got["granted"] == 2
    got = spend(pool, want=5, usd=10_000_000, report=2, spent=(400, 9_500_000),
                most=(1000, 4_000_000), mean=(100, 1_000_000))
    assert got["cause"] == "budget" and "PENSTOCK_BUDGET_USD: 0.0095 of 0.01 are spent" in got["why"]


def test_an_operator_lifts_a_budget_for_the_rest_of_the_day(pool):
    spend(pool, want=1, tokens=500, spent=(500, 0))
    assert pool.fields()["cause"] == "budget"
    pool.server.call("pool_open", pool.stem, 0, 0)
    assert spend(pool, want=5, report=2, tokens=500, spent=(100, 0))["granted"] == 5


def test_a_new_day_begins_at_nothing_and_opens_the_pool(pool):
    spend(pool, want=1, tokens=500, spent=(500, 0))
    pool.redis.hset(pool.stem, "budget_day", "2001-02-03")
    got = spend(pool, want=1, report=2, tokens=500)
    assert (got["granted"], got["cause"]) == (1, "")
    day = pool.redis.time()[0] // 86400
    today = (datetime.date(1970, 1, 1) + datetime.timedelta(days=day)).isoformat()
    assert pool.fields()["budget_day"] == today


def test_a_worker_that_reloads_with_a_larger_budget_opens_the_pool(pool):
    spend(pool, want=1, tokens=500, spent=(500, 0))
    assert spend(pool, want=1, tokens=5000, worker="w2")["cause"] == "budget"
    assert spend(pool, want=1, tokens=5000, worker="w2", eager=1)["granted"] == 1


def test_without_a_budget_nothing_of_it_is_kept(pool):
    step(pool, want=4)
    assert not [field for field in pool.fields() if field.startswith(("budget", "held"))]
