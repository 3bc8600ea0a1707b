"""pool_step (its gate), pool_shut, pool_open: one gate for the whole fleet."""
import pytest

STEP_MS = 60_000
STEP_MAX_MS = 900_000
HOLD_MS = 120_000
WEEK_MS = 7 * 86_400_000
SLACK_MS = 1000


def about(ms, expected):
    return expected - SLACK_MS <= ms <= expected


def in_trouble(pool, cause="auth"):
    ms, changed = pool.shut(cause, trouble=True, why="bad key")
    assert about(ms, STEP_MS) and changed


def fail_once(pool, **more):
    """The time comes, one call tries and fails; returns when the next may try."""
    pool.pass_ms(pool.enter().wait)
    assert pool.enter(HOLD_MS).starts == 1
    return pool.shut("auth", trouble=True, **more)


# a pool no one has shut

def test_an_unknown_pool_is_open_and_leaves_nothing(pool):
    entry = pool.enter()
    assert (entry.wait, entry.cause, entry.starts, entry.why) == (0, "", -1, "")
    assert pool.fields() == {}


def test_there_is_nothing_to_open(pool):
    assert not pool.open() and not pool.open(only_trouble=True) and not pool.open(retry=True)
    assert pool.fields() == {}


# quota

def test_a_quota_shuts_the_pool_for_its_time(pool):
    ms, changed = pool.shut("quota", 5000, why="requests per minute")
    assert ms == 5000 and changed
    entry = pool.enter()
    assert about(entry.wait, 5000)
    assert (entry.cause, entry.starts, entry.why) == ("quota", 0, "requests per minute")
    assert pool.fields()["shut_quota"] == "1"


def test_a_quota_that_is_over_lets_all_in(pool):
    pool.shut("quota", 5000)
    pool.pass_ms(5000)
    for _ in range(2):
        entry = pool.enter()
        assert (entry.wait, entry.cause, entry.starts) == (0, "", -1)
    assert pool.fields()["cause"] == ""


def test_a_quota_never_moves_the_time_back(pool):
    pool.shut("quota", 60_000)
    ms, changed = pool.shut("quota", 1000)
    assert about(ms, 60_000) and not changed
    ms, changed = pool.shut("quota", -1)
    assert about(ms, 60_000) and not changed
    assert about(pool.enter().wait, 60_000)


def test_a_later_quota_moves_the_time_on(pool):
    pool.shut("quota", 1000)
    ms, changed = pool.shut("quota", 60_000)
    assert ms == 60_000 and not changed


def test_a_quota_without_a_time_is_over_at_once(pool):
    assert pool.shut("quota", -1)[0] == 0
    assert pool.enter().open


def test_the_cause_is_the_one_whose_time_rules(pool):
    pool.shut("quota", 60_000, why="slow down")
    ms, changed = pool.shut("overload", 1000, why="busy")
    assert about(ms, 60_000) and not changed
    assert pool.enter().cause == "quota"
    ms, changed = pool.shut("overload", 90_000, why="busy")
    assert ms == 90_000 and changed
    assert (pool.enter().cause, pool.enter().why) == ("overload", "busy")


def test_since_is_when_it_shut_and_not_when_it_was_last_told(pool):
    pool.shut("quota", 5000)
    since = int(pool.fields()["since"])
    pool.redis.hset(pool.stem, "since", since - 700)
    pool.shut("quota", 9000)
    assert int(pool.fields()["since"]) == since - 700


def test_a_start_does_not_open_what_a_quota_shut(pool):
    pool.shut("quota", 5000)
    assert not pool.open(only_trouble=True)
    assert not pool.enter(eager=True).open


# the account's trouble

def test_one_call_of_the_fleet_tries_after_a_minute(pool):
    in_trouble(pool)
    assert pool.enter().starts == 0
    pool.pass_ms(STEP_MS)
    entries = [pool.enter(HOLD_MS) for _ in range(5)]
    assert [entry.starts for entry in entries] == [1, 0, 0, 0, 0]
    assert (entries[0].cause, entries[0].why) == ("auth", "bad key")
    assert about(entries[1].wait, HOLD_MS)


def test_each_try_that_fails_doubles_the_step_up_to_a_quarter_of_an_hour(pool):
    in_trouble(pool)
    steps = [fail_once(pool)[0] for _ in range(6)]
    assert steps == [120_000, 240_000, 480_000, STEP_MAX_MS, STEP_MAX_MS, STEP_MAX_MS]


def test_a_try_that_fails_is_no_news(pool):
    in_trouble(pool)
    assert not fail_once(pool)[1]


