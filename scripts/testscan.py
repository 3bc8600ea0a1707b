#!/usr/bin/env python3
"""testscan: every test that docs/reliability.md names exists, and every case of its table names one.

A test is named `file::name`, the file by its path under tests/. In C a name is a function
`static void name(void **state)`; in Python a `def name(`. `[…]` behind a name is a parameter and is
not looked at.
"""
import pathlib
import re
import sys

NAME = re.compile(r"`((?:[a-z_0-9]+/)+[a-z_0-9]+\.(?:py|c))::([a-z_0-9]+)(?:\[[^\]]*\])?`")
ROW = re.compile(r"^\| (\d+) \|")
CASES = 48


def exists(root, file, name, cache={}):
    path = root / "tests" / file
    if path not in cache:
        cache[path] = path.read_text() if path.exists() else ""
    pattern = r"^def %s\(" if file.endswith(".py") else r"^static void %s\("
    return re.search(pattern % re.escape(name), cache[path], re.M)


def main(root):
    bad, seen, tests = [], [], set()
    for number, line in enumerate((root / "docs" / "reliability.md").read_text().splitlines(), 1):
        named = NAME.findall(line)
        tests |= set(named)
        bad += [f"docs/reliability.md:{number}: there is no test {name} in tests/{file}"
                for file, name in named if not exists(root, file, name)]
        row = ROW.match(line)
        if row:
            seen.append(int(row[1]))
            if not named and "not there" not in line:
                bad.append(f"docs/reliability.md:{number}: case {row[1]} names no test; name one as "
                           "`folder/file.py::test`, or say that it is not there")
    if seen != list(range(1, CASES + 1)):
        bad.append(f"docs/reliability.md: the cases are {seen}, not 1 to {CASES} in their order")
    print("\n".join(bad) or f"tests: ok, {len(tests)} tests named for {len(seen)} cases")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
