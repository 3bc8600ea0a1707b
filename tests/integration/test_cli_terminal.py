"""The command line in a terminal (tmux): what the screen shows, and how it is left."""
import os
import re
import shutil
import signal
import time

import pytest
from clilib import PENSTOCK
from fleet import Fleet
from simlib import wait_until
from terminal import Terminal

pytestmark = pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")


@pytest.fixture(scope="module")
def fleet():
    with Fleet(latency="constant:20", rpm=60000) as fleet:
        fleet.worker(concurrency=4, queues="default:2,bulk:1")
        fleet.push(*[{"id": f"b{n}", "prompt": "x", "delay_ms": 3600000} for n in range(3)], queue="bulk")
        fleet.push({"id": "first", "prompt": "x", "run": "nightly"})
        fleet.result("first")
        yield fleet


def run_in(tmp_path, env, lines, *words, **more):
    source = tmp_path / "in.txt"
    source.write_text("".join(f"prompt {n}\n" for n in range(lines)))
    return Terminal(f"{PENSTOCK} run {source} --text -o {tmp_path}/out.jsonl {' '.join(words)}", env,
                    **more)


def test_the_progress_of_a_run_is_one_line_that_is_written_anew(tmp_path):
    with Fleet(latency="constant:200", rpm=60000) as fleet:
        fleet.worker(concurrency=4)
        with run_in(tmp_path, fleet.env(), 60, "--yes") as term:
            screen = term.wait(r"^[1-9]\d*/60 +[\d.]+/s +\S+ left .*\$\d.*~\$?\d\S+ +429s 0 +fail(ed)? 0 +retr\w+ 0 "
                               r"+(tokens [1-9]\d*/[1-9]\d*|[1-9]\d*/[1-9]\d* tok)$")
            assert len(re.findall(r"/60 +", screen)) == 1
            screen = term.wait("^exit:0", 60)
            assert re.search(r"^60/60 .*\nrun in.txt: 60 succeeded, 0 failed, .*\$", screen, re.M)
            assert len(re.findall(r"/60 +", screen)) == 1


@pytest.mark.parametrize("columns, last", [(60, "429s 0"), (80, " tok$"), (120, r"\(requests\) .*tokens \S+$")])
def test_the_progress_of_a_run_says_as_much_as_the_terminal_is_wide(tmp_path, columns, last):
    with Fleet(latency="constant:300", rpm=600) as fleet:
        fleet.worker(concurrency=100)
        with run_in(tmp_path, fleet.env(), 20000, "--yes", columns=columns) as term:
            screen = term.wait(r"^[1-9]\d+/20000 +[1-9].* left.*" + last)
            assert not [line for line in screen.splitlines() if len(line) >= columns]
            assert len(re.findall("/20000", screen)) == 1
            term.keys("C-c")
            term.wait("^exit:5")


def test_the_time_left_is_that_of_the_quota_that_binds(tmp_path):
    with Fleet(latency="constant:20", rpm=600, burst_s=1) as fleet:
        fleet.worker(concurrency=4)
        with run_in(tmp_path, fleet.env(), 3000, "--yes", columns=120) as term:
            term.wait(r"^[1-9]\d*/3000 .* 4m[345]\ds left \(requests\) ")


def test_the_time_left_counts_on_all_accounts_that_workers_have_keys_of(tmp_path):
    (tmp_path / "keys").write_text("a sk-ant-test-a\nb sk-ant-test-b\n")
    with Fleet(latency="constant:20", rpm=600, burst_s=1, key=["a=sk-ant-test-a", "b=sk-ant-test-b"]) as fleet:
        fleet.worker(concurrency=4, env={"ANTHROPIC_API_KEY": "", "ANTHROPIC_API_KEYS_FILE": tmp_path / "keys"})
        with run_in(tmp_path, fleet.env(), 3000, "--yes", columns=120) as term:
            term.wait(r"^[1-9]\d*/3000 .* 2m[012]\ds left \(requests\) ")


