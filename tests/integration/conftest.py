"""The folder's helpers are importable by their names, and no test leaves a command line running."""
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import clilib  # noqa: E402


@pytest.fixture(autouse=True)
def no_command_line_is_left_running():
    yield
    clilib.end_all()
