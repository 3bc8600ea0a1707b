"""What is made of the table of verbs: --help, the manual pages, shell completion, the installation."""
import json
import os
import re
import shutil
import subprocess

import pytest
from clilib import PENSTOCK
from simlib import ROOT, SLACK, build_dir
from terminal import Terminal

PAGES = build_dir() / "pages"


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, timeout=60 * SLACK, check=True).stdout


def verbs():
    text = run(PENSTOCK, "--help").split("\nverbs:\n")[1].split("\n\n")[0]
    return re.findall(r"^  (\w+) ", text, re.M)


def options(verb):
    return re.findall(r"^  --([a-z-]+)", run(PENSTOCK, verb, "--help"), re.M)


def flags(program):
    return re.findall(r"^  --([a-z-]+)", run(str(build_dir() / program), "--help").split("Settings")[1], re.M)


@pytest.fixture(scope="module")
def shown():
    """The manual pages as a reader sees them, without hyphenation."""
    if not shutil.which("groff"):
        pytest.skip("groff is not installed")

    def show(name):
        text = (PAGES / name).read_text()
        done = subprocess.run(["groff", "-man", "-Tascii", "-ww", "-P-cbou", "-rHY=0", "-rLL=200n"],
                              input=text, capture_output=True, text=True, timeout=60 * SLACK, check=True)
        assert done.stderr == "", done.stderr  # -ww: every warning that groff knows
        return done.stdout
    return show


def test_the_manual_of_penstock_has_every_verb_option_setting_and_exit_code(shown):
    page = shown("penstock.1")
    for verb in verbs():
        at = page.index(f"\n   penstock {verb} ")
        section = page[at + 1:].split("\n   penstock ")[0]
        for option in options(verb):
            assert f"\n       --{option}" in section, f"{verb} --{option}"
    settings = page[page.index("\nSETTINGS"):]
    for flag in flags("penstock"):
        assert f"--{flag}=" in settings
    for code in range(6):
        assert re.search(rf"^       {code} ", page[page.index("EXIT STATUS"):], re.M)


def test_the_manual_of_the_worker_has_every_setting(shown):
    page = shown("penstock-worker.8")
    for flag in flags("penstock-worker"):
        assert f"--{flag}=" in page
    assert "ANTHROPIC_API_KEY\n" in page and "SIGHUP" in page


def test_the_exit_codes_in_the_docs_are_those_of_the_program():
    told = re.findall(r"^  (\d)  (.*)$", run(PENSTOCK, "--help"), re.M)
    text = (ROOT / "docs" / "cli.md").read_text()
    assert told == [tuple(row) for row in re.findall(r"^\| (\d) \| (.*) \|$", text.replace("`", ""), re.M)]


def test_every_verb_is_in_the_docs():
    text = (ROOT / "docs" / "cli.md").read_text()
    for verb in verbs():
        assert re.search(rf"`(penstock )?{verb}\b", text), verb


def test_every_verb_prints_json_and_the_table_of_verbs_is_there_as_json():
    table = json.loads(run(PENSTOCK, "completion", "--json"))
    assert list(table) == verbs()
    for verb, told in table.items():
        assert list(told["options"]) == options(verb) and "json" in told["options"]


def complete(*words):
    """What bash offers for the last word."""
    line = " ".join(f"'{w}'" for w in words)
    script = (f"source '{PAGES}/penstock.bash'; COMP_WORDS=({line}); COMP_CWORD={len(words) - 1}; "
              f"{'_penstock_worker' if words[0] == 'penstock-worker' else '_penstock'}; "
              'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "--norc", "-c", script], capture_output=True, text=True, check=True,
                          timeout=60 * SLACK)
    assert done.stderr == "", done.stderr
    return [w for w in done.stdout.split("\n") if w]


