"""What `voxloop evaluate --json` writes."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from voxloop_edge.report import Percentiles
from voxloop_training.evaluation.bootstrap import Unit
from voxloop_training.evaluation.calibration import Calibration
from voxloop_training.evaluation.confusions import ConfusionTable

Mode = Literal["streaming", "offline"]


class ErrorFigures(BaseModel):
    """Errors of some clips. Ratios are None where the references have no words, bounds where clips are too few.

    wer_low, wer_high: 95 % interval, by the bootstrap over `interval_unit`.
    """

    model_config = ConfigDict(frozen=True)

    clips: int
    words: int
    errors: int
    wer: float | None
    wer_low: float | None
    wer_high: float | None
    interval_unit: Unit


class SliceFigures(ErrorFigures):
    """Errors of one slice. few_words: too few for its rate to say much."""

    few_words: bool


class UtteranceFigures(BaseModel):
    """One clip. reference: None if nobody has written down what it says. error: why it could not be heard."""

    model_config = ConfigDict(frozen=True)

    id: str
    speaker: str | None
    reference: str | None
    hypothesis: str
    words: int
    errors: int
    audio_s: float
    snr_db: float | None
    error: str | None


class SetFigures(ErrorFigures):
    """All of one set, heard by one system.

    clips: those that were heard; scored_clips: those of them whose text is known and that did not fail.
    clips_left_out: of the manifest, by --where and --clips. hotwords: phrases that the device named.
    null_ratio: share of the clips in which no word was heard. heard_words: in all clips, references or not.
    cpu_s_per_audio_s: streaming: of the server's whole process; offline: of recognition alone.
    edge_cpu_s_per_audio_s: of the device's stages, without its gRPC client; None offline.
    real_time_factor: wall time by audio time, of the run at full speed, several clips at a time.
    latency_ms: from the sending of a segment's end to the arrival of its transcript, user_latency_ms the same from the
    last voiced sample; of latency_clips clips that were played once more, in real time.
    slices: by dimension and value; in each dimension every scored clip is in exactly one.
    """

    scored_clips: int
    clips_left_out: int
    failed: int
    speakers: int
    hotwords: int
    hotwords_only: bool
    substitutions: int
    deletions: int
    insertions: int
    heard_words: int
    cer: float | None
    clips_right_ratio: float | None
    clips_right_low: float | None
    clips_right_high: float | None
    null_ratio: float
    audio_s: float
    cpu_s_per_audio_s: float | None
    edge_cpu_s_per_audio_s: float | None
    real_time_factor: float | None
    latency_clips: int
    latency_ms: Percentiles
    user_latency_ms: Percentiles
    slices: dict[str, dict[str, SliceFigures]]
    calibration: Calibration | None
    word_confusions: ConfusionTable
    phone_confusions: ConfusionTable | None
    utterances: list[UtteranceFigures]


class SystemFigures(BaseModel):
    """What was evaluated. look_ahead_ms: most sound that a text waits for; None: it waits for the segment's end.

    ready_s: from the server's start until it listens (offline: to load the model).
    """

    model_config = ConfigDict(frozen=True)

    label: str
    bundle: str
    version: str
    mode: Mode
    tokens: str
    quantization: str
    parameters: int
    look_ahead_ms: float | None
    bundle_bytes: int
    ready_s: float | None


class DifferenceFigures(BaseModel):
    """WER minus that of the first system on the same clips, with its interval (paired bootstrap).

    clips: those that both heard. better_share: of the resamples, those in which it is lower.
    """

    model_config = ConfigDict(frozen=True)

    clips: int
    wer: float
    wer_low: float
    wer_high: float
    better_share: float


class ComparedFigures(BaseModel):
    """A further system, and by set how it differs from the first."""

    model_config = ConfigDict(frozen=True)

    system: SystemFigures
    sets: dict[str, SetFigures]
    differences: dict[str, DifferenceFigures]


class EvaluationReport(BaseModel):
    """One evaluation: of `system`, and of those that it is compared with.

    complete: false if it was broken off; it then holds the sets that were done.
    """

    model_config = ConfigDict(frozen=True)

    voxloop_version: str
    started: str
    machine: str
    complete: bool
    where: list[str]
    clips_per_set: int | None
    seed: int
    resamples: int
    system: SystemFigures
    sets: dict[str, SetFigures]
    compared: list[ComparedFigures]
