"""A bundle: a model with all that is needed to serve it, in one folder, loaded only if it is whole."""

import json
import os
import re
import tomllib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from voxloop_cloud.bundle_config import NAME_PATTERN, BundleConfig
from voxloop_cloud.checksums import CHECKSUM_FILE, verify_checksums, write_checksums
from voxloop_cloud.graph import GRAPH_FILE, LEXICON_FILE
from voxloop_proto.errors import ConfigError, ContractError

__all__ = [
    "AUDIT_FILE",
    "BUNDLE_FILES",
    "CONFIG_FILE",
    "GRAPH_FILES",
    "MODEL_FILE",
    "REFERENCE_FILE",
    "TOKENS_FILE",
    "Bundle",
    "BundleConfig",
    "default_bundle_path",
    "find_bundle",
    "load_bundle",
    "store_path",
    "write_checksums",
]

MODEL_FILE = "model.onnx"
TOKENS_FILE = "tokens.txt"
CONFIG_FILE = "bundle.toml"
REFERENCE_FILE = "reference.json"
AUDIT_FILE = "audit.json"
BUNDLE_FILES = (MODEL_FILE, TOKENS_FILE, CONFIG_FILE, REFERENCE_FILE, AUDIT_FILE)
"""Every bundle has these, and SHA256SUMS."""

GRAPH_FILES = (GRAPH_FILE, LEXICON_FILE)
"""A bundle whose tokens are phones has these, too."""

BLANK = "<blk>"
STORE_VARIABLE = "VOXLOOP_BUNDLES"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A folder that was found to be whole. tokens: by id, the blank included and last."""

    path: Path
    config: BundleConfig
    tokens: tuple[str, ...]
    blank_id: int

    @property
    def key(self) -> str:
        """NAME@VERSION, as policies, tables and metrics have it."""
        return f"{self.config.name}@{self.config.version}"

    @property
    def label(self) -> str:
        """Name and version, as messages have them."""
        return f"{self.config.name} {self.config.version}"


def load_bundle(path: Path) -> Bundle:
    """The bundle in a folder, with all but the ONNX file's inside verified, which Recognizer does.

    Raises ContractError that says what is wrong, what is allowed and what to do.
    """
    present = verify_checksums(path)
    for name in BUNDLE_FILES:
        if name not in present:
            raise ContractError(
                f"{path} lacks {name}; a bundle has {', '.join((*BUNDLE_FILES, CHECKSUM_FILE))}; export it again"
            )
    config = _read_config(path / CONFIG_FILE)
    _check_graph(path, config, present)
    tokens = _read_tokens(path / TOKENS_FILE, repeats=config.tokens == "bpe")
    for name in (REFERENCE_FILE, AUDIT_FILE):
        _check_json(path / name)
    return Bundle(path, config, tokens, blank_id=len(tokens) - 1)


def default_bundle_path() -> Path:
    """Where the bundle lies that is part of the package. Raises ConfigError if it isn't there."""
    path = Path(__file__).parent / "bundles" / "default"
    if not (path / CHECKSUM_FILE).is_file():
        raise ConfigError(
            f"this installation has no default bundle ({path}); give one with --bundle, "
            "or fetch one with: voxloop models fetch URL --sha256 HEX"
        )
    return path


def store_path() -> Path:
    """The folder of the bundles that were imported or fetched: $VOXLOOP_BUNDLES, or one in the user's home."""
    chosen = os.environ.get(STORE_VARIABLE)
    return Path(chosen) if chosen else Path.home() / ".local" / "share" / "voxloop" / "bundles"


def find_bundle(name_or_path: str | None) -> Path:
    """The folder of a bundle, from a path, a name in the store, or None for the default one. Raises ConfigError."""
    if name_or_path is None or name_or_path == "default":
        return default_bundle_path()
    stored = store_path() / name_or_path
    if re.fullmatch(NAME_PATTERN, name_or_path) and stored.is_dir():
        return stored
    if Path(name_or_path).is_dir():
        return Path(name_or_path)
    names = sorted(entry.name for entry in store_path().iterdir()) if store_path().is_dir() else []
    raise ConfigError(
        f"no bundle {name_or_path!r}: neither a folder nor a name in the store {store_path()}, "
        f"which has {', '.join(names) or 'none'}; see: voxloop models list"
    )


def _read_config(file: Path) -> BundleConfig:
    try:
        values = tomllib.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{file} is not TOML ({error}); export the bundle again") from error
    try:
        return BundleConfig.model_validate(values)
    except ValidationError as error:
        found = "; ".join(_explain(each) for each in error.errors())
        raise ContractError(f"{file}: {found}; correct the exporter, or get a bundle of format 1") from error


def _check_graph(path: Path, config: BundleConfig, present: frozenset[str]) -> None:
    """That it has a graph if its decoder needs one; the inside is the decoder's to verify."""
    for name in GRAPH_FILES:
        if config.tokens == "phones" and name not in present:
            raise ContractError(
                f"{path} lacks {name}, and its tokens are phones, which {' and '.join(GRAPH_FILES)} turn into words; "
                "export the bundle with a graph"
            )


def _explain(found: Any) -> str:  # pydantic's ErrorDetails
    name = ".".join(str(part) for part in found["loc"]) or "as a whole"
    if found["type"] == "missing":
        return f"{name} is missing"
    if found["type"] == "extra_forbidden":
        return f"{name} is not a known key"
    value = "" if isinstance(found["input"], dict) else f" = {found['input']!r}"
    return f"{name}{value}: {found['msg']}"


def _read_tokens(file: Path, repeats: bool) -> tuple[str, ...]:
    """repeats: allowed for word pieces, as models of several languages have each language's own."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ContractError(f"{file} is not UTF-8 text ({error}); export the bundle again") from error
    tokens: list[str] = []
    for number, line in enumerate(lines):
        token, _, identifier = line.rpartition(" ")
        if not token or identifier != str(number):
            raise ContractError(
                f"{file}, line {number + 1}, is {line!r}; allowed is '<token> {number}'; export the bundle again"
            )
        tokens.append(token)
    repeated = sorted(token for token, count in Counter(tokens).items() if count > 1)
    if repeated and not repeats:
        raise ContractError(f"{file} has {repeated} more than once; each token has one line; export the bundle again")
    if len(tokens) < 2 or tokens[-1] != BLANK:
        last = tokens[-1] if tokens else "nothing"
        raise ContractError(f"{file} ends in {last!r}; the last token must be {BLANK}; export the bundle again")
    return tuple(tokens)


def _check_json(file: Path) -> None:
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ContractError(f"{file} is not JSON ({error}); export the bundle again") from error
    if not isinstance(value, dict):
        raise ContractError(f"{file} holds a {type(value).__name__}; allowed is an object; export the bundle again")
