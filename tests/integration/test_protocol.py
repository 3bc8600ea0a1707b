"""docs/protocol.md is true: every example runs as it stands there, against a real Redis and a real
worker that calls the simulator, and its closed lists are those of the code."""
import json
import os
import pathlib
import re
import shutil
import subprocess

import pytest
import redis as redis_py

from simlib import ROOT, Sim, build_dir, wait_until

PAGE = (ROOT / "docs/protocol.md").read_text()
Q = "penstock:{default}:"
POOL = "penstock:pool:{anthropic:main:claude-sonnet-5}"


def section(title):
    return re.search(rf"^##+ {title}\n(.*?)(?=^##+ |\Z)", PAGE, re.M | re.S).group(1)


def first_column(text):
    """The names in backquotes in the first cells of a section's tables."""
    cells = re.findall(r"^\| (.*?) \|", text, re.M)
    return [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]


def source(path):
    return (ROOT / path).read_text()


def mapped(text, name):
    """The words of an X-macro: the first string of each XX(...)."""
    body = re.search(rf"#define {name}\(XX\)(.*?)// clang-format on", text, re.S).group(1)
    return [word for word in re.findall(r'XX\(\w+,\s*"([^"]*)"', body) if word]


# ---- the examples


@pytest.fixture(scope="module")
def redis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("r")
    server = subprocess.Popen(["redis-server", "--port", "0", "--unixsocket", str(folder / "s"), "--dir",
                               str(folder), "--save", "", "--loglevel", "warning"], stdout=subprocess.DEVNULL)
    client = redis_py.Redis(unix_socket_path=str(folder / "s"), decode_responses=True)

    def is_up():
        try:
            return client.ping()
        except redis_py.ConnectionError:
            return False

    wait_until(is_up, what="redis-server")
    client.path = str(folder / "s")
    yield client
    client.close()
    server.terminate()
    assert server.wait(10) == 0


@pytest.fixture(scope="module")
def worker(redis):
    """A worker that has nothing left to do whenever settled() returns."""
    env = {**os.environ, "PENSTOCK_REDIS_URL": f"unix://{redis.path}", "ANTHROPIC_API_KEY": "k", "PENSTOCK_HTTP": "off"}
    with Sim(answer_tokens=5, quiet=True) as sim:
        env["ANTHROPIC_BASE_URL"] = sim.base_url
        process = subprocess.Popen([build_dir() / "penstock-worker"], env=env, stderr=subprocess.PIPE, text=True)
        yield process
        process.terminate()
        _, log = process.communicate(timeout=30)
        assert process.returncode == 0, log