def test_answers_that_were_under_way_do_not_lengthen_the_step(pool):
    in_trouble(pool)
    for _ in range(50):
        ms, changed = pool.shut("auth", trouble=True)
        assert about(ms, STEP_MS) and not changed
    assert pool.fields()["step"] == str(STEP_MS)
    assert fail_once(pool)[0] == 120_000
    pool.shut("auth", trouble=True)
    assert pool.fields()["step"] == "120000"


def test_a_late_answer_at_the_time_to_try_keeps_the_step(pool):
    in_trouble(pool)
    fail_once(pool)
    fail_once(pool)
    pool.pass_ms(240_000)
    ms, changed = pool.shut("auth", trouble=True)
    assert ms == 240_000 and not changed


def test_the_repeat_of_a_failed_try_changes_nothing(pool):
    in_trouble(pool)
    ms, _ = fail_once(pool)
    before = pool.fields()
    assert about(pool.shut("auth", trouble=True)[0], ms)
    assert pool.fields() == before


def test_a_named_time_rules_over_the_step(pool):
    ms, changed = pool.shut("spend", 3_600_000, trouble=True)
    assert ms == 3_600_000 and changed
    assert about(pool.enter().wait, 3_600_000)
    assert fail_once(pool, wait=7_200_000)[0] == 7_200_000


def test_a_trying_worker_that_died_is_followed_by_another(pool):
    in_trouble(pool)
    pool.pass_ms(STEP_MS)
    assert pool.enter(HOLD_MS).starts == 1
    pool.pass_ms(HOLD_MS)
    assert [pool.enter(HOLD_MS).starts for _ in range(3)] == [1, 0, 0]


def test_a_try_that_did_not_happen_lets_another_in_at_once(pool):
    in_trouble(pool)
    pool.pass_ms(STEP_MS)
    assert pool.enter().starts == 1
    assert not pool.open(only_trouble=True, retry=True)
    assert pool.fields()["cause"] == "auth"
    assert [pool.enter().starts for _ in range(3)] == [1, 0, 0]


def test_a_try_that_did_not_happen_opens_nothing_once_another_has_failed(pool):
    in_trouble(pool)
    fail_once(pool)
    pool.open(only_trouble=True, retry=True)
    assert about(pool.enter().wait, 120_000)


def test_an_eager_worker_tries_at_once_and_only_one_of_them(pool):
    pool.shut("spend", 86_400_000, trouble=True)
    assert [pool.enter(HOLD_MS, eager=True).starts for _ in range(3)] == [1, 0, 0]


def test_success_opens_the_pool_for_all(pool):
    in_trouble(pool)
    pool.pass_ms(STEP_MS)
    pool.enter()
    assert pool.open(only_trouble=True)
    assert [pool.enter().starts for _ in range(3)] == [-1] * 3
    assert not pool.open(only_trouble=True)
    fields = pool.fields()
    assert (fields["open_at"], fields["cause"], fields["step"], fields["probing"]) == (
        "0", "", "0", "0")


def test_after_success_the_step_begins_anew(pool):
    in_trouble(pool)
    fail_once(pool)
    pool.open(only_trouble=True)
    in_trouble(pool)


def test_trouble_is_told_once_for_each_cause(pool):
    in_trouble(pool)
    pool.pass_ms(STEP_MS)
    pool.enter()
    ms, changed = pool.shut("billing", trouble=True)
    assert ms == 120_000 and changed


def test_trouble_does_not_shorten_a_quota(pool):
    pool.shut("quota", 600_000)
    ms, changed = pool.shut("auth", trouble=True)
    assert about(ms, 600_000) and changed
    assert pool.enter().cause == "auth"


# a quota while the account is in trouble

@pytest.mark.parametrize("when", ["shut", "due", "probing"])
def test_a_quota_does_not_stand_over_trouble(pool, when):
    in_trouble(pool)
    if when != "shut":
        pool.pass_ms(STEP_MS)
    if when == "probing":
        pool.enter(HOLD_MS)
    ms, changed = pool.shut("quota", 1000)
    assert not changed
    assert ms > 0
    fields = pool.fields()
    assert (fields["cause"], fields["step"]) == ("auth", str(STEP_MS))
    pool.pass_ms(HOLD_MS)
    assert [pool.enter().starts for _ in range(2)] == [1, 0]


@pytest.mark.parametrize("when", ["shut", "due", "probing"])
def test_the_time_a_quota_named_holds_in_trouble_too(pool, when):
    in_trouble(pool)
    if when != "shut":
        pool.pass_ms(STEP_MS)
    if when == "probing":
        pool.enter(HOLD_MS)
    assert pool.shut("quota", 500_000)[0] == 500_000
    assert about(pool.enter().wait, 500_000)


# what people decide

