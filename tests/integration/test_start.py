"""A worker that cannot start says in one line what to write or install instead."""
import os
import subprocess

import pytest

from simlib import build_dir


def refused(**env):
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("PENSTOCK_", "ANTHROPIC_"))}
    clean.update({"ANTHROPIC_API_KEY": "sk-ant-x", "PENSTOCK_HTTP": "off", "PENSTOCK_LOG_LEVEL": "error",
                  **env})
    done = subprocess.run([str(build_dir() / "penstock-worker")], env=clean, text=True,
                          capture_output=True, timeout=20, check=False)
    assert done.returncode == 2, done
    (line,) = done.stderr.splitlines()
    return line


def has_tls():
    linked = subprocess.run(["ldd", str(build_dir() / "penstock-worker")], text=True,
                            capture_output=True, check=True).stdout
    return "hiredis_ssl" in linked


def test_tls_to_redis_without_a_hiredis_that_has_it_says_what_to_install():
    if has_tls():
        pytest.skip("this build has TLS to Redis")
    line = refused(PENSTOCK_REDIS_URL="rediss://127.0.0.1:6379")
    assert "TLS" in line and "hiredis_ssl" in line and "redis://" in line


@pytest.mark.parametrize("name,value,word", [
    ("PENSTOCK_CONCURRENCY", "0", "1-20000"),
    ("PENSTOCK_BACKOFF_JITTER", "lots", "full equal additive"),
    ("ANTHROPIC_BASE_URL", "https://api.example/v1", "leave /v1"),
    ("PENSTOCK_QUEUES", "a:0", "1-1000"),
    ("PENSTOCK_REDIS_URL", "http://x", "redis://"),
])
def test_a_setting_that_makes_no_sense_stops_the_start_and_names_what_to_write(name, value, word):
    assert word in refused(**{name: value})


@pytest.mark.parametrize("name, value", [("PENSTOCK_REDIS_URL", "redis://h:99999"),
                                         ("PENSTOCK_HTTP", "0.0.0.0:9999")])
def test_a_setting_that_makes_no_sense_is_one_line_and_no_log(name, value):
    assert refused(**{"PENSTOCK_LOG_LEVEL": "info", name: value}).startswith("penstock-worker: ")
