#!/usr/bin/env python3
"""embed FILE SYMBOL OUT: write FILE's bytes as a C array, so that one binary is the whole deployment."""
import pathlib
import sys

source, symbol, out = sys.argv[1:]
data = pathlib.Path(source).read_bytes()
rows = "\n".join(
    "    " + " ".join(f"{byte}," for byte in data[at:at + 24]) for at in range(0, len(data), 24))
pathlib.Path(out).write_text(
    f"extern const char {symbol}[];\nextern const unsigned {symbol}_len;\n"
    f"const char {symbol}[] = {{\n{rows}\n    0}};\nconst unsigned {symbol}_len = {len(data)};\n")
