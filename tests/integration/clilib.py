"""clilib: `penstock` as a user runs it, and what it printed.

    assert run(fleet, "stats") ...            # its exit code must be 0, or code=
    assert "no verb" in run.err               # standard error of the last one
    run_json(fleet, "stats")["queues"]
"""
import json
import subprocess

from fleet import KEY
from simlib import SLACK, build_dir

PENSTOCK = str(build_dir() / "penstock")
started = []
ALL_WELL, SOME_FAILED, USAGE, NO_REDIS, TIMEOUT, STOPPED = 0, 1, 2, 3, 4, 5


def run(fleet, *words, stdin="", env=None, code=ALL_WELL):
    """Runs penstock without a terminal; gives what it printed on standard output."""
    done = subprocess.run([PENSTOCK, *map(str, words)], input=stdin, text=True, capture_output=True,
                          env=env or fleet.env(), timeout=90 * SLACK, check=False)
    assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    assert KEY not in done.stdout + done.stderr
    run.err = done.stderr
    return done.stdout


def run_json(fleet, *words, **more):
    return json.loads(run(fleet, *words, "--json", **more))


def start(fleet, *words, env=None, stdin=None):
    """Starts it; communicate() gives what it prints. What still runs at a test's end is killed."""
    started.append(subprocess.Popen([PENSTOCK, *map(str, words)], env=env or fleet.env(), text=True,
                                    stdin=stdin or subprocess.DEVNULL, stdout=subprocess.PIPE,
                                    stderr=subprocess.PIPE))
    return started[-1]


def end_all():
    """conftest.py calls it after each test."""
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def json_lines(text):
    """What each line says; the last must be whole."""
    assert not text or text.endswith("\n"), "half a line"
    return [json.loads(line) for line in text.splitlines()]


def text_file(path, count, word="prompt"):
    """A file of so many prompts, one a line."""
    path.write_text("".join(f"{word} number {n} of them\n" for n in range(count)))
    return path
