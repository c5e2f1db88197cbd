"""The device's stages, joined: sound in, payloads of speech out."""

import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from voxloop_edge.encoder import EncoderConfig, open_encoder
from voxloop_edge.framer import Framer
from voxloop_edge.normalizer import Normalizer, NormalizerConfig
from voxloop_edge.segmenter import UNLIMITED_MS, Segmenter, SegmenterConfig
from voxloop_edge.vad import VadConfig, VadStage, open_vad
from voxloop_proto.audio import PaddingPolicy
from voxloop_proto.events import Chunk, EncodedEvent
from voxloop_proto.stage import Chain, Stage
from voxloop_proto.telemetry import Observer, observed


class EdgeConfig(BaseModel):
    """All settings of the device's stages."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    vad: VadConfig = Field(VadConfig(), description="what is speech")
    segmenter: SegmenterConfig = Field(SegmenterConfig(), description="when a segment begins, and how long it may be")
    padding: PaddingPolicy = Field(PaddingPolicy(), description="sound left around speech; the same as in training")
    normalizer: NormalizerConfig = Field(NormalizerConfig(), description="the level of speech")
    encoder: EncoderConfig = Field(EncoderConfig(), description="how sound goes over the wire")


def build_pipeline(
    config: EdgeConfig,
    observer: Observer | None = None,
    clock: Callable[[], float] = time.perf_counter,
    most_ms: Callable[[], int] = lambda: UNLIMITED_MS,
) -> Stage[Chunk, EncodedEvent]:
    """framer > vad > segmenter > normalizer > encoder; an observer is told the time of each, by the clock.

    most_ms: the longest segment that the server takes, as far as it is known; asked at the beginning of each.
    Raises ConfigError if a stage cannot work with its settings or its library is missing.
    """

    def timed(name: str, stage: Stage[Any, Any]) -> Stage[Any, Any]:
        return observed(stage, name, observer, clock) if observer else stage

    return Chain(
        timed("framer", Framer(config.vad.frame_ms)),
        timed("vad", VadStage(open_vad(config.vad))),
        timed("segmenter", Segmenter(config.segmenter, config.padding, config.vad.frame_ms, most_ms)),
        timed("normalizer", Normalizer(config.normalizer)),
        timed("encoder", open_encoder(config.encoder)),
    )
