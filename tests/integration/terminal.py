"""terminal: a program in a real terminal (tmux), judged by what the screen shows.

    with Terminal("penstock top", env, rows=24, columns=80) as term:
        term.wait("QUEUES")
        term.keys("q")
        term.wait("exit:0")

The screen is that of a shell line: it says `before` first, then the program runs, then `exit:CODE`.
"""
import re
import shlex
import shutil
import subprocess
import tempfile

from simlib import SLACK, wait_until


class Terminal:
    def __init__(self, command, env, rows=24, columns=80, term=None):
        self.dir = tempfile.mkdtemp(prefix="pst-tmux-")
        words = " ".join(f"{k}={shlex.quote(v)}" for k, v in env.items() if k not in ("TERM", "TMUX"))
        as_term = f"TERM={term} " if term else ""
        line = f"trap : INT; echo before; env {as_term}{words} {command}; echo exit:$?; stty -a; exec sleep 600"
        self.columns = columns
        self._tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                   "sh", "-c", line)

    def _tmux(self, *words):
        done = subprocess.run(["tmux", "-S", f"{self.dir}/s", *words], capture_output=True, text=True,
                              timeout=20 * SLACK, check=False)
        assert done.returncode == 0, f"tmux {words[:3]}: {done.stderr}"
        return done.stdout

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        subprocess.run(["tmux", "-S", f"{self.dir}/s", "kill-server"], capture_output=True, check=False)
        shutil.rmtree(self.dir, ignore_errors=True)

    def screen(self, escapes=False):
        return self._tmux("capture-pane", "-p", *(["-e"] if escapes else []))

    def lines(self):
        return self.screen().split("\n")[:-1]

    def keys(self, *keys):
        self._tmux("send-keys", *keys)

    def resize(self, rows, columns):
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def ask(self, what):
        return self._tmux("display-message", "-p", "#{%s}" % what).strip()

    def wait(self, pattern, timeout_s=30):
        """Waits until the screen shows a match of the regular expression; gives the screen."""
        def there():
            over = re.search("^exit:", self.screen(), re.M)
            text = self.screen()
            if re.search(pattern, text, re.M):
                return text
            assert not over, f"{pattern!r}: the program has ended"
            return None
        try:
            return wait_until(there, timeout_s, f"{pattern!r} on the screen")
        except AssertionError as fault:
            raise AssertionError(f"{fault}\n{self.screen()}") from None

    def program(self, name):
        """The pid of the program that runs in it."""
        shell = int(self.ask("pane_pid"))
        found = subprocess.run(["pgrep", "-P", str(shell), "-f", name], capture_output=True, text=True,
                               check=False).stdout.split()
        assert len(found) == 1, f"{len(found)} programs {name}"
        return int(found[0])
