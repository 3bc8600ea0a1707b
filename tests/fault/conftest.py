"""Fault tests use the helpers of the integration tests, and the scripts' invariants."""
import pathlib
import sys

TESTS = pathlib.Path(__file__).resolve().parents[1]
for folder in ("integration", "lua", "fault"):
    sys.path.insert(0, str(TESTS / folder))
