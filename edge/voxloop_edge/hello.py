"""The first message of a session: what the device is, and with which settings it works."""

import uuid

from voxloop_edge.device_config import DeviceConfig
from voxloop_edge.vad import open_vad
from voxloop_proto import __version__
from voxloop_proto.audio import SAMPLE_RATE_HZ
from voxloop_proto.contract import OPUS_PACKET_SAMPLES, SCHEMA_VERSION
from voxloop_proto.errors import ContractError
from voxloop_proto.v1 import voxloop_pb2 as pb


def make_hello(settings: DeviceConfig, device_id: str | None = None, interim_results: bool = False) -> pb.Hello:
    """A Hello for a new session. device_id: instead of the settings' own, for several sessions on one machine.

    Raises ConfigError if the VAD cannot be loaded.
    """
    vad = open_vad(settings.vad)
    return pb.Hello(
        schema_version=SCHEMA_VERSION,
        device_id=device_id or settings.device_id,
        device_kind=settings.device_kind,
        app_version=f"voxloop-edge/{__version__}",
        session_id=uuid.uuid4().hex,
        audio_format=_audio_format(settings),
        vad=pb.VadSettings(kind=vad.kind, version=vad.version, threshold=vad.threshold, frame_ms=settings.vad.frame_ms),
        padding=pb.PaddingSettings(before_ms=settings.padding.before_ms, after_ms=settings.padding.after_ms),
        normalization=pb.NormalizationSettings(
            enabled=settings.normalizer.enabled,
            target_dbfs=settings.normalizer.target_dbfs,
            max_gain_db=settings.normalizer.max_gain_db,
        ),
        consent=pb.Consent(**settings.consent.model_dump()),
        locale=settings.locale,
        hotwords=settings.hotwords,
        interim_results=interim_results,
        hotwords_only=settings.hotwords_only,
    )


def are_hotwords_ignored(hello: pb.Hello, welcome: pb.Welcome) -> bool:
    """True if the server takes no notice of them. Raises ContractError if that makes its text useless."""
    if not hello.hotwords or welcome.hotwords:
        return False
    if hello.hotwords_only:
        raise ContractError(
            "this server cannot limit its text to hotwords; update it, or leave hotwords_only (--only-hotwords) out"
        )
    return True


def _audio_format(settings: DeviceConfig) -> pb.AudioFormat:
    if settings.encoder.codec == "opus":
        return pb.AudioFormat(codec=pb.CODEC_OPUS, sample_rate_hz=SAMPLE_RATE_HZ, packet_samples=OPUS_PACKET_SAMPLES)
    return pb.AudioFormat(codec=pb.CODEC_PCM16, sample_rate_hz=SAMPLE_RATE_HZ)