@pytest.fixture(scope="module")
def shell(redis, worker, tmp_path_factory):
    """shell(CODE): the lines a block printed; it stops at the first command that fails."""
    tmp_path = tmp_path_factory.mktemp("bin")
    shim = tmp_path / "redis-cli"
    shim.write_text(f'#!/bin/sh\nexec {shutil.which("redis-cli")} -s {redis.path} -e "$@"\n')
    shim.chmod(0o755)

    def go(code):
        done = subprocess.run(["bash", "-euc", code], env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
                              cwd=ROOT, text=True, capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr + done.stdout
        return done.stdout.splitlines()

    return go


@pytest.fixture(scope="module")
def run(shell):
    """The same, after the examples of Pushing, which the others build on."""
    for code in blocks("Pushing"):
        shell(code)
    return shell


def blocks(title):
    return re.findall(r"^```sh\n(.*?)^```$", section(title), re.M | re.S)


def result(redis, job):
    raw = wait_until(lambda: redis.get(f"{Q}result:{job}"), what=f"the result of {job}")
    return json.loads(raw)


def die(redis, job):
    """Push a payload under that id that is no valid job, and return its result."""
    redis.lpush(f"{Q}jobs", json.dumps({"id": job, "promt": "x"}))
    return result(redis, job)


def test_pushes_run_and_a_delayed_one_waits(run, redis):
    for job in ("robot-1", "a", "b", "urgent", "tool-1"):
        assert result(redis, job)["status"] == "succeeded"
    assert result(redis, "tool-1")["meta"] == {"customer": 4711}
    assert redis.hget(f"{Q}job:later", "state") == "delayed"


def test_the_consumer_finds_the_result_and_the_reply(run, redis):
    lines = run(blocks("For a consumer")[0])
    assert lines[1] == f"{Q}reply:stories" and lines[0] == lines[2]
    assert json.loads(lines[0])["id"] == "robot-1"


def test_a_result_has_the_fields_of_its_table_in_that_order(run, redis):
    at_times = ("error", "run", "meta")
    named = [name for name in first_column(section("A result")) if name not in at_times]
    assert [key for key in result(redis, "robot-1") if key not in at_times] == named
    broken = die(redis, "broken-1")
    assert [key for key in broken if key not in at_times] == named
    assert list(broken["error"]) == ["type", "message", "http_status", "request_id"]
    assert broken["error"]["type"] == "invalid_job" and "promt" in broken["error"]["message"]


def test_deleting_the_result_and_pushing_again_runs_it_again(run, redis):
    before = result(redis, "robot-1")
    run(blocks("Pushing twice")[0])
    assert result(redis, "robot-1")["created"] > before["created"]


def test_a_delayed_job_is_cancelled(run, redis):
    run(blocks("Cancelling")[0])
    assert result(redis, "later")["status"] == "cancelled"
    wait_until(lambda: not redis.smembers(f"{Q}cancel"), what="the id to leave the set")


def test_a_run_is_counted(run, redis):
    run(blocks("Runs")[0])
    wait_until(lambda: redis.hget(f"{Q}run:nightly", "succeeded") == "2", what="the run to end")
    assert set(redis.hgetall(f"{Q}run:nightly")) <= {*first_column(section("Counters")), "created", "updated"}


def test_the_operator_looks_stops_and_goes_on(run, redis):
    die(redis, "broken-1")
    look, stop, died, _, _ = blocks("For an operator")
    assert len(run(look)) >= 4
    assert run(stop) == ["OK", "1"]
    lines = run(died)
    assert "broken-1" in lines and lines[-1] == '{"id": "broken-1", "promt": "x"}'
    assert lines[-6] == "invalid_job"


def test_dead_jobs_go_round_again_or_away(run, redis):
    die(redis, "broken-1")
    die(redis, "broken-2")
    died = redis.zscore(f"{Q}dead", "broken-1")
    retried = run(blocks("For an operator")[3])
    assert retried[1::2] == ["1", "1"]
    wait_until(lambda: (redis.zscore(f"{Q}dead", "broken-1") or 0) > died, what="broken-1 to be read and die again")
    assert not redis.exists(f"{Q}job:broken-2") and redis.zscore(f"{Q}dead", "broken-2") is None


def test_a_pool_opens_when_its_hash_is_gone(run, redis):
    redis.hset(POOL, mapping={"open_at": 1, "cause": "quota"})
    run(blocks("For an operator")[4])
    assert not redis.exists(POOL)


def test_every_key_that_is_left_is_on_the_page(run, redis):
    """Runs last: whatever the examples left behind must be a key of the table or of the sentence below."""
    named = [re.sub(r"<[^>]+>|…", "*", key) for key in re.findall(r"`([^`]+)`", section("Keys"))]
    known = [name.replace("{Q}", "{default}") for name in named if name.startswith("penstock:")]
    known += [f"{Q}{name}" for name in named if re.match(r"(op:|claims|replies:|waited|owed|deaths:)", name)]
    patterns = [re.compile(re.escape(name).replace(r"\*", ".*") + "$") for name in known]
    strangers = [key for key in redis.keys("*") if not any(p.match(key) for p in patterns)]
    assert not strangers


# ---- the closed lists


def test_error_types_and_causes_are_those_of_the_code():
    outcome = source("common/job/outcome.h")
    types = re.findall(r"^\| `(\w+)` \|", section("Error types"), re.M)
    causes = re.findall(r"^\| `(\w+)` \|", section("Causes of a shut pool"), re.M)
    assert types == mapped(outcome, "FAILURE_MAP")
    assert sorted(causes) == sorted(mapped(outcome, "CAUSE_MAP"))


def test_counters_are_those_that_scripts_count():
    counted = set()
    for script in (ROOT / "common/queue/lua").glob("*.lua"):
        text = script.read_text()
        counted |= set(re.findall(r"\bcount\('(\w+)'", text))
        for why in re.findall(r"local WHY = \{(.*?)\}", text, re.S):
            counted |= set(re.findall(r"'(\w+)'", why))
    counted |= {"succeeded", "failed", "expired", "cancelled"}  # settle counts the status it is given
    assert set(first_column(section("Counters"))) == counted


def test_fields_of_a_job_are_those_that_are_read():
    known = re.findall(r"^    XX\((\w+),", re.search(r"#define JOB_FIELD_MAP.*?\n\n", source("common/job/job_int.h"),
                                                   re.S).group(0), re.M)
    beside = re.findall(r"^    XX\((\w+),.*false\)", source("common/job/job_int.h"), re.M)
    table = section("A job")
    assert set(first_column(table)) - {"x_…"} == set(known)
    marked = {name for cell in re.findall(r"^\| (.*?) ◦ \|", table, re.M) for name in re.findall(r"`(\w+)`", cell)}
    assert marked == set(beside) - {"prompt", "messages"}


def test_scripts_are_those_that_exist():
    files = {path.stem for path in (ROOT / "common/queue/lua").glob("*.lua") if not path.stem.endswith("lib")}
    assert set(first_column(section("What a worker does"))) == files


def test_every_link_leads_somewhere():
    anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
               for title in re.findall(r"^##+ (.*)$", PAGE, re.M)}
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        path, _, anchor = target.partition("#")
        assert (ROOT / "docs" / path).exists() if path else anchor in anchors, target
