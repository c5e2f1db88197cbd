"""The settings of the alarms."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class AlarmsConfig(BaseModel):
    """What is watched, how often, and who is told."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    on: bool = Field(True, description="whether the server watches itself")
    rules: Path | None = Field(
        None, description="file of rules (TOML), read anew when it changes; none: those that ship"
    )
    interval_s: float = Field(5.0, ge=0.1, le=240.0, description="seconds between evaluations")
    instance: str = Field(
        "",
        max_length=64,
        description="this server's name in alarms; none: the machine's. Servers that share a store differ",
    )
    webhook: SecretStr | None = Field(None, description="URL that each alarm is sent to, as JSON by POST; none: nobody")
    webhook_secret: Path | None = Field(None, description="file of what is sent along as 'Authorization: Bearer ...'")
    webhook_timeout_ms: int = Field(5_000, ge=100, le=60_000, description="time that the receiver gets to answer")
