#!/usr/bin/env python3
"""run: the tests of the Lua scripts, by the first interpreter that has pytest and redis.

The interpreter that CMake found is not always the one that Debian's python3-pytest and python3-redis
belong to. Exit 77 = skipped, and the last line says what is missing.
"""
import os
import pathlib
import shutil
import subprocess
import sys

SKIPPED = 77
HERE = pathlib.Path(__file__).resolve().parent


def can_run(python):
    needs = [python, "-c", "import pytest, redis"]
    return subprocess.run(needs, stderr=subprocess.DEVNULL, check=False).returncode == 0


def main():
    if not shutil.which(os.environ.get("PENSTOCK_REDIS_SERVER", "redis-server")):
        print("skipped: there is no redis-server")
        return SKIPPED
    for python in (sys.executable, "/usr/bin/python3", shutil.which("python3")):
        if python and os.path.exists(python) and can_run(python):
            return subprocess.run([python, "-m", "pytest", "-q", str(HERE),
                                   *sys.argv[1:]], cwd=HERE, check=False).returncode
    print("skipped: no Python here has pytest and redis (python3-pytest, python3-redis)")
    return SKIPPED


if __name__ == "__main__":
    sys.exit(main())
