"""penstock run: a file of prompts in, a file of results out, whatever happens in between."""
import collections
import json
import os
import random
import re
import signal
import subprocess
import subprocess

import clilib
import pytest
from clilib import SOME_FAILED, STOPPED, USAGE, text_file
from fleet import Fleet
from simlib import SLACK, wait_until

@pytest.fixture
def fleet():
    with Fleet(latency="uniform:2-12") as fleet:
        fleet.worker(concurrency=32)
        yield fleet


def run(fleet, *words, **more):
    return clilib.run(fleet, "run", *words, **more)


def start(fleet, *words):
    return clilib.start(fleet, "run", *words)


def lines(path):
    return clilib.json_lines(path.read_text())


def test_results_come_in_the_order_of_the_input_and_equal_prompts_are_separate_calls(fleet, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps({"prompt": "the same", "meta": n}) + "\n" for n in range(50))
                      + '{"prompt":"a robot"}\n' * 20 + "\n" + '{"id":"mine","prompt":"x"}\n')
    run(fleet, source, "-o", out)
    got = lines(out)
    assert len(got) == 71 and len({r["id"] for r in got}) == 71
    assert [r["meta"] for r in got[:50]] == list(range(50)) and got[70]["id"] == "mine"
    assert fleet.sim.stats()["requests"] == 71
    assert {r["status"] for r in got} == {"succeeded"}


def test_the_same_command_again_calls_nothing_and_takes_up_where_it_was(fleet, tmp_path):
    source, out = text_file(tmp_path / "in.txt", 40), tmp_path / "out.jsonl"
    run(fleet, source, "--text", "-o", out)
    before = out.read_text()
    run(fleet, source, "--text", "-o", out)
    assert out.read_text() == before and "40 were done before" in clilib.run.err
    # Half a line at the end, as of a process that died while writing; results that have expired.
    keep = before.splitlines(keepends=True)
    out.write_text("".join(keep[:30]) + keep[30][:25])
    for result in map(json.loads, keep[:30]):
        fleet.r.delete(fleet.key(f"result:{result['id']}"))
    run(fleet, source, "--text", "-o", out)
    assert out.read_text() == before
    assert fleet.sim.stats()["requests"] == 40
    # Other defaults are other work; so is another run.
    run(fleet, source, "--text", "-o", tmp_path / "2", "--max-output", 7)
    run(fleet, source, "--text", "-o", tmp_path / "3", "--run", "other")
    assert fleet.sim.stats()["requests"] == 120


@pytest.mark.parametrize("order", [[], ["--as-finished"]])
def test_killed_again_and_again_it_loses_nothing_and_calls_nothing_twice(fleet, tmp_path, order):
    source, out = text_file(tmp_path / "in.txt", 1500), tmp_path / "out.jsonl"
    rnd = random.Random(7)
    kills = 0
    for _ in range(40):
        process = start(fleet, source, "--text", "-o", out, "--yes", *order)
        try:
            process.communicate(timeout=rnd.uniform(0.02, 0.25) * SLACK)
            break
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
    run(fleet, source, "--text", "-o", out, "--yes", *order)
    got = lines(out)
    assert kills >= 3
    assert collections.Counter(r["id"] for r in got).most_common(1)[0][1] == 1 and len(got) == 1500
    assert {r["status"] for r in got} == {"succeeded"}
    stats = fleet.sim.stats()
    assert stats["requests"] == 1500 and stats["repeats"] == 0
    if not order:
        finish = tmp_path / "again.jsonl"
        run(fleet, source, "--text", "-o", finish, "--yes")
        assert finish.read_text() == out.read_text()


