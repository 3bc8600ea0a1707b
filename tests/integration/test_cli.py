"""The command line, by running it: what it prints, what it changes in Redis, its exit codes."""
import json
import os
import subprocess
import time

import pytest
from clilib import NO_REDIS, SOME_FAILED, TIMEOUT, USAGE, json_lines, run, run_json
from fleet import Fleet
from simlib import SLACK, build_dir, wait_until

@pytest.fixture
def bare():
    """Redis and the simulator, no worker."""
    with Fleet(latency="constant:5") as fleet:
        yield fleet


@pytest.fixture
def busy():
    """The same with a worker."""
    with Fleet(latency="constant:5") as fleet:
        fleet.worker(concurrency=8)
        yield fleet


def test_help_names_every_verb_and_a_wrong_one_is_refused(bare):
    text = run(bare, "--help")
    for verb in ("push", "wait", "get", "stats", "check", "dead", "pause", "resume", "cancel"):
        assert f"\n  {verb}" in text
        assert "usage: penstock " + verb in run(bare, verb, "--help")
    run(bare, "psuh", code=USAGE)
    assert "no verb psuh" in run.err
    run(bare, "push", "--modle", "x", "hi", code=USAGE)
    assert run(bare, "--version").startswith("penstock ")
    for words in ([], ["--nope"], ["--redis-url", "redis://127.0.0.1"], ["--", "push"]):
        run(bare, *words, code=USAGE)
    assert "no verb is named" in run.err
    for verb in ("stats", "workers", "check", "top", "tail", "export"):
        run(bare, verb, "strayed", code=USAGE)
        assert '"strayed"' in run.err and f"penstock {verb} --help" in run.err


def test_push_prints_ids_and_the_jobs_are_in_redis_in_order(bare):
    ids = run(bare, "push", "one", "two", "--model", "claude-haiku-4-5", "--run", "r1").split()
    assert len(ids) == 2
    jobs = [json.loads(j) for j in bare.r.lrange(bare.key("jobs"), 0, -1)][::-1]
    assert [j["id"] for j in jobs] == ids and [j["prompt"] for j in jobs] == ["one", "two"]
    assert {j["run"] for j in jobs} == {"r1"} and {j["model"] for j in jobs} == {"claude-haiku-4-5"}
    assert abs(jobs[0]["pushed_at"] - int(bare.r.time()[0] * 1000)) < 5000


def test_push_reads_prompts_or_jobs_from_standard_input(bare):
    assert len(run(bare, "push", stdin="a\n\nb\n").split()) == 2
    ids = run(bare, "push", "--jobs", stdin='{"id":"x","prompt":"p"}\n{"prompt":"q"}\n').split()
    assert ids[0] == "x" and len(ids[1]) == 26
    run(bare, "push", "--jobs", stdin='{"prompt":"p","max_tokens":"5"}\n', code=USAGE)
    assert "max_tokens" in run.err
    assert bare.depth()["jobs"] == 4


def test_push_wait_prints_the_results(busy):
    results = [json.loads(line) for line in run(busy, "push", "--wait", "a", "b").splitlines()]
    assert [r["status"] for r in results] == ["succeeded"] * 2


def test_push_takes_a_file_and_waits_for_what_it_pushed(busy, tmp_path):
    (tmp_path / "jobs").write_text('{"id":"f1","prompt":"one"}\n\n{"id":"f2","prompt":"two"}\n')
    (tmp_path / "prompts").write_text("".join(f"prompt {n}\n" for n in range(600)))
    assert run(busy, "push", "--jobs", "--file", tmp_path / "jobs").split() == ["f1", "f2"]
    got = json_lines(run(busy, "push", "--file", tmp_path / "prompts", "--wait"))
    assert len({r["id"] for r in got}) == 600 and {r["status"] for r in got} == {"succeeded"}
    assert run(busy, "push", "--wait", "--text", stdin="three\nfour\n").count("echo: ") == 2
    for words in (["--file", tmp_path / "none"], ["--file", tmp_path / "jobs", "x"], ["--text", "x"]):
        run(busy, "push", *words, code=USAGE)
        assert run.err.count("\n") == 1
    busy.sim.config(fail={"400": 1.0})
    run(busy, "push", "--id", "sad", "--wait", "--text", "x", code=SOME_FAILED)
    assert run.err.startswith("penstock push: sad failed: ") and '"' not in run.err


