#!/usr/bin/env python3
"""check-headers ROOT [CC]: every header of ours compiles alone, and twice in a row.

So it includes what it needs, and its guard works.
"""
import concurrent.futures
import os
import pathlib
import shlex
import subprocess
import sys

PACKAGES = ["libuv", "libcurl", "libcjson", "hiredis"]
OPTIONAL = ["libmicrohttpd", "cmocka", "hiredis_ssl"]
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Wstrict-prototypes", "-Werror",
         "-fsyntax-only", "-x", "c", "-"]


def cflags():
    flags = []
    for package in PACKAGES + OPTIONAL:
        got = subprocess.run(["pkg-config", "--cflags", package], capture_output=True, text=True)
        if got.returncode == 0:
            flags += shlex.split(got.stdout)
        elif package in PACKAGES:
            sys.exit(f"headers: pkg-config does not know {package}")
    return flags


def compile_alone(cc, flags, root, rel):
    source = f'#include "{rel}"\n#include "{rel}"\nextern int not_empty;\n'
    got = subprocess.run([cc, f"-I{root}", *flags, *FLAGS], input=source, capture_output=True,
                         text=True)
    return f"{rel} does not compile alone:\n{got.stderr}" if got.returncode else None


def main(root, cc):
    flags = cflags()
    rels = sorted(p.relative_to(root).as_posix() for top in ("common", "worker", "tests")
                  for p in (root / top).rglob("*.h"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        bad = [b for b in pool.map(lambda rel: compile_alone(cc, flags, root, rel), rels) if b]
    print("\n".join(bad) or f"headers: ok, {len(rels)} of them")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve(),
                  sys.argv[2] if len(sys.argv) > 2 else "cc"))
