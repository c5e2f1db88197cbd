"""Decoded audio in one memory-mapped file, shared by all training processes."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile
from lhotse import CutSet, MonoCut

from voxloop_proto.audio import PCM16_FULL_SCALE, SAMPLE_RATE_HZ, Pcm
from voxloop_proto.errors import DataError

_BLOCK_SAMPLES: Final = 1600
_NOISE_MISSING_S: Final = 10.0


class AudioCache:
    """Clips by cut id, decoded once; a clip costs a copy, not a decoder."""

    def __init__(self, folder: Path) -> None:
        """Open a cache that `fill` has completed."""
        index: dict[str, list[int]] = json.loads((folder / "index.json").read_text())
        self._spans = {cut_id: (start, stop) for cut_id, (start, stop) in index.items()}
        self._samples: npt.NDArray[np.int16] = np.memmap(folder / "samples.i16", dtype=np.int16, mode="r")

    def __contains__(self, cut_id: str) -> bool:
        return cut_id in self._spans

    def load(self, cut_id: str) -> Pcm:
        """A private copy of a clip's samples."""
        if cut_id not in self._spans:
            raise DataError(f"clip {cut_id!r} is not in the audio cache")
        start, stop = self._spans[cut_id]
        return self._samples[start:stop].astype(np.float32) / np.float32(PCM16_FULL_SCALE)


def open_cache(cuts: CutSet, parent: Path) -> AudioCache:
    """The cache of exactly these cuts under `parent`; decodes them when it isn't there yet."""
    digest = hashlib.sha256("\n".join(sorted(cuts.ids)).encode()).hexdigest()[:16]
    folder = parent.expanduser() / digest
    if not (folder / "index.json").exists():
        fill(cuts, folder)
    return AudioCache(folder)


def fill(cuts: Iterable[MonoCut], folder: Path) -> None:
    """Decode every cut; the index is written last, so that a broken-off fill is never taken for a cache."""
    folder.mkdir(parents=True, exist_ok=True)
    index: dict[str, tuple[int, int]] = {}
    position = 0
    partial = folder / f"samples.{os.getpid()}.partial"
    with partial.open("wb") as sink, ThreadPoolExecutor(os.cpu_count()) as pool:
        for cut, samples in pool.map(_decode, cuts):
            sink.write(samples.tobytes())
            index[cut.id] = (position, position + len(samples))
            position += len(samples)
    partial.replace(folder / "samples.i16")
    staged = folder / f"index.{os.getpid()}.partial"
    staged.write_text(json.dumps(index))
    staged.replace(folder / "index.json")


def _decode(cut: MonoCut) -> tuple[MonoCut, npt.NDArray[np.int16]]:
    missing_s = 0.1 if cut.supervisions[0].text else _NOISE_MISSING_S
    return cut, read_pcm(Path(cut.recording.sources[0].source), missing_s)


def read_pcm(path: Path, missing_s: float = 0.1) -> npt.NDArray[np.int16]:
    """(N,) int16 of a mono 16 kHz file in any format that libsndfile reads.

    Of some Ogg files libsndfile 1.2 cannot read the last page ("malformed"): up to `missing_s` may be lost.
    """
    try:
        with soundfile.SoundFile(path) as file:
            if file.samplerate != SAMPLE_RATE_HZ or file.channels != 1:
                raise DataError(f"{path}: {file.samplerate} Hz, {file.channels} channels; expected mono 16000 Hz")
            blocks = list(_blocks(file))
            missing = file.frames - sum(map(len, blocks))
    except soundfile.LibsndfileError as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not blocks or missing > missing_s * SAMPLE_RATE_HZ:
        raise DataError(f"{path} breaks off {missing / SAMPLE_RATE_HZ:.1f} s before its end")
    return np.concatenate(blocks)


def _blocks(file: soundfile.SoundFile) -> Iterator[npt.NDArray[np.int16]]:
    """What can be read of a file."""
    while True:
        try:
            block = file.read(_BLOCK_SAMPLES, dtype="int16")
        except soundfile.LibsndfileError:
            return
        if not len(block):
            return
        yield block