def test_what_failed_is_repeated_only_when_asked(fleet, tmp_path):
    source, out = text_file(tmp_path / "in.txt", 20), tmp_path / "out.jsonl"
    fleet.sim.config(fail={"400": 0.5})
    run(fleet, source, "--text", "-o", out, code=SOME_FAILED)
    failed = [r["id"] for r in lines(out) if r["status"] == "failed"]
    assert 0 < len(failed) < 20 and "--retry-failed" in clilib.run.err
    fleet.sim.config(fail={"400": 0})
    calls = fleet.sim.stats()["requests"]
    run(fleet, source, "--text", "-o", out, code=SOME_FAILED)
    assert f"{len(failed)} of those done before had failed; --retry-failed" in clilib.run.err
    assert fleet.sim.stats()["requests"] == calls
    run(fleet, source, "--text", "-o", out, "--retry-failed")
    got = lines(out)
    assert len(got) == 20 and {r["status"] for r in got} == {"succeeded"}
    assert fleet.sim.stats()["requests"] == calls + len(failed)
    assert fleet.depth()["dead"] == 0


def test_a_cancelled_job_is_repeated_too(fleet, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"id":"c1","prompt":"x"}\n{"id":"c2","prompt":"y"}\n')
    fleet.r.sadd(fleet.key("cancel"), "c1")
    fleet.result("c1")
    run(fleet, source, "-o", out, code=SOME_FAILED)
    run(fleet, source, "-o", out, "--retry-failed")
    assert {r["status"] for r in lines(out)} == {"succeeded"} and len(lines(out)) == 2


