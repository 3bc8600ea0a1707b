"""penstock run that cannot go on: it says why, once, and what to do."""
import re
import shutil
import signal

import pytest
from clilib import PENSTOCK, STOPPED, run_json, start, text_file
from fleet import Fleet
from simlib import SLACK, wait_until
from terminal import Terminal

POOL = "anthropic:main:claude-sonnet-5"


def told(process, pattern):
    """Reads its standard error up to a line that matches; all of it."""
    text = ""
    while not re.search(pattern, text):
        line = process.stderr.readline()
        assert line, f"it has ended without {pattern!r}:\n{text}"
        text += line
    return text


def stop(process):
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=30 * SLACK)
    assert process.returncode == STOPPED, err
    return err


@pytest.mark.parametrize("stdin", [False, True])
def test_a_refused_key_is_told_once_and_the_run_goes_on_with_another(tmp_path, stdin):
    source = text_file(tmp_path / "in.txt", 20)
    with Fleet(require_key=True, key="main=sk-ant-right") as fleet:
        worker = fleet.worker()
        words = (source, "--text", "-o", tmp_path / "out")
        process = start(fleet, "run", *(("/dev/stdin", *words[1:]) if stdin else words),
                        stdin=source.open() if stdin else None)
        text = told(process, "no call is started")
        for word in (POOL, "auth", "401", "give the workers the right key"):
            assert word in text
        wait_until(lambda: fleet.depth()["jobs"] + fleet.depth()["delayed"] == 20, 20, "all jobs pushed")
        worker.drain()
        fleet.worker(env={"ANTHROPIC_API_KEY": "sk-ant-right"})
        _, err = process.communicate(timeout=60 * SLACK)
        assert process.returncode == 0 and "no call is started" not in err
        assert run_json(fleet, "runs")["runs"].popitem()[1]["succeeded"] == 20


def test_a_shut_pool_names_the_command_that_opens_it(tmp_path):
    source = text_file(tmp_path / "in.txt", 20)
    with Fleet() as fleet:
        fleet.cli("pause", "--pool", POOL, "too dear")
        fleet.worker()  # so that it has no start granted from before
        process = start(fleet, "run", source, "--text", "-o", tmp_path / "out")
        text = told(process, "no call is started")
        assert "paused (too dear); penstock resume --pool" in text
        fleet.cli("resume", "--pool", POOL)
        _, err = process.communicate(timeout=60 * SLACK)
        assert process.returncode == 0, err


def test_a_queue_that_no_worker_serves_is_told(tmp_path):
    source = text_file(tmp_path / "in.txt", 20)
    with Fleet() as fleet:
        fleet.worker(queues="other")
        process = start(fleet, "run", source, "--text", "-o", tmp_path / "out")
        assert "penstock-worker --queues default" in told(process, "no worker serves the queue default")
        fleet.worker()
        _, err = process.communicate(timeout=60 * SLACK)
        assert process.returncode == 0, err


def test_an_api_that_does_not_answer_is_told(tmp_path):
    source = text_file(tmp_path / "in.txt", 60)
    with Fleet() as fleet:
        fleet.worker(backoff_base_ms=100)
        fleet.sim.refuse()
        process = start(fleet, "run", source, "--text", "-o", tmp_path / "out")
        assert POOL in told(process, "calls of .* break: the API does not answer")
        stop(process)


@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
def test_the_progress_line_says_that_a_pool_is_shut(tmp_path):
    source = text_file(tmp_path / "in.txt", 20)
    with Fleet(require_key=True, key="main=sk-ant-right") as fleet:
        fleet.worker()
        with Terminal(f"{PENSTOCK} run {source} --text -o {tmp_path}/out", fleet.env(), columns=120) as term:
            term.wait(r"^penstock run: no call is started of")
            screen = term.wait(r"^0/20 +0.0/s +SHUT: auth +429s 0")
            assert screen.count("no call is started of") == 1
            term.keys("C-c")
            term.wait("^exit:5")
