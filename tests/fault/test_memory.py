"""Memory runs out in the worker: no job is lost for it, and no result is stored by halves.

Allocations are made to fail by libraries of the tests' own, which cannot stand beside a sanitizer: the
release build is what is tried here.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import fleet as fleet_of
from fleet import Fleet
from simlib import ROOT

FAILER = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
static int left = 1;
static int fails(size_t n) { return n >= 9000000 && left-- > 0; }
void *malloc(size_t n)
{
    static void *(*real)(size_t);
    if (!real)
        real = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
    return fails(n) ? NULL : real(n);
}
void *realloc(void *p, size_t n)
{
    static void *(*real)(void *, size_t);
    if (!real)
        real = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
    return fails(n) ? NULL : real(p, n);
}
"""

RELEASE = pathlib.Path(os.environ.get("PENSTOCK_BUILD_RELEASE", ROOT / "build"))
needs_release = pytest.mark.skipif(not (RELEASE / "penstock-worker").exists() or not shutil.which("cc"),
                                   reason="needs the release build in build/ and a C compiler")


@needs_release
def test_no_allocation_of_a_workers_life_loses_a_job_by_failing():
    """Forty of them; `scripts/chaos memory` tries as many as one likes (docs/reliability.md)."""
    done = subprocess.run([sys.executable, ROOT / "tests" / "chaos" / "memory.py", "40"], text=True, check=False,
                          env={**os.environ, "PENSTOCK_BUILD": str(RELEASE)}, timeout=170, capture_output=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_release
def test_a_result_that_finds_no_memory_is_not_stored_empty_and_the_job_ends_well(tmp_path, monkeypatch):
    source, library = tmp_path / "failer.c", tmp_path / "failer.so"
    source.write_text(FAILER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    text = "y" * 5_000_000
    body = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
                       "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
                       "usage": {"input_tokens": 3, "output_tokens": 5}})
    with Fleet(latency="constant:5") as fleet:
        monkeypatch.setattr(fleet_of, "build_dir", lambda: RELEASE)
        fleet.sim.script({"match": {}, "status": 200, "times": 9, "headers": {}, "body": body})
        worker = fleet.worker(env={"LD_PRELOAD": str(library)})
        fleet.push({"id": "big", "prompt": "x"})
        result = fleet.result("big", timeout_s=20)
        assert result["status"] == "succeeded" and result["text"] == text
        assert worker.events("result_no_memory"), "the allocation was never made to fail"
        assert fleet.sim.stats()["requests"] == 2 and fleet.stat("handed_back") == 1


@pytest.mark.skipif(not shutil.which("valgrind"), reason="needs valgrind")
@needs_release
def test_valgrind_finds_nothing_in_a_worker_that_has_ended(tmp_path):
    """Nothing uninitialised is read, nothing is lost, and no descriptor is left open."""
    with Fleet(latency="uniform:5-50") as fleet:
        with open(tmp_path / "log", "w") as log:
            worker = subprocess.Popen(
                ["valgrind", "--leak-check=full", "--errors-for-leak-kinds=definite,indirect,possible",
                 "--error-exitcode=99", "--track-fds=yes", RELEASE / "penstock-worker", "--concurrency=8"],
                env={**fleet.env(), "PENSTOCK_HTTP": "127.0.0.1:0"}, stdout=log, stderr=log)
        try:
            fleet.push(*[{"id": f"v{n}", "prompt": "x"} for n in range(40)], '{"bogus":1}',
                       {"id": "big", "prompt": "y" * 100_000})
            fleet.results([f"v{n}" for n in range(40)] + ["big"], timeout_s=60)
            worker.terminate()
            code = worker.wait(60)
        finally:
            worker.kill()
        said = (tmp_path / "log").read_text()
        assert code == 0, said
        assert "3 open (3 std) at exit" in said and "ERROR SUMMARY: 0 errors" in said, said
