#!/usr/bin/env python3
"""optscan ROOT CONF_DUMP [--write]: the settings table, its page and the sample file agree.

CONF_DUMP prints the table as the programs know it. docs/configuration.md must hold it word for
word between the markers; deploy/penstock.env.example must have each setting once, in the same
order, commented out, with its default. --write puts the table into the page.
"""
import pathlib
import re
import subprocess
import sys

BEGIN, END = "<!-- settings: begin -->\n", "<!-- settings: end -->\n"
PAGE, SAMPLE = "docs/configuration.md", "deploy/penstock.env.example"


def rows(table):
    """Yields (variable, default) of each row; a default of None is written as nothing."""
    for line in table.splitlines()[2:]:
        cells = [cell.strip() for cell in line.strip("|").split(" | ")]
        default = cells[3].strip("`")
        yield cells[0].strip("` "), "" if cells[3] == "none" else default


def check_page(page, table):
    if page.count(BEGIN) != 1 or page.count(END) != 1:
        return [f"{PAGE}: the markers {BEGIN.strip()} and {END.strip()} must stand there once"]
    shown = page.split(BEGIN)[1].split(END)[0]
    if shown == table:
        return []
    old, new = set(shown.splitlines()), set(table.splitlines())
    return ([f"{PAGE}: is not in the table: {line}" for line in shown.splitlines()
             if line not in new]
            + [f"{PAGE}: misses: {line}" for line in table.splitlines() if line not in old]
            or [f"{PAGE}: the rows stand in another order"]) + ["scripts/optscan.py --write mends it"]


def check_sample(sample, table):
    want = [f"#{name}={default}" for name, default in rows(table)]
    have = re.findall(r"^#?[A-Z][A-Z0-9_]*=.*$", sample, re.M)
    bad = [f"{SAMPLE}: misses the line {line}" for line in want if line not in have]
    bad += [f"{SAMPLE}: no setting, or not its default: {line}" for line in have if line not in want]
    return bad or ([] if have == want else [f"{SAMPLE}: the settings stand in another order"])


def main(root, dump, write):
    table = subprocess.run([dump], check=True, capture_output=True, text=True).stdout
    page = (root / PAGE).read_text()
    if write and page.count(BEGIN) == 1 and page.count(END) == 1:
        before, rest = page.split(BEGIN)
        page = before + BEGIN + table + END + rest.split(END)[1]
        (root / PAGE).write_text(page)
    bad = check_page(page, table) + check_sample((root / SAMPLE).read_text(), table)
    print("\n".join(bad) or f"options: ok, {len(list(rows(table)))} settings")
    return bool(bad)


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--write"]
    sys.exit(main(pathlib.Path(words[0]), words[1], "--write" in sys.argv))
