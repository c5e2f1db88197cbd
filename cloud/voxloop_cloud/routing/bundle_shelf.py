"""Finds a bundle of this machine by its key, and says whether it may answer people."""

import json
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from voxloop_cloud.bundle import AUDIT_FILE, CONFIG_FILE, Bundle, default_bundle_path, store_path
from voxloop_proto.errors import ConfigError


def find_keyed(key: str) -> Path:
    """The folder of a bundle NAME@VERSION, the default one or of the store. Raises ConfigError that lists them.

    Only bundle.toml is looked at: whoever loads it verifies it.
    """
    found = dict(_keyed_folders())
    if key not in found:
        raise ConfigError(
            f"no bundle {key} on this machine; here are {', '.join(sorted(found)) or 'none'}, in {store_path()} and "
            "the installation; put it there with 'voxloop models import' on every machine that serves"
        )
    return found[key]


def keys_here() -> list[str]:
    """All bundles of this machine, by their bundle.toml alone."""
    return sorted(dict(_keyed_folders()))


def is_audited(bundle: Bundle) -> bool:
    """Whether its audit.json says that it passed. One that was imported has none to show."""
    audit = json.loads((bundle.path / AUDIT_FILE).read_text(encoding="utf-8"))
    return audit.get("passed") is True


def _keyed_folders() -> Iterator[tuple[str, Path]]:
    folders = sorted(store_path().iterdir()) if store_path().is_dir() else []
    with suppress(ConfigError):  # an installation without a default bundle can still have a store
        folders.append(default_bundle_path())
    for folder in folders:
        with suppress(OSError, ValueError, KeyError):  # no bundle, or one that is being written
            values = tomllib.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))
            yield f"{values['name']}@{values['version']}", folder
