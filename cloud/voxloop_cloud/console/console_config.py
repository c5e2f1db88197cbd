"""The settings of the console."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from voxloop_cloud.store.store_config import StoreConfig
from voxloop_proto.address import is_loopback


class ConsoleConfig(BaseModel):
    """Where the console is, whose state it shows, and who may see it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    listen: str = Field("127.0.0.1:8080", description="address, HOST:PORT; port 0 takes a free one")
    store: StoreConfig = Field(default_factory=StoreConfig)
    metrics: str | None = Field(
        None,
        pattern=r"^https?://",
        description="page of the server's metrics, http://HOST:PORT/metrics; none: no pipeline",
    )
    scrape_s: float = Field(5.0, ge=0.2, le=60.0, description="seconds between looks at the metrics")
    rules: Path | None = Field(None, description="the server's file of alarm rules (TOML); none: those that ship")
    password: Path | None = Field(
        None, description="file of the password; none: console.password in the folder of state, made if it is not there"
    )
    tokens: Path | None = Field(None, description="the server's file of tokens: an admin's signs in, too")
    audit_log: Path | None = Field(
        None, description="file of what people changed here; audit.jsonl beside the tokens if nothing is said"
    )
    session_hours: float = Field(12.0, gt=0, le=720, description="hours after which one signs in again")
    certificate: Path | None = Field(None, description="the console's certificate (PEM)")
    key: Path | None = Field(None, description="the certificate's private key (PEM)")
    behind_proxy: bool = Field(False, description="a proxy in front ends TLS: cookies are for https alone")
    server: str | None = Field(
        None, description="server on this machine that takes plaintext, HOST:PORT: a browser's microphone speaks to it"
    )
    device: Path | None = Field(
        None,
        description="settings of the device that a browser's microphone is, as in 'voxloop listen --config': where the "
        "server asks for TLS or a token",
    )
    microphones: int = Field(4, ge=0, le=64, description="microphones of browsers that may be open at once; 0: none")
    microphone_s: float = Field(300.0, ge=1, le=3_600, description="seconds that one may be open")
    claim_s: float = Field(120.0, ge=5, le=3_600, description="seconds that a reviewer has for a claimed utterance")
    most_waiting: int = Field(1_000, ge=1, description="utterances that may wait for people")

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a certificate and its key belong together; give both or neither")
        if not (is_loopback(self.listen) or self.certificate or self.behind_proxy):
            raise ValueError(
                f"listen = {self.listen} is beyond this machine, where a password must not go in plaintext; give "
                "certificate and key, or behind_proxy if a proxy in front ends TLS"
            )
        if self.server is not None and not is_loopback(self.server):
            raise ValueError(
                f"server = {self.server} is beyond this machine, where speech must not go in plaintext; name the "
                "settings of a device in its place, with the server's address and CA in it"
            )
        if not self.store.is_on:
            raise ValueError("the console shows a server's state; name its folder with --state DIR, or store.url")
        return self

    @property
    def is_https(self) -> bool:
        """Whether browsers speak https to it."""
        return self.certificate is not None or self.behind_proxy
