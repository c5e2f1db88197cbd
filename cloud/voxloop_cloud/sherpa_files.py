"""Finds a model as sherpa-onnx publishes one: an ONNX file, tokens.txt, and whatever lies beside them."""

import mmap
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from voxloop_cloud.bundle import BLANK, TOKENS_FILE
from voxloop_cloud.decoder import SPACE
from voxloop_proto.errors import ConfigError, ContractError

MODEL_NAMES = ("model.onnx", "model.int8.onnx")
"""What the one model of a folder is called; the first is taken where both are."""

BLANK_NAMES = (BLANK, "<blank>", "<eps>")
_EXTERNAL_SUFFIXES = (".data", ".weights", ".bin")
_ALLOWED = (
    f"a bundle has SHA256SUMS, a model as sherpa-onnx publishes one {' or '.join(MODEL_NAMES)}, and {TOKENS_FILE}"
)
_QUANTIZATIONS = (
    (b"DynamicQuantizeLinear", "int8-dynamic"),
    (b"DequantizeLinear", "int8-static"),
    (b"QLinear", "int8-static"),
    (b"MatMulNBits", "nbits"),
)
"""Operators, and what a model that has them is called; the first that fits counts."""


@dataclass(frozen=True, slots=True)
class SherpaFiles:
    """A model's files. external: weights that the ONNX file names instead of holding them."""

    model: Path
    tokens: Path
    external: tuple[Path, ...]


def find_sherpa_files(source: Path, tokens: Path | None = None) -> SherpaFiles:
    """The files of a model: from its ONNX file, or from the folder that has it. tokens: if they lie elsewhere.

    Raises ConfigError that says what was found and what is allowed.
    """
    model = source if source.is_file() else _model_in(source)
    tokens = tokens or model.with_name(TOKENS_FILE)
    if not tokens.is_file():
        raise ConfigError(f"{model} has no {tokens.name} beside it ({tokens}); give the file with --tokens")
    with _mapped(model) as content:
        external = tuple(
            each
            for each in sorted(model.parent.iterdir())
            if each.suffix in _EXTERNAL_SUFFIXES and content.find(each.name.encode()) >= 0
        )
    return SherpaFiles(model, tokens, external)


def quantization_of(model: Path) -> str:
    """How an ONNX file's weights are stored, told by its operators: "none" if nothing in it quantizes."""
    with _mapped(model) as content:
        return next((name for operator, name in _QUANTIZATIONS if content.find(operator) >= 0), "none")


def read_sherpa_tokens(file: Path) -> tuple[str, ...]:
    """The tokens by id, in a bundle's writing: a space is ▁, and the blank <blk>.

    Each line has a token and its id; one with an id alone is the space, as sherpa-onnx reads it. Raises ContractError.
    """
    try:
        lines = file.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ContractError(f"{file} is not UTF-8 text ({error}); allowed is a line '<token> <id>' for each") from error
    tokens: dict[int, str] = {}
    for number, line in enumerate(lines, start=1):
        token, separator, identifier = line.rstrip("\r").replace("\t", " ").rpartition(" ")
        if not line.strip():
            continue
        if not (identifier.isascii() and identifier.isdigit()) or int(identifier) in tokens:
            raise ContractError(f"{file}, line {number}, is {line!r}; allowed is '<token> <id>', each id once")
        tokens[int(identifier)] = (token.strip(" ") if separator else "") or SPACE
    if not tokens or max(tokens) != len(tokens) - 1:
        raise ContractError(f"{file} has {len(tokens)} ids up to {max(tokens, default=0)}; allowed are all from 0 on")
    *others, last = (tokens[identifier] for identifier in range(len(tokens)))
    if last not in BLANK_NAMES:
        blanks = [f"{token} as {identifier}" for identifier, token in tokens.items() if token in BLANK_NAMES]
        raise ContractError(
            f"{file} ends in {last!r} and has {' and '.join(blanks) or 'no blank'}; "
            f"in NeMo's layouts the blank ({', '.join(BLANK_NAMES)}) has the last id; others are not served"
        )
    return (*others, BLANK)


def _model_in(folder: Path) -> Path:
    if not folder.is_dir():
        raise ConfigError(f"{folder} is no file and no folder; {_ALLOWED}")
    found = [each.name for each in sorted(folder.iterdir())]
    for name in MODEL_NAMES:
        if name in found:
            return folder / name
    models = [name for name in found if name.endswith(".onnx")]
    if len(models) == 1:
        return folder / models[0]
    if models:
        raise ConfigError(
            f"{folder} has {', '.join(models)}; a CTC model is one file: if it is one of these, give its path; "
            "transducers and other models of several files are not served"
        )
    raise ConfigError(f"{folder} has {', '.join(found) or 'nothing'}; {_ALLOWED}")


@contextmanager
def _mapped(file: Path) -> Iterator[mmap.mmap]:
    if not file.stat().st_size:
        raise ContractError(f"{file} is empty; get it again")
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield content
