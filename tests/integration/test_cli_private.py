"""penstock run where nobody has set anything up: a Redis and a worker of its own."""
import contextlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess

import clilib
import pytest
from clilib import NO_REDIS, STOPPED, USAGE
from fleet import KEY, Fleet
from simlib import SLACK, Sim, wait_until



def env(home, **more):
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TERM": "dumb", **more}


def children(home):
    """Processes whose command line, environment or working folder names the folder."""
    found = {}
    for proc in pathlib.Path("/proc").iterdir():
        try:
            if proc.name.isdigit() and proc.name != str(os.getpid()):
                cmdline = (proc / "cmdline").read_bytes()
                environ = (proc / "environ").read_bytes()
                cwd = os.readlink(proc / "cwd")
                if str(home).encode() in cmdline + environ + cwd.encode():
                    found[int(proc.name)] = (cmdline, environ)
        except OSError:
            continue
    return found


def start(home, *words, **more):
    return clilib.start(None, "run", *words, env=env(home, **more))


@pytest.fixture
def prompts(tmp_path):
    path = tmp_path / "prompts.txt"
    path.write_text("".join(f"tell me about {n}\n" for n in range(60)))
    return path


def default_port_is_in_use():
    with socket.socket() as s:
        return s.connect_ex(("127.0.0.1", 6379)) == 0


needs_free_port = pytest.mark.skipif(default_port_is_in_use(), reason="a Redis is on port 6379 here")


def test_simulated_it_needs_nothing_and_leaves_nothing_running(tmp_path, prompts):
    out = tmp_path / "out.jsonl"
    process = start(tmp_path, prompts, "--text", "-o", out, "--simulate")
    _, err = process.communicate(timeout=60 * SLACK)
    assert process.returncode == 0, err
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(results) == 60 and {r["status"] for r in results} == {"succeeded"}
    assert children(tmp_path) == {}
    state = tmp_path / ".local/state/penstock"
    assert [p.name for p in state.iterdir()] == ["simulated"]  # never mixed with real answers
    assert not list(state.glob("*/redis.sock"))


def test_flags_of_run_reach_the_worker_it_starts_and_outdo_the_environment(tmp_path, prompts):
    out, table = tmp_path / "out.jsonl", tmp_path / "prices.tsv"
    table.write_text("claude-haiku-4-5\t0\t1000\t0\n")
    (tmp_path / "settings").write_text(f"ANTHROPIC_API_KEY={KEY}\n")
    process = start(tmp_path, prompts, "--text", "-o", out, "--simulate", "--prices-file", table,
                    "--max-tokens", 5, "--settings-file", tmp_path / "settings",
                    PENSTOCK_MODEL="claude-haiku-4-5", PENSTOCK_MAX_TOKENS="900")
    _, err = process.communicate(timeout=60 * SLACK)
    assert process.returncode == 0, err
    results = [json.loads(line) for line in out.read_text().splitlines()]
    assert {r["model"] for r in results} == {"claude-haiku-4-5"}
    assert max(r["usage"]["output_tokens"] for r in results) <= 5
    assert all(r["cost_usd"] == pytest.approx(r["usage"]["input_tokens"] / 1000) for r in results)


@needs_free_port
def test_with_a_key_alone_it_starts_redis_and_a_worker_and_the_key_is_nowhere_to_be_seen(
        tmp_path, prompts):
    with Sim(latency="constant:300", require_key=True, key=f"main={KEY}") as sim:
        out = tmp_path / "out.jsonl"
        process = start(tmp_path, prompts, "--text", "-o", out, ANTHROPIC_API_KEY=KEY,
                        ANTHROPIC_BASE_URL=sim.base_url, PENSTOCK_CONCURRENCY="8")
        wait_until(lambda: out.exists() and out.stat().st_size, 20, "the first results")
        seen = children(tmp_path)
        everything = b"\n".join(cmd for cmd, _ in seen.values())
        assert b"penstock-worker" in everything and b"redis-server" in everything
        for cmd, environ in seen.values():
            assert KEY.encode() not in cmd + environ, cmd
        _, err = process.communicate(timeout=60 * SLACK)
        assert process.returncode == 0, err
        assert len(out.read_text().splitlines()) == 60 and sim.stats()["requests"] == 60
        assert children(tmp_path) == {}
        for log in (tmp_path / ".local/state/penstock/default").glob("*.log"):
            assert KEY not in log.read_text()


