"""Debian's speech engines, each a program that is run for a few sentences."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
import soxr

from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm
from voxloop_proto.errors import ConfigError, DataError
from voxloop_training.synthesis.voices import PACKAGES, Engine, Voice

_WORDS_PER_MINUTE: Final = 165
"""espeak-ng's pace at which a text takes about as long as with the others."""
_SPEAKABLE: Final = re.compile("[a-z'][a-z' ]*")
"""Nothing that an engine would take for an option or for Scheme."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a sentence is said. pace: above 1 is faster · size: above 1 is a smaller speaker, all of it higher."""

    pace_ratio: float = 1.0
    size_ratio: float = 1.0


def require(voice: Voice) -> None:
    """Raises ConfigError if the engine or its voice is not installed: flite and espeak-ng would take another one."""
    if shutil.which(voice.engine) is None:
        raise ConfigError(f"no {voice.engine} here; install it as root: apt-get install {PACKAGES[voice.engine]}")
    missing = sorted(set(voice.name.split("+")) - _names_listed(voice.engine))
    if missing:
        there = f"{voice.engine} has no voice {' or '.join(missing)} here"
        raise ConfigError(f"{there}; install it as root: apt-get install {PACKAGES[voice.engine]}")


def _names_listed(engine: Engine) -> set[str]:
    """What an engine says that it has: voices, of espeak-ng languages and variants."""
    if engine == "festival":
        said = _run("festival", "--pipe", said="(print (voice.list))")
    elif engine == "flite":
        said = _run("flite", "-lv")
    else:
        said = _run("espeak-ng", "--voices") + _run("espeak-ng", "--voices=variant")
    return set(re.findall(r"[\w-]+", said))


def speak(voice: Voice, texts: Sequence[str], manner: Manner) -> list[Pcm]:
    """Each text in a voice, (N,) float32 at 16 kHz, without silence around it.

    The engine speaks slower by the speaker's size, and is then played faster: that moves formants and pitch together,
    as in a smaller speaker, and keeps the pace. texts: a-z, apostrophe and space. Raises DataError for others, and for
    one that comes out empty.
    """
    for text in texts:
        if not _SPEAKABLE.fullmatch(text):
            raise DataError(f"cannot speak {text!r}: only a-z, apostrophe and space, not a space first")
    with tempfile.TemporaryDirectory(prefix="voxloop-speech-") as folder:
        files = [Path(folder, f"{index}.wav") for index in range(len(texts))]
        _ENGINES[voice.engine](voice.name, texts, manner.pace_ratio / manner.size_ratio, files)
        return [_read(file, manner.size_ratio, text) for file, text in zip(files, texts, strict=True)]


def _espeak(name: str, texts: Sequence[str], pace_ratio: float, files: Sequence[Path]) -> None:
    words_per_minute = str(round(_WORDS_PER_MINUTE * pace_ratio))
    for text, file in zip(texts, files, strict=True):
        _run("espeak-ng", "-v", name, "-s", words_per_minute, "-w", str(file), text)


def _flite(name: str, texts: Sequence[str], pace_ratio: float, files: Sequence[Path]) -> None:
    stretch = f"duration_stretch={1 / pace_ratio:.3f}"
    for text, file in zip(texts, files, strict=True):
        _run("flite", "-voice", name, "--setf", stretch, "-t", text, "-o", str(file))


def _festival(name: str, texts: Sequence[str], pace_ratio: float, files: Sequence[Path]) -> None:
    """All in one process, as it takes longer to start than to speak."""
    script = f"(voice_{name})\n(Parameter.set 'Duration_Stretch {1 / pace_ratio:.3f})\n" + "".join(
        f'(utt.save.wave (utt.synth (Utterance Text "{text}")) "{file}" \'riff)\n'
        for text, file in zip(texts, files, strict=True)
    )
    _run("festival", "--pipe", said=script)


_ENGINES: Final = {"espeak-ng": _espeak, "festival": _festival, "flite": _flite}


def _run(*command: str, said: str = "") -> str:
    """What the engine prints. Ctrl-C is not for it: a batch that has begun is finished."""
    ended = subprocess.run(command, input=said, capture_output=True, text=True, check=False, start_new_session=True)
    if ended.returncode:
        raise DataError(f"{command[0]} failed with exit code {ended.returncode}: {ended.stderr.strip()[-300:]}")
    return ended.stdout


def _read(file: Path, size_ratio: float, text: str) -> Pcm:
    if not file.is_file():
        raise DataError(f"nothing was spoken for {text!r}; is the voice installed?")
    spoken, rate_hz = soundfile.read(file, dtype="float32")
    pcm = soxr.resample(spoken, rate_hz * size_ratio, SAMPLE_RATE_HZ)
    audible = np.flatnonzero(np.abs(pcm) > 0.01 * np.abs(pcm).max(initial=0.0))
    if not len(audible):
        raise DataError(f"nothing to be heard of {text!r}")
    trimmed: Pcm = pcm[audible[0] : audible[-1] + 1].astype(np.float32)
    return trimmed
