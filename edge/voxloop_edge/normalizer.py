"""Brings speech to one level while it is being spoken."""

import math

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from voxloop_proto.audio import SILENCE_DBFS, Pcm, ms_to_samples
from voxloop_proto.events import SegmentAudio, SegmentEnded, SegmentEvent, SegmentStarted

BLOCK_MS = 10
_BLOCK_SAMPLES = ms_to_samples(BLOCK_MS)
_RAMP = (np.arange(_BLOCK_SAMPLES, dtype=np.float32) + 1) / _BLOCK_SAMPLES
_LEAST_POWER = 1e-10  # SILENCE_DBFS
_PAUSE_RATIO = 0.01  # a block 20 dB below the loudest of its segment is a pause
_BURST_RATIO = 16.0  # a block over 12 dB above the level of speech counts as that: a slammed door is no level of speech


class NormalizerConfig(BaseModel):
    """How level is brought to a target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="false leaves levels as recorded")
    target_dbfs: float = Field(-23.0, ge=-60, le=-6, description="level of speech to aim at, RMS in dBFS")
    max_gain_db: float = Field(30.0, ge=0, le=60, description="most that is added, in dB")
    min_gain_db: float = Field(-20.0, ge=-60, le=0, description="most that is taken away, in dB, save by the limiter")
    rise_db_per_s: float = Field(10.0, gt=0, le=200, description="fastest rise of gain, in dB per second of speech")
    fall_db_per_s: float = Field(100.0, gt=0, le=400, description="fastest fall of gain, in dB per second of speech")
    release_db_per_s: float = Field(
        60.0, gt=0, le=2000, description="fastest return from the limiter, in dB per second"
    )
    memory_ms: int = Field(1000, ge=50, le=60_000, description="speech over which its level is averaged, in ms")
    gate_margin_db: float = Field(
        6.0, ge=0, le=40, description="what counts as speech is this far above background, in dB"
    )
    gate_dbfs: float = Field(-65.0, ge=-100, le=-20, description="sound below this never counts as speech, RMS in dBFS")
    settle_ms: int = Field(300, ge=10, le=2000, description="speech heard before the first gain of a session, in ms")
    ceiling_dbfs: float = Field(-1.0, ge=-20, le=0, description="peaks are held below this by the limiter, in dBFS")


class Normalizer:
    """Stage: segments as recorded to segments at one level. Adds 10 to 20 ms of latency.

    The level of speech is a running mean of power over 10 ms blocks that stand out from the background; background
    never raises the gain. The first gain of a session comes from the first settle_ms of speech, so that its first
    segment is up to settle_ms late in beginning. Later segments go on with what was learned.

    The gain at the border of two blocks is never more than either block's peak allows, and changes linearly between
    borders: so the limiter cannot overshoot.
    """

    def __init__(self, config: NormalizerConfig) -> None:
        self._config = config
        self._memory_blocks = max(1, config.memory_ms // BLOCK_MS)
        self._rise_db = config.rise_db_per_s * BLOCK_MS / 1000.0
        self._fall_db = config.fall_db_per_s * BLOCK_MS / 1000.0
        self._release_db = config.release_db_per_s * BLOCK_MS / 1000.0
        self._reset()

    def _reset(self) -> None:
        self._speech_power = 0.0  # 0: none heard yet
        self._speech_blocks = 0
        self._wanted_db = 0.0
        self._gain_db = 0.0
        self._started: SegmentStarted | None = None  # not given out until its first gain is known
        self._waiting: Pcm = np.zeros(0, np.float32)
        self._waiting_start = 0
        self._gate_power = 0.0
        self._loudest_power = 0.0  # of this segment

    def push(self, item: SegmentEvent, /) -> tuple[SegmentEvent, ...]:
        """Takes one event of a segment."""
        if not self._config.enabled:
            return (item,)
        match item:
            case SegmentAudio():
                return self._take(item)
            case SegmentStarted():
                return self._begin(item)
            case SegmentEnded():
                return (*self._process(item.segment_id, last=True), item)

    def flush(self) -> tuple[SegmentEvent, ...]:
        """Forgets what was learned: a new session begins. The segmenter's flush has ended all segments."""
        self._reset()
        return ()

    def _begin(self, started: SegmentStarted) -> tuple[SegmentEvent, ...]:
        self._started = started
        self._loudest_power = 0.0
        self._waiting = self._waiting[:0]
        self._waiting_start = started.start_sample
        gate_dbfs = max(self._config.gate_dbfs, started.raw_level_dbfs + self._config.gate_margin_db)
        if self._speech_power:  # a background that is as loud as speech was must not shut the gate
            gate_dbfs = min(gate_dbfs, _to_db(self._speech_power) - self._config.gate_margin_db)
        self._gate_power = _from_db(gate_dbfs)
        return ()

    def _take(self, item: SegmentAudio) -> tuple[SegmentEvent, ...]:
        self._waiting = np.concatenate((self._waiting, item.pcm))
        return self._process(item.segment_id, last=False)

    def _process(self, segment_id: int, last: bool) -> tuple[SegmentEvent, ...]:
        events: tuple[SegmentEvent, ...] = ()
        if self._started is not None:
            if not last and len(self._waiting) < self._settled_samples(self._started):
                return ()
            events = (self._settle(self._started),)
            self._started = None
        ready = -(-len(self._waiting) // _BLOCK_SAMPLES) if last else len(self._waiting) // _BLOCK_SAMPLES - 1
        if ready <= 0:
            return events
        pcm = self._level(ready)
        start = self._waiting_start
        self._waiting = self._waiting[len(pcm) :]
        self._waiting_start += len(pcm)
        return (*events, SegmentAudio(segment_id, start, pcm, self._gain_db))

    def _settled_samples(self, started: SegmentStarted) -> int:
        if self._speech_power:
            return 2 * _BLOCK_SAMPLES
        pre_roll = -(-started.pre_roll_samples // _BLOCK_SAMPLES) * _BLOCK_SAMPLES
        return pre_roll + max(2 * _BLOCK_SAMPLES, ms_to_samples(self._config.settle_ms))

    def _settle(self, started: SegmentStarted) -> SegmentStarted:
        """The segment's first gain."""
        if not self._speech_power:
            heard = _blocks(self._waiting[started.pre_roll_samples : self._settled_samples(started)])
            powers = _powers(heard)
            loud = powers[powers >= self._gate_power]
            self._speech_power = max(float(loud.mean() if len(loud) else powers.max(initial=0.0)), _LEAST_POWER)
            self._speech_blocks = max(1, len(loud))
            self._wanted_db = self._aim_db()
        first_peak = float(np.abs(self._waiting[:_BLOCK_SAMPLES]).max(initial=0.0))
        self._gain_db = min(self._wanted_db, self._config.ceiling_dbfs - _peak_db(first_peak))
        return SegmentStarted(
            started.segment_id, started.start_sample, started.pre_roll_samples, started.raw_level_dbfs, self._gain_db
        )

    def _level(self, ready: int) -> Pcm:
        """The first blocks of what is waiting, at their new level; the one after them is known, if there is one."""
        blocks = _blocks(self._waiting[: (ready + 1) * _BLOCK_SAMPLES])
        powers = _powers(blocks).tolist()
        room_db = [self._config.ceiling_dbfs - _peak_db(peak) for peak in np.abs(blocks).max(axis=1).tolist()]
        gains_db = [self._gain_db]
        for index in range(ready):
            self._follow(powers[index])
            gains_db.append(self._next_gain_db(gains_db[-1], min(room_db[index : index + 2])))
        self._gain_db = gains_db[-1]
        gains = np.power(10.0, np.array(gains_db, np.float32) / 20.0)
        ramps = gains[:-1, None] + (gains[1:] - gains[:-1])[:, None] * _RAMP
        levelled: Pcm = (blocks[:ready] * ramps).reshape(-1)
        return levelled[: min(ready * _BLOCK_SAMPLES, len(self._waiting))]

    def _follow(self, power: float) -> None:
        """Learns from one block and moves the wanted gain towards its aim."""
        self._loudest_power = max(self._loudest_power, power)
        if power < max(self._gate_power, self._loudest_power * _PAUSE_RATIO):
            return
        power = min(power, self._speech_power * _BURST_RATIO)
        self._speech_blocks = min(self._speech_blocks + 1, self._memory_blocks)
        self._speech_power += (power - self._speech_power) / self._speech_blocks
        change_db = self._aim_db() - self._wanted_db
        self._wanted_db += max(-self._fall_db, min(self._rise_db, change_db))

    def _aim_db(self) -> float:
        aim_db = self._config.target_dbfs - _to_db(max(self._speech_power, _LEAST_POWER))
        return min(self._config.max_gain_db, max(self._config.min_gain_db, aim_db))

    def _next_gain_db(self, gain_db: float, room_db: float) -> float:
        return min(self._wanted_db, room_db, gain_db + self._release_db)


def _blocks(pcm: Pcm) -> Pcm:
    """Shape (blocks, samples of a block); the last one padded with zeros."""
    missing = -len(pcm) % _BLOCK_SAMPLES
    return (np.concatenate((pcm, np.zeros(missing, np.float32))) if missing else pcm).reshape(-1, _BLOCK_SAMPLES)


def _powers(blocks: Pcm) -> Pcm:
    powers: Pcm = np.einsum("bs,bs->b", blocks, blocks) / np.float32(_BLOCK_SAMPLES)
    return powers


def _to_db(power: float) -> float:
    return 10.0 * math.log10(power)


def _from_db(level_db: float) -> float:
    return float(10.0 ** (level_db / 10.0))


def _peak_db(peak: float) -> float:
    return 20.0 * math.log10(peak) if peak > 1e-5 else SILENCE_DBFS