def test_get_and_wait_tell_what_became_of_a_job(busy):
    busy.push({"id": "g", "prompt": "hello"}, {"id": "later", "prompt": "x", "delay_ms": 60000})
    assert json.loads(run(busy, "wait", "g"))["id"] == "g"
    assert run(busy, "get", "g", "--text").strip() == busy.peek("g")["text"]
    wait_until(lambda: busy.job("later", "state"), 5, "the delayed job")
    assert json.loads(run(busy, "get", "later", code=SOME_FAILED))["state"] == "delayed"
    assert json.loads(run(busy, "get", "nobody", code=SOME_FAILED))["status"] == "unknown"
    run(busy, "wait", "later", "--timeout", "50ms", code=TIMEOUT)
    run(busy, "get", "not an id", code=USAGE)


def test_stats_shows_queues_pools_and_workers_as_text_and_as_json(busy):
    busy.push({"id": "s", "prompt": "hello"})
    busy.result("s")
    stats = run_json(busy, "stats")
    queue = stats["queues"]["default"]
    assert queue["counters"]["succeeded"] == 1 and queue["waiting"] == 0
    assert [w["alive"] for w in stats["workers"].values()] == [True]
    assert "succeeded" in run(busy, "stats") and "\x1b" not in run(busy, "stats")
    assert list(run_json(busy, "workers")["workers"]) == list(stats["workers"])


def test_stats_tells_how_long_the_backlog_takes_at_the_limits():
    with Fleet(rpm=600, burst_s=1, latency="constant:20") as fleet:
        fleet.worker(concurrency=8)
        fleet.push(*[{"id": f"n{n}", "prompt": "x"} for n in range(400)])
        wait_until(lambda: fleet.pool().get("requests_limit"), 10, "the limits to be known")
        backlog = run_json(fleet, "stats")["backlog"]
        assert backlog["bound_by"] == "requests" and backlog["jobs"] > 100
        assert backlog["jobs"] / 10 - 5 < backlog["seconds_left"] < backlog["jobs"] / 10 + 5
        fleet.r.delete(fleet.key("jobs"))


def test_stats_finds_the_queues_that_workers_serve_and_the_pools_they_met(bare):
    worker = bare.worker(queues="bulk:2,default:1")
    bare.sim.script({"match": {"contains": "slow"}, "status": 429, "times": 1,
                      "headers": {"retry-after": "60"}, "body": "{}"})
    bare.push({"id": "s", "prompt": "slow", "model": "claude-haiku-4-5"}, queue="bulk")
    wait_until(lambda: bare.pool("claude-haiku-4-5"), 5, "the gate")
    # A worker says which pools it has met, so that nobody has to walk through all keys.
    key = f"penstock:worker:{bare.r.zrange('penstock:workers', 0, -1)[0]}"
    haiku = "anthropic:main:claude-haiku-4-5"
    wait_until(lambda: haiku in (bare.r.hget(key, "pools") or "").split(), 5, "the pool's name")
    stats = run_json(bare, "stats")
    assert set(stats["queues"]) == {"default", "bulk"}
    pool = stats["pools"][haiku]
    assert pool["open"] is False and pool["cause"] == "quota" and pool["opens_in_ms"] > 50000
    worker.kill()
    bare.r.delete("penstock:workers", key)
    assert haiku in run_json(bare, "stats")["pools"]  # found by a walk where nobody can tell


def test_runs_are_counted(busy):
    busy.push({"id": "n", "prompt": "x", "run": "nightly"})
    busy.result("n")
    assert run_json(busy, "runs")["runs"]["nightly"]["succeeded"] == 1
    assert run_json(busy, "runs", "nightly")["nightly"]["succeeded"] == 1
    run(busy, "runs", "nightly", "nosuch", code=SOME_FAILED)
    assert "the run nosuch" in run.err


def test_stats_shows_the_runs_that_workers_had_jobs_of_and_all_where_no_worker_is(bare):
    worker = bare.worker(queues="default,other")
    bare.push({"id": "a", "prompt": "x", "run": "nightly"}, {"id": "b", "prompt": "x", "run": "weekly"})
    bare.push({"id": "c", "prompt": "x", "run": "nightly"}, queue="other")
    bare.results(["a", "b"])
    bare.result("c", queue="other")
    def told():
        runs = run_json(bare, "stats")["runs"]
        return runs if len(runs) == 3 else None
    runs = wait_until(told, 30, "three runs")
    assert {(name, r["queue"], r["succeeded"]) for name, r in runs.items()} == {
        ("nightly", "default", 1), ("weekly", "default", 1), ("other/nightly", "other", 1)}
    assert set(run_json(bare, "stats", "--queue", "other")["runs"]) == {"nightly"}
    worker.drain()
    wait_until(lambda: not bare.r.zcard("penstock:workers"), 10, "the worker to sign off")
    assert set(run_json(bare, "stats")["runs"]) == {"nightly", "weekly"}  # found by a walk


