"""The settings of the spool."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

DropRule = Literal["oldest", "newest"]


class SpoolConfig(BaseModel):
    """Where segments are kept on disk until they are answered, and what gives way when there is no more room."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    dir: Path | None = Field(None, description="folder of the spool; without one, segments are kept in memory alone")
    max_bytes: int = Field(
        256 << 20, ge=1 << 16, description="most bytes of speech on disk (256 MiB is two hours of PCM16 speech)"
    )
    when_full: DropRule = Field("oldest", description="which segments are dropped when the spool is full")
