"""The examples of README.md do what the README says: each fenced block is run as it stands there
(only the address of Redis is another), and what it pushed is looked at in Redis.

A block is run by its language's own interpreter; where that or its Redis client is not installed,
the test says so and is skipped.
"""
import json
import os
import re
import shutil
import socket
import subprocess
import sys

import pytest

from fleet import Fleet, Redis
from simlib import ROOT, build_dir

README = (ROOT / "README.md").read_text()
JOBS = "penstock:{default}:jobs"
ENV = {**os.environ, "NODE_PATH": os.pathsep.join(
    p for p in (os.environ.get("NODE_PATH"), "/usr/share/nodejs") if p)}


def blocks(language, section=README):
    return re.findall(rf"^```{language}\n(.*?)^```$", section, re.M | re.S)


def section(title):
    return re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.M | re.S).group(1)


def has(*command):
    if not shutil.which(command[0]):
        return False
    return subprocess.run(command, env=ENV, capture_output=True, timeout=60).returncode == 0


@pytest.fixture
def port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


@pytest.fixture
def redis(port):
    server = Redis("--port", str(port), "--bind", "127.0.0.1")
    yield server.client
    server.stop()


@pytest.fixture(scope="module")
def worker_help():
    return subprocess.run([build_dir() / "penstock-worker", "--help"], capture_output=True, text=True, check=True, timeout=30).stdout


@pytest.fixture
def run(tmp_path, port):
    """run(LANGUAGE, CODE): what it printed."""
    shim = tmp_path / "redis-cli"
    shim.write_text(f'#!/bin/sh\nexec {shutil.which("redis-cli")} -p {port} "$@"\n')
    shim.chmod(0o755)
    env = {**ENV, "PATH": f"{tmp_path}:{ENV['PATH']}"}
    how = {"sh": ["sh", "-e"], "python": [sys.executable], "js": ["node"], "ruby": ["ruby"], "php": ["php"]}

    def go(language, code):
        code = code.replace("127.0.0.1:6379", f"127.0.0.1:{port}").replace("'127.0.0.1', 6379", f"'127.0.0.1', {port}")
        file = tmp_path / f"example.{language}"
        file.write_text(code)
        done = subprocess.run([*how[language], str(file)], env=env, cwd=tmp_path, text=True,
                              capture_output=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return go


def pushed(redis):
    """The payloads, the first pushed first; each must be an object with one of the three contents."""
    jobs = [json.loads(raw) for raw in reversed(redis.lrange(JOBS, 0, -1))]
    assert all(sum(k in job for k in ("prompt", "messages", "request")) == 1 for job in jobs)
    return jobs


def test_redis_cli_pushes_the_two_prompts(run, redis):
    for code in blocks("sh", section("Push a prompt")):
        run("sh", code)
    least, more = pushed(redis)
    assert least == {"prompt": "Tell me a short story about a robot"}
    assert (more["id"], more["reply_to"], more["max_tokens"]) == ("robot-1", "stories", 300)


def test_python_pushes_twenty_stories_in_order(run, redis):
    run("python", blocks("python", section("Push a prompt"))[0])
    assert [job["id"] for job in pushed(redis)] == [f"story-{n}" for n in range(20)]


@pytest.mark.skipif(not has("node", "-e", "require('redis')"), reason="node or its package redis is not installed")
def test_node_pushes_messages_with_a_system_prompt(run, redis):
    run("js", blocks("js")[0])
    (job,) = pushed(redis)
    assert job["messages"][0]["role"] == "user" and job["system"] and job["max_tokens"] == 100


@pytest.mark.skipif(not has("ruby", "-e", "require 'redis'"), reason="ruby or its gem redis is not installed")
def test_ruby_pushes_a_prompt_with_a_time_to_live(run, redis):
    run("ruby", blocks("ruby")[0])
    (job,) = pushed(redis)
    assert "rust" in job["prompt"] and job["ttl_ms"] == 3_600_000


@pytest.mark.skipif(not has("php", "-r", "exit(class_exists('Redis') ? 0 : 1);"), reason="php or phpredis is not installed")
def test_php_pushes_a_prompt(run, redis):
    run("php", blocks("php")[0])
    (job,) = pushed(redis)
    assert "elephants" in job["prompt"]


def test_go_pushes_to_the_list_and_reads_as_go(tmp_path):
    """No Go client is packaged in Debian 12: the block is not run, only read."""
    (code,) = blocks("go")
    assert f'LPush(context.Background(), "{JOBS}", job)' in code
    if shutil.which("gofmt"):
        file = tmp_path / "example.go"
        file.write_text(code)
        assert subprocess.run(["gofmt", "-l", str(file)], capture_output=True, text=True, check=True).stdout == ""


def test_the_answers_are_where_it_says(run, port):
    """A worker and the simulator: what the first blocks push, the blocks of the next section read."""
    read_sh, read_python = blocks("sh", section("Get the answer")) + blocks("python", section("Get the answer"))
    with Fleet(redis_args=("--port", str(port), "--bind", "127.0.0.1")) as fleet:
        for code in blocks("sh", section("Push a prompt")):
            run("sh", code)
        fleet.worker()
        fleet.result("robot-1")
        by_id, name, by_list = run("sh", read_sh).splitlines()
        assert name == "penstock:{default}:reply:stories" and by_list == by_id
        assert json.loads(by_id)["status"] == "succeeded"
        run("python", blocks("python", section("Push a prompt"))[0])
        assert re.match(r"story-\d+ .*Tell me short story .* \{'input_tokens'.* 0$", run("python", read_python))


def test_watching_shows_the_depths(run, redis):
    redis.lpush(JOBS, '{"prompt":"a"}', '{"prompt":"b"}')
    redis.zadd("penstock:{default}:dead", {"x": 1})
    redis.hset("penstock:{default}:stats", "succeeded", 7)
    look, act = blocks("sh", section("Watch"))
    assert run("sh", look).split() == ["2", "0", "0", "1", "succeeded", "7"]
    run("sh", act)
    assert not redis.exists("penstock:{default}:paused")
    assert redis.smembers("penstock:{default}:cancel") == {"robot-1"}


def test_every_link_leads_somewhere():
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README):
        assert (ROOT / target).exists(), f"README.md links to {target}"


def test_every_setting_it_names_exists_with_that_default(worker_help):
    for names, default in re.findall(r"^\| (`[A-Z`, a-z]+.*?) \| (.*?) \|", section("Settings"), re.M):
        for name in re.findall(r"`([A-Z_]+)`", names):
            assert name in worker_help, f"{name} is no setting"
        for value in re.findall(r"[\w:/.-]+", default):
            assert value in worker_help, f"{value} is not the default of {names}"
