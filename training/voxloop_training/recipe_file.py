"""Recipes as TOML files."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from voxloop_proto.errors import ConfigError

_Recipe = TypeVar("_Recipe", bound=BaseModel)


def read_recipe(path: Path, kind: type[_Recipe]) -> _Recipe:
    """A recipe of a kind; raises ConfigError that names each field at fault."""
    try:
        return kind.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"cannot read recipe {path}: {error}") from error
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}, got {e['input']!r}" for e in error.errors())
        raise ConfigError(f"recipe {path}: {faults}") from error
