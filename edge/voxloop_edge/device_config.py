"""All settings of a device: its stages, and how it speaks to the cloud."""

import platform
import re
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from voxloop_edge.client_config import ClientConfig
from voxloop_edge.metrics.metrics_config import MetricsConfig
from voxloop_edge.pipeline import EdgeConfig
from voxloop_edge.spool_config import SpoolConfig

_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def _own_kind() -> str:
    return _NOT_IN_A_NAME.sub("-", f"{platform.system()}-{platform.machine()}".lower())[:64]


def _own_name() -> str:
    return _NOT_IN_A_NAME.sub("-", platform.node())[:64] or "device"


class ConsentConfig(BaseModel):
    """What the user allows; all refused unless said otherwise."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    keep_audio: bool = Field(False, description="the cloud may keep the sound")
    keep_text: bool = Field(False, description="the cloud may keep the text")
    train: bool = Field(False, description="models may be trained on what is kept")
    terms_version: str = Field("", description="the wording that the user agreed to")


class DeviceConfig(EdgeConfig):
    """The settings of `voxloop listen` and `voxloop replay`."""

    device_id: str = Field(
        default_factory=_own_name,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="stable name of this device: 1 to 64 letters, digits, '.', '_', '-'",
    )
    device_kind: str = Field(
        default_factory=_own_kind,
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="what it is, such as raspberry-pi-5: a slice of the server's figures",
    )
    locale: str = Field("en-US", description="language spoken, BCP 47")
    hotwords: tuple[str, ...] = Field((), description="words or phrases that are likely")
    hotwords_only: bool = Field(False, description="nothing but the hotwords is said")
    consent: ConsentConfig = Field(default_factory=ConsentConfig)
    client: ClientConfig = Field(default_factory=ClientConfig)
    spool: SpoolConfig = Field(default_factory=SpoolConfig)
    metrics: MetricsConfig = Field(default_factory=MetricsConfig)
    transcripts: Path | None = Field(None, description="journal of transcripts, a JSON line each (listen and upload)")

    @field_validator("hotwords_only")
    @classmethod
    def _only_what_is_given(cls, only: bool, info: ValidationInfo) -> bool:
        if only and not info.data.get("hotwords"):
            raise ValueError("needs hotwords; give them in the settings, or with --hotwords FILE")
        return only