def test_ctrl_c_on_a_run_says_how_to_go_on_and_how_to_cancel(tmp_path):
    with Fleet(latency="constant:300", rpm=60000) as fleet:
        fleet.worker(concurrency=4)
        with run_in(tmp_path, fleet.env(), 500, "--yes") as term:
            term.wait(r"^[1-9]\d*/500 ")
            term.keys("C-c")
            screen = term.wait("^exit:5")
            for words in ("The same command goes on", "resume --run in.txt", "cancel --run"):
                assert words in " ".join(screen.split()), screen
        assert fleet.r.smembers(fleet.key("held")) == {"in.txt"}


def test_a_dear_run_asks_on_a_terminal_before_anything_is_pushed(tmp_path):
    with Fleet(latency="constant:20") as fleet:
        with run_in(tmp_path, fleet.env(), 60, "--ask-above 0.01") as term:
            term.wait(r"^This may cost up to \$.*Go on\? \[y/N\]")
            term.keys("n", "Enter")
            term.wait("^exit:2")
        assert fleet.depth()["jobs"] == 0


@pytest.fixture
def top(fleet):
    with Terminal(f"{PENSTOCK} top --interval 200ms", fleet.env()) as term:
        term.wait(r"^[ >]default +0 +0 +0 +0 .*open$")
        yield term


def test_top_shows_queues_pools_runs_and_workers_on_80_by_24(top):
    screen = top.wait(r"^ nightly +1 +0 .*default$")
    for heading in ("QUEUES", "POOLS", "RUNS", "WORKERS"):
        assert f"\n {heading} " in screen or f"\n>{heading} " in screen, screen
    top.wait(r"^[ >]bulk +0 +3 +0 +0 ")
    top.wait(r"claude-sonnet-5 +open ")
    top.wait(r"default:2,bulk:1$")
    lines = top.lines()
    assert len(lines) == 24 and "q quit" in lines[-1] and "penstock top" in lines[0]


def test_top_follows_the_size_of_the_window(top):
    for rows, columns in ((10, 50), (40, 132), (5, 20), (24, 80)):
        top.resize(rows, columns)
        def fits():
            lines = top.lines()
            return len(lines) == rows and lines[0].startswith("penstock top") and "q quit" in lines[-1]
        wait_until(fits, 20, f"a frame of {rows} by {columns}")


def test_top_pauses_and_resumes_what_is_chosen_after_asking(fleet, top):
    key = fleet.key("paused", "bulk")
    top.keys("j")
    top.keys("k")
    top.wait("^>bulk")
    top.keys("p")
    top.wait(r"^pause queue bulk\? y/n")
    top.keys("n")
    top.wait("q quit")
    assert not fleet.r.exists(key)
    top.keys("p", "y")
    top.wait(r"bulk .*PAUSED")
    assert fleet.r.exists(key)
    top.keys("p")
    top.wait(r"^resume queue bulk\? y/n")
    top.keys("y")
    top.wait(r"^[ >]bulk .*open$")
    assert not fleet.r.exists(key)


def test_top_shuts_and_opens_a_pool_and_shows_why_it_is_shut(fleet, top):
    top.keys("Tab", "p")
    top.wait(r"^pause pool anthropic:main:claude-sonnet-5\? y/n")
    top.keys("y")
    top.wait(r"claude-sonnet-5 +SHUT paused ")
    assert fleet.pool()["cause"] == "paused"
    top.keys("p", "y")
    top.wait(r"claude-sonnet-5 +open ")
    fleet.r.hset("penstock:pool:{anthropic:main:claude-sonnet-5}",
                 mapping={"open_at": int(fleet.r.time()[0]) * 1000 + 600000, "cause": "spend",
                          "why": "a made-up limit"})
    top.wait(r"SHUT spend (9m\d\ds|10m00s).* a made-up")
    top.keys("p", "y")
    top.wait(r"claude-sonnet-5 +open ")


