"""Pairs of recordings of one speaker, of which the second says the first again or says something else.

The set that the server's redo detector is fitted and measured on (scripts/measure_redo). Again: one to three words of
speech-commands, then the same words in other recordings of them. Not again: other such words, of which some may be the
same, or two sentences of speechocean762. Of both kinds, six in ten first takes are spoilt.
"""

import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from voxloop_cloud.recognition import SegmentRecognition
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.records.redo import Said, likeness, outline_of, redo_probability
from voxloop_edge.source import FileSource
from voxloop_proto.audio import SAMPLE_RATE_HZ, Pcm, level_dbfs

LEVEL_DBFS: Final = -23.0
"""At which a device sends."""

SPOILT_RATIO: Final = 0.6
_SENTENCES: Final = 8
"""Of each speaker of speechocean762, in pairs."""


class Takes(NamedTuple):
    """Files to be said one after the other, then others."""

    speaker: str
    again: bool
    first: Sequence[Path]
    second: Sequence[Path]


class Pair(NamedTuple):
    """What the detector makes of two takes."""

    speaker: str
    again: bool
    likeness: tuple[float, float, float]
    probability: float


def choose_takes(data: Path, split: str, most_speakers: int, chance: random.Random) -> Iterator[Takes]:
    """Pairs of takes of a split's speakers. data: the folder of data sets."""
    for speaker, texts in list(_clips(data, "speech-commands", split).items())[:most_speakers]:
        yield from _of_words(speaker, texts, chance)
    for speaker, texts in list(_clips(data, "speechocean762", split).items())[:most_speakers]:
        files = [found[0] for found in texts.values()]
        chance.shuffle(files)
        for first, second in zip(files[:_SENTENCES:2], files[1:_SENTENCES:2], strict=False):
            yield Takes(speaker, False, [first], [second])


def hear_pair(takes: Takes, recognizer: Recognizer, noises: Sequence[Path], chance: random.Random) -> Pair:
    """Recognises both takes, the second half a second to five after the first, which may be spoilt."""
    first, second = (np.concatenate([_read(file) for file in files]) for files in (takes.first, takes.second))
    before = _said(recognizer, _spoil(first, noises, chance), 0.0)
    after = _said(recognizer, second, before.end_s + chance.uniform(0.5, 5.0))
    return Pair(takes.speaker, takes.again, likeness(before, after), redo_probability(before, after))


def _clips(data: Path, name: str, split: str) -> dict[str, dict[str, list[Path]]]:
    """Files by speaker and text."""
    found: dict[str, dict[str, list[Path]]] = defaultdict(lambda: defaultdict(list))
    for line in (data / name / f"{split}.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        found[row["speaker"]][row["text"]].append(data / row["audio"])
    return found


def _of_words(speaker: str, texts: dict[str, list[Path]], chance: random.Random) -> Iterator[Takes]:
    twice = [text for text, files in texts.items() if len(files) > 1]
    for size in range(1, min(3, len(twice)) + 1):
        words = chance.sample(twice, size)
        files = [chance.sample(texts[word], 2) for word in words]
        first = [file for file, _ in files]
        yield Takes(speaker, True, first, [file for _, file in files])
        others = chance.sample(list(texts), min(len(texts), size))
        if set(others) != set(words):
            yield Takes(speaker, False, first, [chance.choice(texts[word]) for word in others])


def _spoil(pcm: Pcm, noises: Sequence[Path], chance: random.Random) -> Pcm:
    """As a first take may have been: in noise at 0 to 10 dB, or with 0.2 to 0.4 s cut off at one end."""
    if chance.random() > SPOILT_RATIO:
        return pcm
    kind, cut = chance.choice(("noise", "start", "end")), round(chance.uniform(0.2, 0.4) * SAMPLE_RATE_HZ)
    if kind != "noise":
        return pcm[cut:] if kind == "start" else pcm[:-cut]
    noise = np.resize(_read(chance.choice(noises)), pcm.size)
    gain_db = level_dbfs(pcm) - chance.uniform(0.0, 10.0) - level_dbfs(noise)
    return pcm + noise * np.float32(10 ** (gain_db / 20))


def _said(recognizer: Recognizer, pcm: Pcm, start_s: float) -> Said:
    """What the server would remember of a take."""
    segment = SegmentRecognition(recognizer)
    segment.push(np.clip(pcm * np.float32(10 ** ((LEVEL_DBFS - level_dbfs(pcm)) / 20)), -1, 1))
    segment.finish()
    while (window := segment.next_window()) is not None:
        log_probs, (state,) = recognizer.step([segment.state], window[None], used_up=True)
        segment.take(log_probs[0], state)
    summary, end_s = segment.feature_summary(), start_s + pcm.size / SAMPLE_RATE_HZ
    return Said(segment.result().text, start_s, end_s, outline_of(summary.sketch) if summary else None)


def _read(file: Path) -> Pcm:
    return np.concatenate([chunk.pcm for chunk in FileSource(file).chunks()])