@needs_free_port
def test_ctrl_c_and_kill_stop_all_of_it_and_the_next_start_goes_on(tmp_path, prompts):
    with Sim(latency="constant:200") as sim:
        out = tmp_path / "out.jsonl"
        words = (prompts, "--text", "-o", out)
        more = dict(ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=sim.base_url, PENSTOCK_CONCURRENCY="4")
        process = start(tmp_path, *words, **more)
        wait_until(lambda: out.exists() and out.stat().st_size, 20, "the first results")
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30 * SLACK)
        assert process.returncode == STOPPED and "same command" in err, err
        assert children(tmp_path) == {}
        had = out.stat().st_size
        process = start(tmp_path, *words, **more)
        wait_until(lambda: out.stat().st_size > had, 20, "more results")
        process.kill()
        process.communicate()
        wait_until(lambda: children(tmp_path) == {}, 15, "the children to end")
        process = start(tmp_path, *words, **more)
        _, err = process.communicate(timeout=60 * SLACK)
        assert process.returncode == 0, err
        ids = [json.loads(line)["id"] for line in out.read_text().splitlines()]
        assert len(ids) == 60 == len(set(ids))
        # Killed, what was in flight was let end, and nothing was asked twice.
        assert sim.stats()["requests"] == 60 and sim.stats()["repeats"] == 0


KILLS = int(os.environ.get("PENSTOCK_TEST_KILLS", "5"))


@pytest.mark.parametrize("where", [pytest.param("embedded", marks=needs_free_port), "shared"])
def test_killed_at_random_moments_the_output_is_whole_and_no_prompt_is_called_twice(tmp_path, where):
    """PENSTOCK_TEST_KILLS=50 for the long form."""
    count, seed = 40 * KILLS, random.randrange(1 << 30)
    dice = random.Random(seed)
    source, out = tmp_path / "in.txt", tmp_path / "out.jsonl"
    source.write_text("".join(f"what is {n} times {n}?\n" for n in range(count)))
    with Sim(latency="lognormal:150:0.5:20:1000") as sim, contextlib.ExitStack() as stack:
        words = (source, "--text", "-o", out, "--yes")
        more = dict(ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=sim.base_url, PENSTOCK_CONCURRENCY="4")
        if where == "shared":
            fleet = stack.enter_context(Fleet(sim=sim))
            more["PENSTOCK_REDIS_URL"] = f"unix://{fleet.redis.socket}"
            fleet.worker(concurrency=4)
        for _ in range(KILLS):
            process = start(tmp_path, *words, **more)
            try:
                process.wait(timeout=dice.uniform(0.02, 2))
            except subprocess.TimeoutExpired:
                process.kill()
            process.communicate()
        process = start(tmp_path, *words, **more)
        _, err = process.communicate(timeout=120 * SLACK)
        assert process.returncode == 0, f"seed {seed}: {err}"
        results = [json.loads(line) for line in out.read_text().splitlines()]
        assert len(results) == count and {r["status"] for r in results} == {"succeeded"}, seed
        assert [r["response"]["content"][0]["text"] for r in results] == [r["text"] for r in results]
        assert len({r["id"] for r in results}) == count, seed
        stats = sim.stats()
        assert (stats["requests"], stats["repeats"]) == (count, 0), f"seed {seed}"


@needs_free_port
def test_a_key_that_the_api_refuses_ends_it_and_the_right_one_goes_on(tmp_path, prompts):
    with Sim(latency="constant:20", require_key=True, key=f"main={KEY}") as sim:
        words = (prompts, "--text", "-o", tmp_path / "out.jsonl")
        process = start(tmp_path, *words, ANTHROPIC_API_KEY="sk-ant-wrong", ANTHROPIC_BASE_URL=sim.base_url)
        _, err = process.communicate(timeout=60 * SLACK)
        assert process.returncode == USAGE and "refuses the key" in err and "ANTHROPIC_API_KEY" in err
        assert children(tmp_path) == {}
        process = start(tmp_path, *words, ANTHROPIC_API_KEY=KEY, ANTHROPIC_BASE_URL=sim.base_url)
        _, err = process.communicate(timeout=60 * SLACK)
        assert process.returncode == 0, err
        assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 60


@needs_free_port
def test_without_a_key_it_says_what_to_do(tmp_path, prompts):
    process = start(tmp_path, prompts, "--text", "-o", tmp_path / "out")
    _, err = process.communicate(timeout=20 * SLACK)
    assert process.returncode == USAGE
    assert "ANTHROPIC_API_KEY" in err and "--simulate" in err and children(tmp_path) == {}


def test_a_redis_that_was_named_and_is_not_there_is_not_replaced(tmp_path, prompts):
    process = start(tmp_path, prompts, "--text", "-o", tmp_path / "out",
                    PENSTOCK_REDIS_URL="redis://127.0.0.1:1", ANTHROPIC_API_KEY=KEY)
    _, err = process.communicate(timeout=20 * SLACK)
    assert process.returncode == NO_REDIS and "127.0.0.1:1" in err
    assert not (tmp_path / ".local").exists()