def test_a_paused_queue_waits_with_its_reason_until_it_is_resumed(busy):
    run(busy, "pause", "deploy in progress")
    assert busy.r.get(busy.key("paused")) == "deploy in progress"
    assert run_json(busy, "stats")["queues"]["default"]["paused"] == "deploy in progress"
    time.sleep(1.1 * SLACK)  # the contract: within a second
    busy.push({"id": "p", "prompt": "x"})
    assert "is open" in run(busy, "resume")
    assert busy.result("p")["status"] == "succeeded"


def test_a_paused_pool_starts_no_call_until_it_is_resumed(busy):
    pool = "anthropic:main:claude-sonnet-5"
    run(busy, "pause", "--pool", pool, "spending too much")
    busy.push({"id": "p", "prompt": "x"})
    assert busy.pool()["cause"] == "paused" and busy.pool()["why"] == "spending too much"
    assert busy.r.exists(busy.key("result:p")) == 0
    shown = run_json(busy, "stats")["pools"][pool]
    assert shown["open"] is False and shown["cause"] == "paused"
    run(busy, "resume", "--pool", pool)
    assert busy.pool()["cause"] == ""
    run(busy, "pause", "--pool", "a{b", code=USAGE)


def test_a_paused_run_waits_while_others_go_on_until_it_is_resumed(busy):
    busy.push({"id": "h0", "prompt": "x", "run": "off", "delay_ms": 1500})
    wait_until(lambda: busy.depth()["delayed"] == 1, 10, "the delayed job")
    assert run_json(busy, "pause", "--run", "off") == {"run": "off", "state": "paused"}
    busy.push({"id": "h1", "prompt": "x", "run": "off"}, {"id": "h2", "prompt": "x", "run": "on"})
    busy.result("h2")
    wait_until(lambda: busy.depth()["delayed"] == 2, 10, "both jobs to be held")
    assert {busy.job(f"h{n}", "waits_for") for n in (0, 1)} == {"held"}
    run(busy, "resume", "--run", "off")
    assert {r["status"] for r in busy.results(["h0", "h1"]).values()} == {"succeeded"}
    run(busy, "pause", "--run", "off", "--pool", "x", code=USAGE)
    run(busy, "pause", "--run", "no run", code=USAGE)
    run(busy, "pause", "--run", "off")
    busy.push({"id": "h3", "prompt": "x", "run": "off"})
    wait_until(lambda: busy.depth()["delayed"] == 1, 10, "the job to be held")
    assert run_json(busy, "cancel", "--run", "off") == {"asked": 1}
    assert busy.result("h3")["status"] == "cancelled"


def test_cancel_by_id_and_by_run(bare):
    bare.push({"id": "keep", "prompt": "x", "delay_ms": 60000},
              *[{"id": f"c{n}", "prompt": "x", "run": "off", "delay_ms": 60000} for n in range(3)],
              {"id": "one", "prompt": "x", "delay_ms": 60000})
    assert "cancel 3" in run(bare, "cancel", "--run", "off")
    assert run_json(bare, "cancel", "one") == {"asked": 1}
    worker = bare.worker()
    got = bare.results(["c0", "c1", "c2", "one"])
    assert {r["status"] for r in got.values()} == {"cancelled"}
    wait_until(lambda: bare.job("keep", "state") == "delayed", 5, "the job that stays")
    bare.push(*[{"id": f"e{n}", "prompt": "x", "run": "off", "delay_ms": 60000} for n in range(2)])
    wait_until(lambda: bare.depth()["delayed"] == 3, 5, "the delayed jobs")
    assert run_json(bare, "cancel", "--run", "off") == {"asked": 2}
    assert {r["status"] for r in bare.results(["e0", "e1"]).values()} == {"cancelled"}
    run(bare, "cancel", code=USAGE)
    assert worker.pid


