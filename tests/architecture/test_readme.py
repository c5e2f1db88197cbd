"""Every command in a README works: the command exists, and its options are known."""

import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
READMES = [
    file
    for pattern in ("*.md", "docs/**/*.md", "proto/*.md", "edge/*.md", "cloud/*.md", "training/*.md", "deploy/**/*.md")
    for file in sorted(ROOT.glob(pattern))
]
_FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
_OURS = re.compile(r"^(?:\S*/)?(voxloop|scripts/[\w-]+)$")
_END_OF_COMMAND = {"|", "||", "&&", "&", ";", ">", ">>", "2>", "<"}


def commands_in(text: str) -> list[list[str]]:
    """Our own commands in the fenced blocks of a Markdown text, as words, one list for each."""
    found: list[list[str]] = []
    for block in _FENCE.findall(text):
        for line in block.replace("\\\n", " ").splitlines():
            try:
                words = shlex.split(line.removeprefix("$ "), comments=True)
            except ValueError:  # a picture or an output, not a command
                continue
            while words and re.fullmatch(r"\w+=.*", words[0]):
                words = words[1:]
            command: list[str] = []
            for word in [*words, ";"]:
                if word not in _END_OF_COMMAND:
                    command.append(word)
                    continue
                if command and (ours := _OURS.match(command[0])):
                    found.append([ours[1], *command[1:]])
                command = []
    return found


@functools.cache
def help_of(*words: str) -> str:
    """What --help says about a command of voxloop, in full width."""
    code = "import sys; from voxloop_proto.cli import main; sys.argv[0] = 'voxloop'; main()"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code, *words, "--help"],
        capture_output=True, text=True, check=False, env={"COLUMNS": "400", "PATH": "/usr/bin:/bin", "TERM": "dumb"},
    )  # fmt: skip
    assert done.returncode == 0, f"voxloop {' '.join(words)}: {done.stdout}{done.stderr}"
    return done.stdout


def subcommand_of(words: list[str]) -> list[str]:
    """The leading words that name a command: `models verify DIR` -> models, verify."""
    path: list[str] = []
    for word in words:
        listed = help_of(*path).partition("Commands:")[2]
        if not re.search(rf"^\s+{re.escape(word)}(\s|$)", listed, re.MULTILINE):
            break
        path.append(word)
    return path


def assert_known(command: list[str]) -> None:
    program, *words = command
    flags = [word.partition("=")[0] for word in words if re.match(r"--?[a-zA-Z]", word)]
    if program == "voxloop":
        path = subcommand_of(words)
        assert path or not words or words[0].startswith("-"), f"no command 'voxloop {words[0]}'"
        known = help_of(*path)
    else:
        script = ROOT / program
        assert script.exists(), f"no {program}"
        known = script.read_text(encoding="utf-8")
        if '"$@"' in known:  # the rest belongs to another program
            return
    unknown = [flag for flag in flags if not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", known)]
    assert unknown == [], f"{' '.join(command)}: no option {unknown}"


@pytest.mark.parametrize("file", READMES, ids=lambda file: str(file.relative_to(ROOT)))
def test_every_command_in_a_readme_exists_with_its_options(file: Path) -> None:
    for command in commands_in(file.read_text(encoding="utf-8")):
        assert_known(command)


def test_commands_are_found_whatever_stands_around_them() -> None:
    text = """
`voxloop inline` is prose.
```bash
$ scripts/setup edge && .venv/bin/voxloop serve --port 1   # a comment
VOXLOOP_LOG=debug voxloop replay \\
  folder --local | tee log
python3 -m other --thing
it's a picture -->
```
"""
    assert commands_in(text) == [
        ["scripts/setup", "edge"],
        ["voxloop", "serve", "--port", "1"],
        ["voxloop", "replay", "folder", "--local"],
    ]


@pytest.mark.parametrize("command", [["voxloop", "lissen"], ["scripts/nothing"], ["voxloop", "--wrong"]])
def test_a_wrong_command_would_be_found(command: list[str]) -> None:
    with pytest.raises(AssertionError, match="no "):
        assert_known(command)


@pytest.mark.parametrize("script", ["setup", "demo", "test", "check", "proto"])
def test_the_commands_of_a_contributor_are_there_and_can_be_run(script: str) -> None:
    file = Path(ROOT, "scripts", script)
    assert file.stat().st_mode & 0o111
    assert file.read_text(encoding="utf-8").startswith("#!")