def test_bash_completes_verbs_options_subwords_and_values(tmp_path):
    assert complete("penstock", "") == verbs()
    assert complete("penstock", "to") == ["top"]
    assert set(complete("penstock", "dead", "re")) == {"retry"}
    assert set(complete("penstock", "dead", "")) == {"list", "show", "retry", "drop"}
    assert set(complete("penstock", "limits", "")) == {"set", "clear"}
    assert "--retry-failed" in complete("penstock", "run", "--ret")
    assert complete("penstock", "--redis-url", "x", "top", "--onc") == ["--once"]
    for verb in verbs():
        assert {f"--{o}" for o in options(verb)} <= set(complete("penstock", verb, "--"))
    assert set(complete("penstock-worker", "--log-level", "")) >= {"debug", "info", "warn"}
    assert complete("penstock-worker", "--healt") == ["--healthcheck"]
    assert complete("penstock-worker", "--log-level", "=", "de") == ["debug"]
    assert set(complete("penstock-worker", "--log-level", "=")) >= {"debug", "info", "warn"}
    assert complete("penstock", "push", "--system", "") == []


@pytest.mark.skipif(not shutil.which("tmux"), reason="tmux is not installed")
def test_bash_completes_names_of_files_with_blanks_where_a_file_is_meant(tmp_path):
    (tmp_path / "my prompts.jsonl").touch()
    (tmp_path / "my folder").mkdir()
    env = {"PATH": f"{build_dir().resolve()}:{os.environ['PATH']}", "PS1": "$ "}
    with Terminal("bash --norc --noprofile -i", env, columns=120) as term:
        def tab(line, shown):
            term.keys("-l", line)
            term.keys("Tab")
            term.wait(shown)
            term.keys("C-u")
        term.keys("-l", f"source '{PAGES.resolve()}/penstock.bash'; cd '{tmp_path}'; clear")
        term.keys("Enter")
        term.wait(r"^\$ *$")
        tab("penstock run my\\ p", r"run my\\ prompts\.jsonl *$")
        tab("penstock run --output 'my p", r"--output 'my prompts\.jsonl' *$")
        tab("penstock run -o my\\ f", r"-o my\\ folder/$")
        tab("penstock run --settings-file=my\\ p", r"--settings-file=my\\ prompts\.jsonl *$")
        tab("penstock sta", r"penstock stats *$")
        tab("penstock run --retry", r"run --retry-failed *$")
        tab("penstock-worker --log-level deb", r"--log-level debug *$")
        tab("penstock push --model my", r"--model my$")  # no file is meant


@pytest.mark.parametrize("shell, name, check", [("zsh", "_penstock", ["-n"]),
                                                ("fish", "penstock.fish", ["--no-execute"])])
def test_the_other_shells_can_read_theirs(shell, name, check):
    text = (PAGES / name).read_text()
    for verb in verbs():
        assert re.search(rf"\b{verb}\b", text)
    if shutil.which(shell):
        run(shell, *check, str(PAGES / name))


def test_cmake_installs_programs_pages_and_completion_and_nothing_else(tmp_path):
    run("cmake", "--install", str(build_dir()), "--prefix", str(tmp_path))
    found = {os.path.relpath(os.path.join(folder, f), tmp_path) for folder, _, files in os.walk(tmp_path)
             for f in files}
    assert found == {"bin/penstock", "bin/penstock-worker", "bin/penstock-sim", "share/man/man1/penstock.1",
                     "share/man/man8/penstock-worker.8", "share/bash-completion/completions/penstock",
                     "share/bash-completion/completions/penstock-worker",
                     "share/zsh/site-functions/_penstock",
                     "share/fish/vendor_completions.d/penstock.fish"}
    assert run(str(tmp_path / "bin/penstock"), "--version").startswith("penstock ")
    (tmp_path / "in.txt").write_text("one\ntwo\n")  # the installed programs find each other
    done = subprocess.run([str(tmp_path / "bin/penstock"), "run", "in.txt", "--text", "-o", "out.jsonl", "--simulate"],
                          cwd=tmp_path, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
                          capture_output=True, text=True, timeout=60 * SLACK, check=False)
    assert done.returncode == 0 and (tmp_path / "out.jsonl").read_text().count('"succeeded"') == 2, done.stderr