def test_a_run_of_many_delayed_jobs_is_paused_whole(bare):
    ids, soon = [f"d{n}" for n in range(1000)], int(time.time() * 1000) + 600_000
    pipe = bare.r.pipeline()
    for n, name in enumerate(ids):
        payload = json.dumps({"id": name, "prompt": "x", "run": "off"})
        pipe.hset(bare.key(f"job:{name}"), mapping={"state": "delayed", "run": "off", "payload": payload})
        pipe.zadd(bare.key("delayed"), {name: soon + n})
    pipe.hset(bare.key("run:off"), "admitted", len(ids))
    pipe.execute()
    run(bare, "pause", "--run", "off")
    assert bare.r.scard(bare.key("held:off")) == len(ids)


def findings(fleet, level, **more):
    got = run_json(fleet, "check", **more)
    return {(f["about"], f["text"]) for f in got["findings"] if f["level"] == level}


def test_check_finds_nothing_wrong_with_a_good_set_up(busy):
    assert findings(busy, "wrong") == set()
    assert ("workers", "1 alive") in findings(busy, "ok")
    assert "answers" in run(busy, "check")


def test_check_says_what_is_wrong_and_what_to_do(bare):
    bare.r.config_set("maxmemory-policy", "allkeys-lru")
    bare.r.set(bare.key("version"), "2")
    bare.r.set(bare.key("paused"), "lunch")
    env = bare.env(ANTHROPIC_BASE_URL="http://127.0.0.1:1", PENSTOCK_CONCURENCY="7",
                   ANTHROPIC_API_KEY="")
    wrong = findings(bare, "wrong", env=env, code=SOME_FAILED)
    about = {a for a, _ in wrong}
    assert about == {"memory", "queue", "api"}, wrong
    assert any("noeviction" in text for _, text in wrong)
    warned = findings(bare, "warning", env=env, code=SOME_FAILED)
    assert {a for a, _ in warned} >= {"persistence", "workers", "queue", "settings", "key"}
    assert any("PENSTOCK_CONCURRENCY" in text for _, text in warned)


def test_check_names_every_setting_that_makes_no_sense_and_goes_on(busy, tmp_path):
    (tmp_path / "set").write_text("PENSTOCK_LEASE_MS=5\n")
    env = busy.env(PENSTOCK_CONCURRENCY="x", PENSTOCK_LOG_LEVEL="loud", PENSTOCK_MODEL="no model",
                   PENSTOCK_SETTINGS_FILE=tmp_path / "set")
    got = json.loads(run(busy, "check", "--json", "--max-tokens=0", "--nonsense", "5", env=env,
                         code=SOME_FAILED))
    wrong = [f["text"] for f in got["findings"] if f["level"] == "wrong"]
    for name in ("PENSTOCK_CONCURRENCY: ", "PENSTOCK_LOG_LEVEL: ", "PENSTOCK_MODEL: ", "--max-tokens: ",
                 "--nonsense", "set line 1: PENSTOCK_LEASE_MS: "):
        assert len([text for text in wrong if name in text]) == 1, (name, wrong)
    about = {f["about"] for f in got["findings"] if f["level"] == "ok"}
    assert {"redis", "rights", "workers", "key", "api"} <= about


def test_check_tells_a_refused_key_and_missing_rights():
    with Fleet(key="main=sk-ant-other-key", require_key=True) as fleet:
        assert any("refuses the key" in text
                   for about, text in findings(fleet, "wrong", code=SOME_FAILED))
        fleet.r.execute_command("ACL", "SETUSER", "weak", "on", ">pw", "~penstock:*", "+ping",
                                "+client|setname", "+role", "+time")
        env = fleet.env(PENSTOCK_REDIS_URL=f"unix://weak:pw@{fleet.redis.socket}")
        assert any(about == "rights" and "NOPERM" in text
                   for about, text in findings(fleet, "wrong", env=env, code=SOME_FAILED))


def test_a_redis_that_is_not_there_is_said_in_one_line_with_its_own_exit_code(bare):
    env = bare.env(PENSTOCK_REDIS_URL="redis://127.0.0.1:1")
    for verb in (["push", "x"], ["get", "x"], ["stats"], ["dead"], ["pause"], ["cancel", "x"]):
        run(bare, *verb, env=env, code=NO_REDIS)
        assert run.err.count("\n") == 1 and "127.0.0.1:1" in run.err and "--redis-url" in run.err
    assert any(about == "redis" for about, _ in findings(bare, "wrong", env=env, code=SOME_FAILED))


