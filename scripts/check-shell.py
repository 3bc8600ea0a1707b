#!/usr/bin/env python3
"""check-shell: shellcheck has nothing to say about our shell scripts. Skipped (77) where it is not
installed."""
import pathlib
import re
import shutil
import subprocess
import sys

SKIP = {".git", ".deps", ".cache", ".pytest_cache", "build", "node_modules", "__pycache__"}
SHEBANG = re.compile(rb"^#!\s*/(?:usr/)?bin/(?:env\s+)?(?:ba|da)?sh\b")


def is_shell(path):
    with path.open("rb") as file:
        return path.suffix == ".sh" or bool(SHEBANG.match(file.read(64)))


def files(root):
    for path in sorted(root.iterdir()):
        if path.name in SKIP or path.name.startswith("build-") or path.is_symlink():
            continue
        if path.is_dir():
            yield from files(path)
        elif path.is_file() and is_shell(path):
            yield path


def main(root):
    if not shutil.which("shellcheck"):
        print("shell: skipped, shellcheck is not installed")
        return 77
    scripts = [str(p.relative_to(root)) for p in files(root)]
    if scripts and subprocess.run(["shellcheck", "-x", *scripts], cwd=root).returncode:
        return 1
    print(f"shell: ok, {len(scripts)} scripts")
    return 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