def test_batch_files_of_others_go_as_they_are(fleet, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text("\n".join(json.dumps(line) for line in [
        {"custom_id": "openai 1", "method": "POST", "url": "/v1/chat/completions", "body": {
            "model": "claude-sonnet-5", "max_completion_tokens": 9, "messages": [
                {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello one"}]}},
        {"custom_id": "a2", "params": {"model": "claude-haiku-4-5", "max_tokens": 9,
                                       "messages": [{"role": "user", "content": "hello two"}]}}]))
    run(fleet, source, "-o", out)
    one, two = lines(out)
    assert one["meta"] == {"custom_id": "openai 1"} and two["meta"] == {"custom_id": "a2"}
    assert (one["model"], two["model"]) == ("claude-sonnet-5", "claude-haiku-4-5")
    assert fleet.sim.seen("hello")["count"] == 2 if "count" in fleet.sim.seen("hello") else True


def test_csv_rows_go_into_a_template(fleet, tmp_path):
    source, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text('name,body\nAnn,"two\nlines, ""quoted"""\nBob,plain\n')
    run(fleet, "--csv", source, "--template", "Hi {name}: {body} {{x}}", "-o", out)
    seen = {r["prompt_head"] for r in fleet.sim.log()}
    assert seen == {'Hi Ann: two\nlines, "quoted" {x}', "Hi Bob: plain {x}"}
    run(fleet, "--csv", source, "--template", "Hi {who}", "-o", tmp_path / "2", code=USAGE)
    assert "{who}" in clilib.run.err


def test_a_template_or_a_text_that_would_be_sent_garbled_is_refused(fleet, tmp_path):
    source, out = tmp_path / "in.csv", tmp_path / "out.jsonl"
    source.write_text("name\nAnn\n")
    run(fleet, "--csv", source, "--template", "Hi {name", "-o", out, code=USAGE)
    assert "{ without its }" in clilib.run.err
    for content, words in ((b"name\nJos\xe9\n", ("--csv", source, "--template", "Hi {name}")),
                           (b"fine\nJos\xe9\n", (source, "--text"))):
        source.write_bytes(content)
        run(fleet, *words, "-o", out, code=USAGE)
        assert "in.csv:2: byte " in clilib.run.err and "UTF-8" in clilib.run.err
    done = subprocess.run([clilib.PENSTOCK, "push"], input=b"Jos\xe9\n", env=fleet.env(), capture_output=True,
                          timeout=60 * SLACK, check=False)
    assert done.returncode == USAGE and b"job 1: byte 3 of the prompt is no UTF-8" in done.stderr
    assert fleet.sim.stats()["requests"] == fleet.depth()["jobs"] == 0


@pytest.mark.parametrize("content, words", [("hello\n", ["--text"]), ('{"prompt":"hello"}\n', [])])
def test_a_byte_order_mark_at_the_start_of_a_file_is_no_part_of_it(fleet, tmp_path, content, words):
    source, out = tmp_path / "in", tmp_path / "out.jsonl"
    source.write_text("\ufeff" + content * 2)
    run(fleet, source, *words, "-o", out)
    assert {r["prompt_head"] for r in fleet.sim.log()} == {"hello"} and len(lines(out)) == 2


def test_faulty_lines_are_named_and_nothing_is_pushed(fleet, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    source.write_text('{"prompt":"good"}\n{"prompt":5}\n{"promt":"x"}\nplain\n'
                      '{"id":"t","prompt":"x"}\n{"id":"t","prompt":"x"}\n')
    plan = json.loads(run(fleet, source, "-o", out, "--dry-run", "--json", code=SOME_FAILED))
    assert (plan["jobs"], plan["faulty"], plan["same_id"]) == (2, 3, 1)
    run(fleet, source, "-o", out, code=USAGE)
    for fault in ("in.jsonl:2: prompt", "in.jsonl:3: ", "promt", "in.jsonl:4: no JSON", "--skip-bad"):
        assert fault in clilib.run.err
    assert fleet.sim.stats()["requests"] == 0
    run(fleet, source, "-o", out, "--skip-bad", code=SOME_FAILED)
    assert len(lines(out)) == 2


@pytest.mark.parametrize("option, wrong", [("--model", "a b"), ("--max-output", "5x"), ("--max-cost", "3x"),
                                           ("--ask-above", "x"), ("--ahead", "3x"), ("--temperature", "hot"),
                                           ("--run", "a b")])
def test_an_option_that_makes_no_sense_is_named_once_and_nothing_is_pushed(fleet, tmp_path, option, wrong):
    source = text_file(tmp_path / "in.txt", 20)
    run(fleet, source, "--text", "-o", tmp_path / "out", option, wrong, code=USAGE)
    assert option in clilib.run.err and clilib.run.err.count("\n") == 1
    assert fleet.depth()["jobs"] == fleet.sim.stats()["requests"] == 0


def test_the_last_word_has_all_that_was_counted(fleet, tmp_path):
    source = text_file(tmp_path / "in.txt", 20)
    run(fleet, source, "--text", "-o", tmp_path / "out")
    results = lines(tmp_path / "out")
    tokens = [sum(r["usage"][f"{way}put_tokens"] for r in results) for way in ("in", "out")]
    shown = re.search(r"^20/20  ([\d.]+)/s .*tokens (\d+)/([\d.]+)(k?)$", clilib.run.err, re.M)
    assert float(shown[1]) > 0 and int(shown[2]) == tokens[0]
    assert float(shown[3]) == pytest.approx(tokens[1] / (1000 if shown[4] else 1), abs=0.06)


def test_a_dry_run_says_how_long_it_takes_at_the_present_limits(fleet, tmp_path):
    source = text_file(tmp_path / "in.txt", 300)
    words = (source, "--text", "-o", tmp_path / "out", "--model", "claude-haiku-4-5-20251001", "--dry-run")
    assert json.loads(run(fleet, *words, "--json"))["seconds_least"] is None
    assert "not known" in run(fleet, *words)
    pool = "penstock:pool:{anthropic:main:claude-haiku-4-5}"
    fleet.r.hset(pool, mapping={"requests_limit": 600, "requests_left": 100, "requests_capacity": 600})
    plan = json.loads(run(fleet, *words, "--json"))
    assert (plan["seconds_least"], plan["bound_by"]) == (20, "requests")  # 200 at 10 a second
    assert "it takes 20s or more (requests bind)" in run(fleet, *words)
    fleet.r.hset(pool, mapping={"output_limit": 60000, "output_left": 0, "output_mean": 50, "accepted": 100,
                                "requests_override": 60})
    plan = json.loads(run(fleet, *words, "--json"))
    assert (plan["seconds_least"], plan["bound_by"]) == (300, "requests")  # an operator's own limit
    fleet.r.hset(pool, mapping={"output_limit": 600})
    plan = json.loads(run(fleet, *words, "--json"))
    assert (plan["seconds_least"], plan["bound_by"]) == (1500, "output")  # 15,000 tokens at 10 a second


def test_the_time_of_a_dry_run_is_that_of_all_accounts_and_of_the_slowest_model(tmp_path):
    source = tmp_path / "in.jsonl"
    source.write_text("".join(json.dumps({"prompt": f"{n}", "model": m}) + "\n" for n in range(150)
                              for m in ("claude-haiku-4-5", "claude-opus-4-5")))
    with Fleet() as fleet:
        for account, model, limit in (("main", "haiku", 600), ("other", "haiku", 300), ("other", "opus", 300)):
            fleet.r.hset(f"penstock:pool:{{anthropic:{account}:claude-{model}-4-5}}", "requests_limit", limit)
        plan = clilib.run_json(fleet, "run", source, "--dry-run")
        assert (plan["seconds_least"], plan["bound_by"]) == (30, "requests")  # 150 of opus at 5 a second
        fleet.r.hset("penstock:pool:{anthropic:main:both}", "requests_limit", 900)
        plan = clilib.run_json(fleet, "run", source, "--dry-run", "--model-groups", "claude-*=both")
        assert plan["seconds_least"] == 20  # one quota for the two: 300 at 15 a second
        haiku = [line for line in source.open() if "haiku" in line]
        source.write_text("".join(haiku))
        assert clilib.run_json(fleet, "run", source, "--dry-run")["seconds_least"] == 10  # at 15 a second


@pytest.mark.parametrize("more", [[], ["--retry-failed"]])
def test_a_dry_run_leaves_the_output_as_it_is(fleet, tmp_path, more):
    source, out = text_file(tmp_path / "in.txt", 5), tmp_path / "out.jsonl"
    words = (source, "--text", "-o", out)
    assert json.loads(run(fleet, *words, "--dry-run", "--json"))["left"] == 5
    assert not out.exists()
    fleet.sim.script({"match": {"contains": "number 1"}, "status": 400, "times": 1, "body": "{}"})
    run(fleet, *words, code=SOME_FAILED)
    half = out.read_text() + '{"id":"half'
    out.write_text(half)
    plan = json.loads(run(fleet, *words, *more, "--dry-run", "--json"))
    assert (plan["done"], plan["left"]) == ((4, 1) if more else (5, 0))
    assert out.read_text() == half and {p.name for p in tmp_path.iterdir()} == {"in.txt", "out.jsonl"}
    out.write_text("my notes\n")
    run(fleet, *words, "--dry-run", code=USAGE)
    assert "line 1 is no result" in clilib.run.err and out.read_text() == "my notes\n"


def test_standard_input_to_standard_output(fleet):
    got = run(fleet, "-", "--text", "-o", "-", stdin="one\ntwo\nthree\n")
    assert [json.loads(line)["status"] for line in got.splitlines()] == ["succeeded"] * 3


def test_a_file_that_holds_something_else_or_is_in_use_is_left_alone(fleet, tmp_path):
    source, out = text_file(tmp_path / "in.txt", 3), tmp_path / "notes.txt"
    out.write_text("my notes\n")
    run(fleet, source, "--text", "-o", out, code=USAGE)
    assert "line 1 is no result" in clilib.run.err and out.read_text() == "my notes\n"
    fleet.r.set(fleet.key("paused"), "x")
    first = start(fleet, source, "--text", "-o", tmp_path / "out")
    wait_until(lambda: fleet.depth()["jobs"] == 3, 5, "the jobs")
    run(fleet, source, "--text", "-o", tmp_path / "out", code=USAGE)
    assert "another penstock run" in clilib.run.err
    fleet.r.delete(fleet.key("paused"))
    first.communicate(timeout=20 * SLACK)
    assert first.returncode == 0


def test_ctrl_c_pauses_and_the_same_command_goes_on(fleet, tmp_path):
    fleet.sim.config(latency="constant:100")
    source, out = text_file(tmp_path / "in.txt", 3000), tmp_path / "out.jsonl"
    process = start(fleet, source, "--text", "-o", out, "--ahead", 200, "--yes")
    wait_until(lambda: out.exists() and out.stat().st_size, 10, "the first results")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10 * SLACK)
    assert process.returncode == STOPPED, err
    assert "The same command goes on" in err and "penstock cancel --run in.txt" in err
    assert "penstock resume --run in.txt" in err
    # What had been handed over waits: calls that had begun end, and then there is no other.
    wait_until(lambda: fleet.depth()["jobs"] + fleet.depth()["active"] == 0, 20, "the last calls")
    waiting, calls = fleet.depth()["delayed"], fleet.sim.stats()["requests"]
    assert waiting > 50 and calls + waiting < 1500
    fleet.push({"id": "other", "prompt": "x"})
    fleet.result("other")  # other work goes on
    assert fleet.sim.stats()["requests"] == calls + 1
    assert fleet.r.smembers(fleet.key("held")) == {"in.txt"}
    fleet.sim.config(latency="constant:2")
    run(fleet, source, "--text", "-o", out, "--yes")
    assert len(lines(out)) == 3000 and fleet.sim.stats()["requests"] == 3001
    assert not fleet.r.exists(fleet.key("held"), fleet.key("held:in.txt"))


def test_max_cost_stops_before_it_is_passed(fleet, tmp_path):
    source, out = text_file(tmp_path / "in.txt", 400), tmp_path / "out.jsonl"
    words = (source, "--text", "-o", out, "--max-output", 1000)
    got = json.loads(run(fleet, *words, "--max-cost", "0.5", "--json", code=STOPPED))
    assert 0.2 < got["cost_usd"] <= 0.5 and got["stopped"] and "--max-cost" in clilib.run.err
    assert 20 < len(lines(out)) < 400
    run(fleet, *words, "--ask-above", "1", code=USAGE)
    assert "--yes" in clilib.run.err
    run(fleet, *words, "--model", "unheard-of", "--run", "x", "--max-cost", "1", code=USAGE)
    assert "--prices-file" in clilib.run.err
    run(fleet, "-", "--text", "-o", tmp_path / "2", "--model", "unheard-of", "--max-cost", "1", code=USAGE, stdin="x\n")
    assert "--prices-file" in clilib.run.err
    run(fleet, *words, "--max-cost", "50")
    assert len(lines(out)) == 400 and fleet.sim.stats()["requests"] == 400


def test_a_reply_list_that_someone_else_reads_does_not_stop_it(fleet, tmp_path):
    source, out = text_file(tmp_path / "in.txt", 60), tmp_path / "out.jsonl"
    fleet.sim.config(latency="constant:50")
    process = start(fleet, source, "--text", "-o", out)
    while process.poll() is None:
        fleet.r.delete(fleet.key("reply:run-in.txt"))
    assert process.returncode == 0 and len(lines(out)) == 60


def test_redis_may_go_away_and_come_back(tmp_path):
    with Fleet(redis_args=("--appendonly", "yes"), latency="constant:20") as fleet:
        fleet.worker(concurrency=8)
        source, out = text_file(tmp_path / "in.txt", 500), tmp_path / "out.jsonl"
        process = start(fleet, source, "--text", "-o", out)
        wait_until(lambda: out.exists() and out.stat().st_size, 10, "the first results")
        fleet.redis.kill()
        fleet.redis.start()
        _, err = process.communicate(timeout=60 * SLACK)
        assert process.returncode == 0, err
        assert len(lines(out)) == 500 and len({r["id"] for r in lines(out)}) == 500


def test_memory_stays_bounded(fleet, tmp_path):
    source, out = tmp_path / "in.jsonl", tmp_path / "out.jsonl"
    with source.open("w") as f:
        for n in range(30000):
            f.write(json.dumps({"prompt": f"{n} " + "x" * 2000, "max_tokens": 5}) + "\n")
    fleet.r.set(fleet.key("paused"), "x")
    process = start(fleet, source, "-o", out, "--ahead", 30000, "--yes")
    wait_until(lambda: fleet.depth()["jobs"] == 30000, 60, "all jobs pushed")
    with open(f"/proc/{process.pid}/status") as f:
        peak = next(int(line.split()[1]) for line in f if line.startswith("VmHWM"))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=20 * SLACK)
    assert process.returncode == STOPPED
    assert peak < 48 * 1024 or "asan" in os.environ.get("PENSTOCK_BUILD", ""), f"{peak} KiB"