def test_output_that_nobody_reads_ends_the_program_quietly(busy):
    busy.push(*[{"id": f"w{n}", "prompt": "x"} for n in range(3)])
    busy.results([f"w{n}" for n in range(3)])
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([str(build_dir() / "penstock"), "get", "w0", "w1", "w2"], stdout=write,
                          stderr=subprocess.PIPE, env=busy.env(), timeout=30 * SLACK)
    os.close(write)
    assert done.returncode != 0 and done.stderr == b""


def test_a_number_of_tokens_that_is_none_is_named_before_anything_is_pushed(bare):
    run(bare, "push", "--max-output", "many", "hi", code=USAGE)
    assert "--max-output many" in run.err and bare.depth()["jobs"] == 0


def test_top_prints_one_snapshot_where_there_is_no_terminal(busy):
    busy.push({"id": "t1", "prompt": "x", "run": "nightly"}, {"id": "t2", "prompt": "x", "delay_ms": 60000})
    busy.result("t1")
    wait_until(lambda: busy.depth()["delayed"] == 1, 10, "the delayed job")
    got = run_json(busy, "top")
    queue = got["queues"]["default"]
    assert (queue["waiting"], queue["delayed"], queue["dead"]) == (0, 1, 0)
    assert got["pools"]["anthropic:main:claude-sonnet-5"]["open"] is True
    assert got["runs"]["nightly"]["succeeded"] == 1 and got["runs"]["nightly"]["queue"] == "default"
    assert len(got["workers"]) == 1 and got["now"] > 0
    text = run(busy, "top")
    assert "\x1b" not in text and "QUEUES" in text and "nightly" in text
    assert set(run_json(busy, "top", "--queue", "other")["queues"]) == {"other"}
    run(busy, "top", "--interval", "5ms", code=USAGE)
    run(busy, "top", "default", code=USAGE)


def test_top_names_a_run_of_two_queues_twice_and_says_when_redis_refuses(bare):
    for queue in ("a", "b"):
        bare.r.hset(bare.key("run:nightly", queue), mapping={"succeeded": 1, "updated": 5})
        bare.r.rpush(bare.key("jobs", queue), "{}")
    bare.r.zadd("penstock:workers", {"w": int(bare.r.time()[0]) * 1000})
    bare.r.hset("penstock:worker:w", mapping={"queues": "a,b", "runs": "a/nightly b/nightly"})
    runs = run_json(bare, "top")["runs"]
    assert sorted((name, run["queue"]) for name, run in runs.items()) in (
        [("b/nightly", "b"), ("nightly", "a")], [("a/nightly", "a"), ("nightly", "b")])
    bare.r.execute_command("ACL", "SETUSER", "no-time", "on", ">pw", "~*", "+@all", "-time")
    run(bare, "top", "--once", "--redis-url", f"unix://no-time:pw@{bare.redis.socket}", code=NO_REDIS)
    assert "time" in run.err and run.err.count("\n") == 1


def test_a_name_that_nothing_has_used_is_told(bare):
    run(bare, "pause", "--pool", "nonsense", code=USAGE)
    assert not bare.r.keys("penstock:pool:*")
    run(bare, "pause", "--run", "nosuch")
    assert "is its name right?" in run.err
    assert run_json(bare, "runs", "nosuch")["nosuch"]["paused"] is True
    run(bare, "resume", "--run", "nosuch")
    assert "is its name right?" in run.err
    assert run_json(bare, "cancel", "--run", "nosuch2") == {"asked": 0}
    assert "is its name right?" in run.err
    run(bare, "cancel", "--run", "no run", code=USAGE)
    run(bare, "limits", "nosuch:main:x", code=1)
    assert "no worker has used this pool" in run.err


@pytest.mark.parametrize("words", [["tail", "--count", "5x"], ["dead", "list", "--limit", "x"],
                                   ["tail", "--count", "1", "--run", "a b"]])
def test_a_number_or_a_name_that_is_half_one_is_refused(bare, words):
    run(bare, *words, code=USAGE)
    assert words[-2] in run.err and run.err.count("\n") == 1


def test_help_is_a_verb_too(bare):
    assert run(bare, "help") == run(bare, "--help")
    assert run(bare, "help", "top") == run(bare, "top", "--help")
    for words in (["help", "tpo"], ["tpo", "--help"]):
        run(bare, *words, code=USAGE)
        assert "no verb tpo" in run.err