@pytest.mark.parametrize("cause", ["paused", "budget"])
def test_what_people_decide_lasts_until_they_lift_it(pool, cause):
    pool.shut(cause)
    pool.pass_ms(30 * 86_400_000)
    assert (pool.enter().starts, pool.enter().cause) == (0, cause)
    assert not pool.open(only_trouble=True)
    assert pool.open()
    assert pool.enter().open


def test_a_pause_of_a_named_time_is_over_then(pool):
    pool.shut("budget", 5000)
    pool.pass_ms(5000)
    assert pool.enter().open


def test_a_pause_stands_over_trouble(pool):
    in_trouble(pool)
    assert pool.shut("paused")[1]
    assert not pool.enter(eager=True).open
    assert not pool.open(only_trouble=True)
    assert pool.enter().cause == "paused"


@pytest.mark.parametrize("cause, trouble", [("quota", False), ("auth", True)])
def test_answers_that_were_under_way_do_not_lift_a_pause(pool, cause, trouble):
    pool.shut("paused", why="by hand")
    ms, changed = pool.shut(cause, 1000, trouble=trouble)
    assert ms > 10**9 and not changed
    assert (pool.enter(eager=True).starts, pool.enter().why) == (0, "by hand")


def test_a_pause_again_is_no_news(pool):
    pool.shut("paused", 60_000)
    ms, changed = pool.shut("paused", 50_000)
    assert about(ms, 60_000) and not changed


# resume

@pytest.mark.parametrize("cause, trouble", [("quota", False), ("auth", True), ("paused", False)])
def test_an_operator_opens_it_whatever_shut_it(pool, cause, trouble):
    pool.shut(cause, 3_600_000, trouble=trouble)
    assert pool.open()
    assert pool.enter().starts == -1
    assert not pool.open()


def test_to_open_what_is_open_by_now_is_no_news(pool):
    pool.shut("quota", 5000)
    pool.pass_ms(6000)
    assert not pool.open()


# life

@pytest.mark.parametrize("use", [
    lambda pool: pool.enter(), lambda pool: pool.shut("quota", 1000), lambda pool: pool.open(),
    lambda pool: pool.shut("auth", trouble=True)])
def test_the_ledger_is_kept_for_a_week_after_its_last_use(pool, use):
    pool.shut("quota", 1000)
    pool.pass_ms(2000)
    pool.redis.pexpire(pool.stem, 5000)
    use(pool)
    assert WEEK_MS - 10_000 < pool.redis.pttl(pool.stem) <= WEEK_MS + STEP_MS


def test_a_gate_that_is_shut_for_a_month_does_not_vanish(pool):
    month = 30 * 86_400_000
    pool.shut("spend", month, trouble=True)
    assert pool.redis.pttl(pool.stem) > month
    pool.redis.pexpire(pool.stem, 5000)
    pool.enter()
    assert pool.redis.pttl(pool.stem) > month


def test_to_ask_again_and_again_writes_nothing(pool):
    pool.shut("quota", 60_000)
    before = pool.redis.info("replication")["master_repl_offset"], pool.redis.info("persistence")[
        "rdb_changes_since_last_save"]
    for _ in range(10):
        pool.enter()
    assert before == (pool.redis.info("replication")["master_repl_offset"],
                      pool.redis.info("persistence")["rdb_changes_since_last_save"])


def test_other_fields_of_the_ledger_stay(pool):
    pool.redis.hset(pool.stem, "rpm", "50")
    pool.shut("quota", 1000)
    pool.open()
    assert pool.fields()["rpm"] == "50"


# limits of an operator's own

def test_limits_of_ones_own_are_set_together_and_taken_away_one_by_one(pool):
    pool.limit("requests", 90, "output", 4000)
    pool.redis.hset(pool.stem, "requests_override_next", 5)
    assert pool.fields() == {"requests_override": "90", "output_override": "4000", "requests_override_next": "5"}
    pool.limit("requests", "")
    assert pool.fields() == {"output_override": "4000"}


def test_a_ledger_that_a_limit_began_goes_in_a_week_and_no_sooner(pool):
    pool.limit("input", 1000)
    assert about(pool.redis.pttl(pool.stem), WEEK_MS)
    pool.limit("input", "")
    assert pool.redis.pttl(pool.stem) == -2


def test_a_limit_leaves_the_gate_and_its_time_as_they_are(pool):
    pool.shut("quota", 9 * 86_400_000)
    had = pool.fields(), pool.redis.pttl(pool.stem)
    pool.limit("input", 1000)
    assert {**had[0], "input_override": "1000"} == pool.fields()
    assert about(pool.redis.pttl(pool.stem), had[1])
