#!/usr/bin/env python3
"""check-style: the budgets and the bans of docs/style.md that no compiler knows.

Files have a ceiling, functions have one, some library calls are not used at all, and no text in
the tree holds a tab, a trailing blank or a note to do something later.
"""
import pathlib
import re
import sys

FILE_LINES, HEADER_LINES, FUNCTION_LINES, COLUMNS = 600, 150, 70, 100
LARGER = {  # file: (its ceiling, why it is not split)
}
BANNED = "strcpy strcat sprintf vsprintf gets strtok atoi alloca system popen".split()
ALLOWED = {("common/base/fault.c", "atoi")}  # reads a test's own environment variable
TEXT = {".c", ".h", ".lua", ".py", ".sh", ".md", ".txt", ".cmake", ".yml", ".yaml", ".css", ".js",
        ".html", ".service", ".example", ".conf"}
SKIP = {".git", ".deps", ".cache", ".pytest_cache", "build", "node_modules", "__pycache__", "corpus", "data"}
LATER = re.compile(r"\b(?:TO" r"DO|FIX" r"ME|X" r"XX)\b")
CALL = re.compile(r"(?<![\w.>])(%s)\s*\(" % "|".join(BANNED))
# Comments, strings and characters, so that what stands in them is not taken for code.
NOISE = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)

# A test's table of cases may have a case a line, however long, where it is fenced.
FENCED = re.compile(r"// clang-format off.*?// clang-format on", re.S)


def bare(text):
    """The code alone, every line where it was."""
    def blank(match):
        kept = '""' if match[0][0] == '"' else ""
        return kept + "\n" * match[0].count("\n")
    return NOISE.sub(blank, text)


def functions(code):
    """Yields (name, first line, lines) of each function: Linux braces stand in column one."""
    opened = None
    lines = code.split("\n")
    for number, line in enumerate(lines, 1):
        if line.startswith("{"):
            opened = number
        elif line.startswith("}") and opened:
            head = opened - 2
            while head > 0 and (not lines[head] or lines[head][0] in " {"):
                head -= 1
            name = re.search(r"(\w+)\s*\(", lines[head])
            yield name[1] if name else "?", opened, number - opened + 1
            opened = None


def check_c(rel, text, bad):
    lines = text.count("\n")
    most, _ = LARGER.get(rel, (HEADER_LINES if rel.endswith(".h") else FILE_LINES, ""))
    if lines > most:
        bad.append(f"{rel}: {lines} lines, the ceiling is {most}")
    code = bare(text)
    for name, at, length in functions(code):
        if length > FUNCTION_LINES:
            bad.append(f"{rel}:{at}: {name} has {length} lines, the ceiling is {FUNCTION_LINES}")
    for number, line in enumerate(code.split("\n"), 1):
        for name in CALL.findall(line):
            if (rel, name) not in ALLOWED:
                bad.append(f"{rel}:{number}: {name} is banned")
    narrow = FENCED.sub(lambda m: "\n" * m[0].count("\n"), text) if rel.startswith("tests/") else text
    for number, line in enumerate(narrow.split("\n"), 1):
        if len(line) > COLUMNS:
            bad.append(f"{rel}:{number}: {len(line)} columns, the ceiling is {COLUMNS}")


def check_text(rel, text, bad):
    for number, line in enumerate(text.split("\n"), 1):
        if "\t" in line and not rel.endswith(".md"):  # a page may show what a terminal shows
            bad.append(f"{rel}:{number}: a tab")
        if line != line.rstrip():
            bad.append(f"{rel}:{number}: a trailing blank")
        if LATER.search(line):
            bad.append(f"{rel}:{number}: a note to do something later; do it or file it")
    if text and not text.endswith("\n"):
        bad.append(f"{rel}: no newline at the end")


def files(root):
    for path in sorted(root.iterdir()):
        if path.name in SKIP or path.name.startswith("build-"):
            continue
        if path.is_dir() and not path.is_symlink():
            yield from files(path)
        elif path.is_file() and (path.suffix in TEXT or not path.suffix) and ".min." not in path.name:
            yield path


def main(root):
    bad = []
    for path in files(root):
        rel = path.relative_to(root).as_posix()
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            if path.suffix in TEXT:
                bad.append(f"{rel}: not UTF-8")
            continue
        check_text(rel, text, bad)
        if path.suffix in {".c", ".h"}:
            check_c(rel, text, bad)
    bad += [f"{rel}: is listed as larger than the ceiling, and is not there"
            for rel in LARGER if not (root / rel).exists()]
    print("\n".join(bad) or "style: ok")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()))
