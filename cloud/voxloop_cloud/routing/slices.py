"""What utterances are told apart by: the device's kind, its VAD, its program and its language."""

from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_proto.v1 import voxloop_pb2 as pb


@dataclass(frozen=True, slots=True)
class Slices:
    """An utterance's value in each way of slicing, by the columns' names; empty where the device does not say."""

    device_kind: str = ""
    vad_kind: str = ""
    app_version: str = ""
    locale: str = ""

    @classmethod
    def of(cls, hello: pb.Hello) -> Self:
        """Those of a session."""
        return cls(hello.device_kind, hello.vad.kind, hello.app_version, hello.locale)


class Slice(BaseModel):
    """A part of all utterances: those that have each of the values that are given."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device_kind: str | None = Field(None, max_length=128, description='as in Hello, say "raspberry-pi-5"')
    vad_kind: str | None = Field(None, max_length=64, description='"webrtc", "onnx" or "none"')
    app_version: str | None = Field(None, max_length=128, description='as in Hello, say "voxloop-edge/0.1.0"')
    locale: str | None = Field(None, max_length=64, description='BCP 47, say "en-US"')

    @model_validator(mode="after")
    def _check_not_all(self) -> Self:
        if not self.given:
            raise ValueError("a slice names at least one of device_kind, vad_kind, app_version, locale")
        return self

    @property
    def given(self) -> dict[str, str]:
        """The values, by the columns' names."""
        return {name: value for name, value in self if value is not None}

    def holds(self, slices: Slices) -> bool:
        """Whether an utterance is in it."""
        return all(getattr(slices, name) == value for name, value in self.given.items())

    def __str__(self) -> str:
        return " ".join(f"{name}={value}" for name, value in self.given.items())
