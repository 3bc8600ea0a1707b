"""Memory runs out in the worker: no job is lost for it, and no result is stored by halves.

The first allocation above a size is made to fail by a library of the test's own, which cannot stand
beside a sanitizer: the release build is what is tried here.
"""
import json
import shutil
import subprocess

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


def test_a_result_that_finds_no_memory_is_not_stored_empty_and_the_job_ends_well(tmp_path, monkeypatch):
    release = ROOT / "build"
    if not (release / "penstock-worker").exists() or not shutil.which("cc"):
        pytest.skip("needs the release build in build/ and a C compiler")
    source, library = tmp_path / "failer.c", tmp_path / "failer.so"
    source.write_text(FAILER)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    text = "y" * 5_000_000
    body = json.dumps({"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-5",
                       "content": [{"type": "text", "text": text}], "stop_reason": "end_turn",
                       "usage": {"input_tokens": 3, "output_tokens": 5}})
    with Fleet(latency="constant:5") as fleet:
        monkeypatch.setattr(fleet_of, "build_dir", lambda: release)
        fleet.sim.script({"match": {}, "status": 200, "times": 9, "headers": {}, "body": body})
        worker = fleet.worker(env={"LD_PRELOAD": str(library)})
        fleet.push({"id": "big", "prompt": "x"})
        result = fleet.result("big", timeout_s=20)
        assert result["status"] == "succeeded" and result["text"] == text
        assert worker.events("result_no_memory"), "the allocation was never made to fail"
        assert fleet.sim.stats()["requests"] == 2 and fleet.stat("handed_back") == 1
