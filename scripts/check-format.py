#!/usr/bin/env python3
"""check-format: C looks as clang-format-14 would write it. Its versions differ, so that only 14
counts; where it is missing the check is skipped (77)."""
import pathlib
import shutil
import subprocess
import sys

TOOL = "clang-format-14"


def main(root):
    if not shutil.which(TOOL):
        print(f"format: skipped, {TOOL} is not installed")
        return 77
    files = sorted(str(p.relative_to(root)) for top in ("common", "worker", "tests")
                   for p in (root / top).rglob("*.[ch]"))
    got = subprocess.run([TOOL, "--dry-run", "--Werror", *files], cwd=root, capture_output=True,
                         text=True)
    if got.returncode:
        ill = sorted({line.split(":")[0] for line in got.stderr.split("\n") if ": error:" in line})
        print("format: run clang-format-14 -i on\n" + "\n".join(ill or [got.stderr]))
        return 1
    print(f"format: ok, {len(files)} files")
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
