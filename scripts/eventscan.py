#!/usr/bin/env python3
"""eventscan: every event that the code can log has its row in docs/logging.md, and every row its
event. An event's name is a literal beside its level, so that this script and grep can find it."""
import pathlib
import re
import sys

PAGE = "docs/logging.md"
LOGGED = re.compile(r'\bLOG_(?:DEBUG|INFO|WARN|ERROR)\s*,\s*"([^"]*)"')
CALL = re.compile(r"\blog_event\s*\(")
ROW = re.compile(r"^\| `([^`]+)` \|", re.M)
NAME = re.compile(r"[a-z][a-z0-9_]*$")
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
DOOR = {"common/base/log.h", "common/base/log.c"}


def scan(root):
    """Returns {event: first place that logs it} and what is wrong with the calls."""
    events, bad = {}, []
    for path in sorted(p for top in ("common", "worker") for p in (root / top).rglob("*.[ch]")):
        rel = path.relative_to(root).as_posix()
        if rel in DOOR:
            continue
        code = COMMENT.sub(lambda m: "\n" * m[0].count("\n"), path.read_text())
        named = 0
        for match in LOGGED.finditer(code):
            place = f"{rel}:{code.count(chr(10), 0, match.start()) + 1}"
            events.setdefault(match[1], place)
            named += 1
            if not NAME.match(match[1]):
                bad.append(f"{place}: an event is named like_this, not \"{match[1]}\"")
        if len(CALL.findall(code)) > named:
            bad.append(f"{rel}: log_event without a literal level and name side by side")
    return events, bad


def main(root):
    events, bad = scan(root)
    page = (root / PAGE).read_text()
    rows = ROW.findall(page.split("\n## Events\n", 1)[-1])
    bad += [f"{PAGE}: add the row | `{name}` | level | fields | meaning | (logged at {place})"
            for name, place in sorted(events.items()) if name not in rows]
    bad += [f"{PAGE}: remove the row of {name}: nothing logs it" for name in rows
            if name not in events]
    bad += [f"{PAGE}: {name} has two rows" for name in sorted(set(rows)) if rows.count(name) > 1]
    print("\n".join(bad) or f"events: ok, {len(rows)} of them")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".")))
