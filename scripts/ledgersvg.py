#!/usr/bin/env python3
"""ledgersvg: draw docs/images/ledger.svg from a real run.

  scripts/bench governor doubled --alone --trace run.jsonl
  scripts/ledgersvg.py run.jsonl > docs/images/ledger.svg

A trace is a line for each tenth of a second: Redis' time, the pool's hash, and how many requests the
simulator has accepted by then.
"""
import json
import sys

WIDTH, LEFT, RIGHT = 860, 60, 20
LEVEL_TOP, LEVEL_H, RATE_TOP, RATE_H = 50, 170, 280, 150
INK, FAINT, LEVEL, STARTS, LIMIT, SHUT = "#24292f", "#d0d7de", "#0969da", "#57a55a", "#bc4c00", "#ffd8d3"


def read(path):
    with open(path, encoding="utf-8") as lines:
        samples = [json.loads(line) for line in lines]
    known = [s for s in samples if float(s["pool"].get("requests_limit", 0)) > 0]
    if len(known) < 20:
        sys.exit("ledgersvg: the trace has fewer than 20 samples with a limit: is it of `governor --trace`?")
    begin = samples[0]["at"]
    rows = []
    for s in samples:
        pool = s["pool"]
        rows.append({"t": (s["at"] - begin) / 1000, "accepted": s["accepted"],
                     "left": float(pool.get("requests_left", 0)) if "requests_limit" in pool else None,
                     "size": float(pool.get("requests_capacity", 0)),
                     "limit": float(pool.get("requests_limit", 0)) / 60,
                     "shut": float(pool.get("open_at", 0)) > s["at"], "refused": int(pool.get("refused", 0))})
    return rows


def per_second(rows):
    """Requests accepted in each second."""
    out, at = [], 0
    for second in range(int(rows[-1]["t"]) + 1):
        upto = max((r["accepted"] for r in rows if r["t"] < second + 1), default=0)
        out.append(upto - at)
        at = upto
    return out


class Picture:
    def __init__(self, rows):
        self.rows, self.parts = rows, []
        self.end = rows[-1]["t"]

    def x(self, t):
        return LEFT + (WIDTH - LEFT - RIGHT) * t / self.end

    def text(self, x, y, words, colour=INK, anchor="start"):
        self.parts.append(f'<text x="{x:.0f}" y="{y:.0f}" fill="{colour}" text-anchor="{anchor}">{words}</text>')

    def line(self, points, colour, dashes=""):
        way = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        dash = f' stroke-dasharray="{dashes}"' if dashes else ""
        self.parts.append(f'<polyline points="{way}" fill="none" stroke="{colour}" stroke-width="1.6"{dash}/>')

    def axis(self, top, height, most, unit):
        for part in (0, 0.5, 1):
            y = top + height * (1 - part)
            self.parts.append(f'<line x1="{LEFT}" y1="{y}" x2="{WIDTH - RIGHT}" y2="{y}" stroke="{FAINT}"/>')
            self.text(LEFT - 8, y + 4, f"{most * part:.0f}", anchor="end")
        self.text(LEFT, top - 8, unit)

    def shut(self):
        for a, b in zip(self.rows, self.rows[1:]):
            if a["shut"]:
                for top, height in ((LEVEL_TOP, LEVEL_H), (RATE_TOP, RATE_H)):
                    self.parts.append(f'<rect x="{self.x(a["t"]):.1f}" y="{top}" '
                                      f'width="{self.x(b["t"]) - self.x(a["t"]) + 0.6:.1f}" height="{height}" '
                                      f'fill="{SHUT}"/>')

    def levels(self):
        known = [r for r in self.rows if r["left"] is not None]
        most = max(r["size"] for r in known) * 1.1
        self.axis(LEVEL_TOP, LEVEL_H, most, "left in the bucket, by the ledger: less what has been granted "
                                            "up to half a second ahead")
        def y(n):
            return LEVEL_TOP + LEVEL_H * (1 - max(0, min(n, most)) / most)
        self.line([(self.x(r["t"]), y(r["size"])) for r in known], LIMIT, "5 4")
        self.line([(self.x(r["t"]), y(r["left"])) for r in known], LEVEL)
        self.text(WIDTH - RIGHT, y(known[-1]["size"]) - 5, "its size", LIMIT, "end")

    def rates(self):
        counts = per_second(self.rows)
        most = max(max(counts), max(r["limit"] for r in self.rows)) * 1.1
        self.axis(RATE_TOP, RATE_H, most, "requests the API accepted in each second, and the limit as the "
                                          "headers tell it")
        wide = self.x(1) - self.x(0)
        for second, count in enumerate(counts):
            high = RATE_H * count / most
            self.parts.append(f'<rect x="{self.x(second) + 1:.1f}" y="{RATE_TOP + RATE_H - high:.1f}" '
                              f'width="{wide - 2:.1f}" height="{high:.1f}" fill="{STARTS}"/>')
        self.line([(self.x(r["t"]), RATE_TOP + RATE_H * (1 - r["limit"] / most)) for r in self.rows
                   if r["limit"] > 0], LIMIT, "5 4")
        for second in range(0, int(self.end) + 1, 2):
            self.text(self.x(second), RATE_TOP + RATE_H + 18, f"{second}", anchor="middle")
        self.text(WIDTH - RIGHT, RATE_TOP + RATE_H + 36, "seconds", anchor="end")

    def svg(self):
        self.shut()
        self.levels()
        self.rates()
        refused = self.rows[-1]["refused"]
        self.text(LEFT, 20, f"The limit is halved at 8 s and doubled at 16 s. {refused} requests were refused in "
                            "all; red: the gate was shut.")
        high = RATE_TOP + RATE_H + 50
        return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {high}" font-family="sans-serif" '
                f'font-size="12"><rect width="{WIDTH}" height="{high}" fill="#ffffff"/>\n' +
                "\n".join(self.parts) + "\n</svg>\n")


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    sys.stdout.write(Picture(read(sys.argv[1])).svg())


if __name__ == "__main__":
    main()
