"""The bundles of this machine: the default one and those that were imported or fetched."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from voxloop_cloud.bundle import Bundle, default_bundle_path, load_bundle, store_path
from voxloop_cloud.bundle_config import NAME_PATTERN
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.sherpa_files import SherpaFiles
from voxloop_cloud.sherpa_import import Label, write_imported_bundle
from voxloop_proto.errors import ConfigError, ContractError


@dataclass(frozen=True, slots=True)
class Shelved:
    """A bundle of this machine, or what is wrong with it. name: what `--bundle` takes."""

    name: str
    path: Path
    size_bytes: int
    outcome: Bundle | ContractError


def verify_bundle(path: Path) -> Bundle:
    """The bundle in a folder, its model opened and tried once. Raises ContractError."""
    bundle = load_bundle(path)
    Recognizer(bundle)
    return bundle


def shelved_bundles() -> list[Shelved]:
    """All bundles of this machine, each looked at whole, but for the inside of its model."""
    found: list[tuple[str, Path]] = []
    with suppress(ConfigError):  # an installation without a default bundle can still have a store
        found.append(("default", default_bundle_path()))
    if store_path().is_dir():
        found += [(path.name, path) for path in sorted(store_path().iterdir()) if re.fullmatch(NAME_PATTERN, path.name)]
    return [Shelved(name, path, _size_bytes(path), _load_or_error(path)) for name, path in found]


def import_bundle(source: Path, name: str | None = None) -> Path:
    """Copies a verified bundle into the store, whole or not at all. name: empty for the bundle's own, with version.

    Raises ContractError if it is wrong, ConfigError if the name is taken or not allowed.
    """
    bundle = verify_bundle(source)
    target = _new_place(name or f"{bundle.config.name}-{bundle.config.version}")
    with workspace() as folder:
        copy = folder / target.name
        shutil.copytree(source, copy)
        load_bundle(copy)  # what was copied, not what was there before
        copy.rename(target)
    return target


def import_model(files: SherpaFiles, label: Label, tell: Callable[[str], None]) -> Path:
    """Puts a bundle of a model that is none yet into the store, under its label's name.

    tell: is told what is worth knowing of the model. Raises as `import_bundle`.
    """
    target = _new_place(label.name)
    with workspace() as folder:
        made = folder / target.name
        write_imported_bundle(files, label, made, tell)
        made.rename(target)
    return target


def _new_place(name: str) -> Path:
    if not re.fullmatch(NAME_PATTERN, name) or name == "default":
        raise ConfigError(
            f"bundle name {name!r}; allowed are letters, digits, '.', '_', '-', at most 64, not 'default'"
        )
    target = store_path() / name
    if target.exists():
        raise ConfigError(
            f"the store has a bundle {name!r} already ({target}); give another --name or remove that folder"
        )
    return target


@contextmanager
def workspace() -> Iterator[Path]:
    """A folder inside the store, gone afterwards; a rename out of it is atomic."""
    store_path().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".incoming-", dir=store_path()) as folder:
        yield Path(folder)


def _size_bytes(path: Path) -> int:
    return sum(entry.stat().st_size for entry in path.iterdir() if entry.is_file()) if path.is_dir() else 0


def _load_or_error(path: Path) -> Bundle | ContractError:
    try:
        return load_bundle(path)
    except ContractError as error:
        return error