def test_top_sorts_by_name_load_or_rate(top):
    def order():
        text = top.screen()
        return text.index("bulk ") < text.index("default ")
    top.wait("s sort: load")
    assert order()  # three jobs wait there
    fewer = set()
    for _ in range(3):
        before = top.screen().splitlines()[-1]
        top.keys("s")
        wait_until(lambda: top.screen().splitlines()[-1] != before, 20, "another order")
        fewer.add(top.screen().splitlines()[-1].split("sort: ")[1].split()[0])
    assert fewer == {"name", "load", "rate"}
    top.keys("h")
    top.wait("any key: back")
    top.keys("x")
    top.wait("QUEUES")


@pytest.mark.parametrize("how", ["q", "C-c", signal.SIGTERM, signal.SIGHUP])
def test_top_gives_the_terminal_back_however_it_ends(top, how):
    assert top.ask("alternate_on") == "1" and top.ask("cursor_flag") == "0"
    if isinstance(how, str):
        top.keys(how)
    else:
        os.kill(top.program("penstock top"), how)
    screen = top.wait("^exit:0")
    assert "before" in screen and "QUEUES" not in screen
    top.wait(r" echo ")  # of stty -a: not -echo
    assert " -icanon" not in top.screen()
    assert top.ask("alternate_on") == "0" and top.ask("cursor_flag") == "1"


def test_top_has_colours_but_not_where_no_color_is_set(fleet, top):
    assert "\x1b[" in top.screen(escapes=True)
    with Terminal(f"{PENSTOCK} top", {**fleet.env(), "NO_COLOR": "1"}) as term:
        term.wait("QUEUES")
        assert "\x1b[" not in term.screen(escapes=True)
        assert term.ask("alternate_on") == "1"


def test_a_terminal_that_cannot_move_its_cursor_gets_plain_lines(fleet):
    with Terminal(f"{PENSTOCK} top", fleet.env(), term="dumb", rows=60) as term:
        screen = term.wait("^exit:0")
        assert "before" in screen and "QUEUES" in screen and "WORKERS" in screen
        assert "\x1b[" not in term.screen(escapes=True)


def test_top_says_that_redis_has_gone_and_goes_on_when_it_is_back(tmp_path):
    with Fleet(latency="constant:20") as fleet:
        fleet.push({"id": "a", "prompt": "x"})
        with Terminal(f"{PENSTOCK} top --interval 200ms", fleet.env()) as term:
            term.wait(r"^>default +1 ")
            fleet.redis.kill()
            term.wait("no connection to Redis: ")
            fleet.redis.start()
            term.wait(r"^>default +0 ")
            assert "no connection" not in term.screen()
            term.keys("q")
            term.wait("^exit:0")


def test_top_with_more_workers_and_runs_than_it_shows_asks_once_a_tick():
    with Fleet() as fleet:
        now = int(fleet.r.time()[0]) * 1000
        for n in range(120):
            fleet.r.zadd("penstock:workers", {f"w{n}": now + n})
            fleet.r.hset(f"penstock:worker:w{n}", mapping={
                "seen": now, "queues": "default", "started": now, "in_flight": n,
                "runs": " ".join(f"default/r{n}-{k}" for k in range(8))})
        with Terminal(f"{PENSTOCK} top", fleet.env()) as term:
            term.wait("WORKERS|QUEUES")
            before, began = calls_of(fleet, "zrevrange"), time.monotonic()
            wait_until(lambda: time.monotonic() - began > 3, 20, "three seconds")
            assert calls_of(fleet, "zrevrange") - before <= 2 * (time.monotonic() - began + 2)
            for key in "1234":  # each section, sorted by what its rows have
                term.keys(key)
            term.keys("q")
            term.wait("^exit:0")


def calls_of(fleet, command):
    return fleet.r.info("commandstats").get(f"cmdstat_{command}", {}).get("calls", 0)
