"""irstlm, the n-gram toolkit (Debian package irstlm, at training time only), as functions on files."""

import os
import subprocess
from pathlib import Path
from typing import Final

from voxloop_proto.errors import ConfigError

_HOME_VARIABLE: Final = "IRSTLM"
_DEBIAN: Final = "/usr/lib/irstlm"
_PARTS: Final = 5
"""The counting is done in so many parts, one after the other: less memory."""


def estimate(text: Path, order: int, arpa: Path) -> None:
    """An n-gram with improved Kneser-Ney smoothing of text with sentence marks, as an ARPA file."""
    lists = arpa.with_suffix(".ilm.gz")
    smoothing = "improved-kneser-ney"
    parts = arpa.with_suffix(".parts")
    _run("build-lm.sh", "-i", text, "-n", order, "-o", lists, "-k", _PARTS, "-s", smoothing, "-t", parts)
    _run("compile-lm", lists, "--text=yes", arpa)


def prune(arpa: Path, thresholds: tuple[float, ...], pruned: Path) -> None:
    """Drops n-grams whose loss changes the weighted log-probability by less than the threshold of their order."""
    _run("prune-lm", f"--threshold={','.join(map(str, thresholds))}", arpa, pruned)


def _run(tool: str, *arguments: object) -> None:
    home = Path(os.environ.get(_HOME_VARIABLE, _DEBIAN))
    program = home / "bin" / tool
    if not program.is_file():
        raise ConfigError(
            f"no {program}; install irstlm (apt-get install irstlm) or set {_HOME_VARIABLE} to its folder"
        )
    environment = {
        **os.environ,
        _HOME_VARIABLE: str(home),
        "LC_ALL": "C",
        "PATH": f"{home / 'bin'}:{os.environ['PATH']}",
    }
    command = [str(program), *map(str, arguments)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ConfigError(f"{' '.join(command)} failed ({done.returncode}): {(done.stderr or done.stdout)[-500:]}")
