"""What `voxloop calibrate` measured, where `voxloop serve` finds it: one file for each user of a machine."""

import json
import os
import platform
import tempfile
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from voxloop_cloud.bundle import Bundle, store_path
from voxloop_cloud.checksums import CHECKSUM_FILE, sha256_of
from voxloop_proto.errors import ConfigError


class MeasuredCapacity(BaseModel):
    """Streams that this machine bears with a bundle and a number of workers."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    machine: str = Field(description="name and processor of the machine that was measured")
    bundle: str = Field(description="name and version")
    bundle_sha256: str = Field(description="of the bundle's SHA256SUMS")
    workers: int = Field(ge=1)
    cores: int = Field(ge=1, description="cores that the server could use")
    streams: int = Field(ge=1, description="devices that speak at once with the target kept")
    p95_ms: float
    p99_ms: float
    measured: str = Field(description="date and time, UTC")


_File = TypeAdapter(list[MeasuredCapacity])


def capacity_path() -> Path:
    """The file, beside the folder of bundles."""
    return store_path().parent / "capacity.json"


def machine_name() -> str:
    """This machine: a file that travels to another one, in an image say, must not count there."""
    return f"{platform.node()}, {platform.machine()}"


def usable_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0))


def bundle_digest(bundle: Bundle) -> str:
    """Stands for all files of a bundle."""
    return sha256_of(bundle.path / CHECKSUM_FILE)


def measured_capacity(bundle: Bundle, workers: int) -> MeasuredCapacity | None:
    """What was measured for this machine, bundle and number of workers, on as many cores; None if nothing was.

    Raises ConfigError if the file cannot be read.
    """
    wanted = (machine_name(), bundle_digest(bundle), workers, usable_cores())
    found = [each for each in _read() if (each.machine, each.bundle_sha256, each.workers, each.cores) == wanted]
    return found[-1] if found else None


def keep_capacity(new: MeasuredCapacity) -> None:
    """Writes it down, in the place of an older one of the same kind; whole or not at all."""
    key = new.model_dump(include={"machine", "bundle_sha256", "workers", "cores"})
    others = [each for each in _read() if each.model_dump(include=set(key)) != key]
    path = capacity_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile("wb", dir=path.parent, delete=False) as file:
        file.write(_File.dump_json([*others, new], indent=2))
    Path(file.name).replace(path)


def _read() -> list[MeasuredCapacity]:
    path = capacity_path()
    try:
        return _File.validate_python(json.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return []
    except (OSError, ValueError, ValidationError) as error:
        raise ConfigError(
            f"{path} cannot be read as what 'voxloop calibrate' writes; remove it and calibrate again"
        ) from error
