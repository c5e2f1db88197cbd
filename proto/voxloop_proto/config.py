"""Reads a program's settings from defaults, a TOML file, the environment and flags, the later ones winning."""

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from voxloop_proto.errors import ConfigError

_SECRET_WORDS = ("token", "secret", "password")
Settings = TypeVar("Settings", bound=BaseModel)


def read_settings(
    model: type[Settings],
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    flags: Mapping[str, object] | None = None,
    prefix: str = "VOXLOOP_",
) -> Settings:
    """One program's settings.

    file: TOML; environment: VOXLOOP_VAD__AGGRESSIVENESS=3 sets vad.aggressiveness (two underscores go one level
    down; a name without them is a setting only if the model has it); flags: dotted names, None meaning "not given".

    Raises ConfigError that names the dotted field, the value found and what is allowed.
    """
    values: dict[str, Any] = _read_toml(file) if file else {}
    for path, text in _read_environment(model, environment or {}, prefix):
        _put(values, path, text)
    for name, value in (flags or {}).items():
        if value is not None:
            _put(values, name.split("."), value)
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise ConfigError(_explain(model, error)) from error


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no settings file {file}; give an existing TOML file or leave --config out") from None
    except OSError as error:
        raise ConfigError(f"cannot read settings file {file}: {error.strerror}; give a TOML file") from error
    except (ValueError, RecursionError) as error:  # the latter of thousands of brackets
        raise ConfigError(f"{file} is not TOML: {error}") from error


def _read_environment(
    model: type[BaseModel], environment: Mapping[str, str], prefix: str
) -> Iterator[tuple[list[str], str]]:
    """The settings among the variables. Names such as VOXLOOP_VENV, of one part, may be other programs' own."""
    for name, text in environment.items():
        if not name.startswith(prefix):
            continue
        path = name.removeprefix(prefix).lower().split("__")
        if path[0] in model.model_fields:
            yield path, text
        elif len(path) > 1:
            groups = ", ".join(sorted(field for field in model.model_fields if _group(model, field)))
            raise ConfigError(
                f"unknown setting {name}={_shown(path, text)}: no group {path[0]!r}; groups here: {groups}"
            )


def _group(model: type[BaseModel], name: str) -> type[BaseModel] | None:
    """The model of a group of settings; None if there is no such group."""
    field = model.model_fields.get(name)
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _put(values: dict[str, Any], path: list[str], value: object) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise ConfigError(f"setting {'.'.join(path)}: {part} is a value, not a group of settings")
    values[path[-1]] = value


def _explain(model: type[BaseModel], error: ValidationError) -> str:
    lines = []
    for found in error.errors():
        path = [str(part) for part in found["loc"]]
        name, said = ".".join(path), found["msg"].removeprefix("Value error, ")
        if found["type"] == "extra_forbidden":
            allowed = ", ".join(sorted(_fields_at(model, path[:-1])))
            lines.append(f"unknown setting {name} = {_shown(path, found['input'])}; allowed here: {allowed}")
        elif not path:  # of the settings as a whole
            lines.append(said)
        else:
            shown = _shown(path, found["input"])
            lines.append(f"setting {name} = {shown}: {said}{_description(model, path)}")
    return "\n".join(lines)


def _shown(path: list[str], value: object) -> str:
    """A value as an error shows it; not if it may be a secret, or hold one. Errors end up in logs."""
    is_secret = any(word in part.lower() for part in path for word in _SECRET_WORDS)
    return "(not shown)" if is_secret or isinstance(value, dict) else repr(value)


def _fields_at(model: type[BaseModel], path: list[str]) -> set[str]:
    for part in path:
        group = _group(model, part)
        if group is None:
            return set()
        model = group
    return set(model.model_fields)


def _description(model: type[BaseModel], path: list[str]) -> str:
    for part in path[:-1]:
        group = _group(model, part)
        if group is None:
            return ""
        model = group
    field = model.model_fields.get(path[-1])
    return f" ({field.description})" if field and field.description else ""
