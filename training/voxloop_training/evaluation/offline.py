"""Sets as the recogniser alone hears them: each clip whole, without VAD, levelling or network."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from voxloop_cloud.hotword_list import read_hotwords
from voxloop_cloud.limits import Limits
from voxloop_cloud.recognition import transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_edge.manifest import Clip
from voxloop_edge.source import FileSource
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import ConfigError, DataError
from voxloop_training.evaluation.clip_set import ClipSet
from voxloop_training.evaluation.heard_clip import HeardClip, HeardWord
from voxloop_training.evaluation.heard_set import HeardSet

if TYPE_CHECKING:
    from voxloop_cloud.hotwords import Hotwords


@dataclass(frozen=True, slots=True)
class OfflineListener:
    """Reads sets with a recogniser, `threads` clips at a time."""

    recognizer: Recognizer
    threads: int = 1
    hotwords_only: bool = False

    def hear(self, clip_set: ClipSet, advance: Callable[[], None] = lambda: None) -> HeardSet:
        """Reads a set, with its hotwords; `advance` is called after each clip.

        A clip that cannot be read is heard with its error. Raises ConfigError if hotwords have no effect on the bundle.
        """
        hotwords = self._prepare(clip_set)
        start_s, clips, cpu_s = time.monotonic(), [], 0.0
        with ThreadPoolExecutor(self.threads) as pool:
            for clip, clip_cpu_s in pool.map(lambda clip: self._read(clip, hotwords), clip_set.clips):
                clips.append(clip)
                cpu_s += clip_cpu_s
                advance()
        return HeardSet(tuple(clips), cpu_s=cpu_s, wall_s=time.monotonic() - start_s)

    def _prepare(self, clip_set: ClipSet) -> "Hotwords | None":
        asked = read_hotwords(clip_set.hotwords, self.hotwords_only and bool(clip_set.hotwords), Limits().max_hotwords)
        if asked is None:
            return None
        if not self.recognizer.decoding.takes_hotwords:
            raise ConfigError(
                f"hotwords have no effect on {self.recognizer.bundle.label}: give a bundle of phones, or leave the "
                "hotwords out"
            )
        return self.recognizer.decoding.prepare(asked)

    def _read(self, clip: Clip, hotwords: "Hotwords | None") -> tuple[HeardClip, float]:
        """What was heard, and the CPU seconds that it took this thread, the reading of the file not counted."""
        try:
            pcm = read_sound(clip)
        except (ConfigError, DataError) as error:
            return HeardClip(clip, "", (), error.message), 0.0
        start_s = time.thread_time()
        decoded = transcribe(self.recognizer, pcm, hotwords)
        cpu_s = time.thread_time() - start_s
        words = tuple(HeardWord(word.text, word.confidence) for word in decoded.words)
        return HeardClip(clip, decoded.text, words), cpu_s


def read_sound(clip: Clip) -> Pcm:
    """The whole clip, (N,) float32 in [-1, 1] at 16 kHz, as the device would hear it. Raises as FileSource."""
    chunks = [chunk.pcm for chunk in FileSource(clip.audio).chunks()]
    return np.concatenate(chunks) if chunks else np.zeros(0, np.float32)
