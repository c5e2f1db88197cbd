"""What an ONNX file must look like to be served: NeMo's CTC layouts, as sherpa-onnx reads them.

Streaming, cache-aware: features, their length and three caches in; log-probabilities, their length and the next caches
out. Offline: features and their length in; log-probabilities out, and perhaps their length.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voxloop_cloud.bundle_config import BundleConfig, ChunkConfig
from voxloop_proto.errors import ContractError

FLOAT = "tensor(float)"
INT64 = "tensor(int64)"

_Entry = tuple[str, str | None, int]

INPUTS: tuple[_Entry, ...] = (
    ("audio_signal", FLOAT, 3),
    ("length", INT64, 1),
    ("cache_last_channel", FLOAT, 4),
    ("cache_last_time", FLOAT, 4),
    ("cache_last_channel_len", INT64, 1),
)
"""Name, type and rank of the inputs, in this order."""

OUTPUTS: tuple[_Entry, ...] = (
    ("logprobs", FLOAT, 3),
    ("encoded_lengths", None, 1),
    ("cache_last_channel_next", FLOAT, 4),
    ("cache_last_time_next", FLOAT, 4),
    ("cache_last_channel_len_next", INT64, 1),
)
"""Type and rank of the outputs, in this order; their names differ between exporters and are not checked. Nor is the
type of the lengths, which nobody reads."""

OFFLINE_TENSORS = 2
"""An offline model has the first two inputs, and one or both of the first two outputs."""

CHANNEL_KEYS = ("cache_last_channel_dim1", "cache_last_channel_dim2", "cache_last_channel_dim3")
TIME_KEYS = ("cache_last_time_dim1", "cache_last_time_dim2", "cache_last_time_dim3")


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output as the model declares it; a dimension that isn't a number is free."""

    name: str
    type: str
    shape: tuple[int | str | None, ...]


@dataclass(frozen=True, slots=True)
class CacheShapes:
    """The caches of one stream, without the batch axis. channel: (L, C, D); time: (L, D, K)."""

    channel: tuple[int, int, int]
    time: tuple[int, int, int]


def check_layout(
    *,
    where: str,
    inputs: Sequence[Tensor],
    outputs: Sequence[Tensor],
    metadata: Mapping[str, str],
    config: BundleConfig,
    token_count: int,
) -> CacheShapes | None:
    """The shapes of the caches, None of an offline model, once inputs, outputs and metadata are found to agree with the
    bundle.

    token_count: lines of tokens.txt, blank included. Raises ContractError.
    """
    shapes: CacheShapes | None = None
    caches: tuple[tuple[int | None, ...], ...] = ()
    if config.chunk is None:
        layout_in, layout_out = INPUTS[:OFFLINE_TENSORS], OUTPUTS[: min(max(1, len(outputs)), OFFLINE_TENSORS)]
        promised = {"subsampling_factor": _subsampling(config)}
    else:
        shapes = read_cache_shapes(where, metadata)
        caches = ((None, *shapes.channel), (None, *shapes.time), (None,))
        layout_in, layout_out, promised = INPUTS, OUTPUTS, _promised(config, config.chunk, token_count)
    _check_metadata(where, metadata, promised)
    _check_names(where, inputs, layout_in, outputs, layout_out)
    _check_tensors(f"{where}, input", inputs, layout_in, ((None, config.features.mel_bins, None), (None,), *caches))
    _check_tensors(f"{where}, output", outputs, layout_out, ((None, None, token_count), (None,), *caches))
    return shapes


def read_cache_shapes(where: str, metadata: Mapping[str, str]) -> CacheShapes:
    """The shapes of the caches as the metadata has them. Raises ContractError."""
    one, two, three = (read_integer(where, metadata, key) for key in CHANNEL_KEYS)
    first, second, third = (read_integer(where, metadata, key) for key in TIME_KEYS)
    return CacheShapes((one, two, three), (first, second, third))


def _subsampling(config: BundleConfig) -> tuple[int, str]:
    table = "chunk" if config.chunk else "whole"
    return config.windows.subsampling_factor, f"[{table}] subsampling_factor of bundle.toml"


def _promised(config: BundleConfig, chunk: ChunkConfig, token_count: int) -> dict[str, tuple[int, str]]:
    return {
        "window_size": (chunk.window_frames, "[chunk] window_frames of bundle.toml"),
        "chunk_shift": (chunk.shift_frames, "[chunk] shift_frames of bundle.toml"),
        "subsampling_factor": _subsampling(config),
        "vocab_size": (token_count - 1, "the number of lines of tokens.txt, less one for the blank,"),
    }


def _check_metadata(where: str, metadata: Mapping[str, str], promised: Mapping[str, tuple[int, str]]) -> None:
    for key, (expected, source) in promised.items():
        found = read_integer(where, metadata, key)
        if found != expected:
            raise ContractError(
                f"{where} has {key} = {found} in its metadata, but {source} is {expected}; "
                "they must be equal: export model and bundle together"
            )


def read_integer(where: str, metadata: Mapping[str, str], key: str) -> int:
    """A number above 0 of the metadata. Raises ContractError."""
    text = metadata.get(key)
    if text is None:
        found = ", ".join(sorted(metadata)) or "nothing"
        raise ContractError(f"{where} lacks {key} in its metadata, which has {found}; export it again")
    if not (re.fullmatch(r"[0-9]{1,9}", text) and int(text) > 0):
        raise ContractError(
            f"{where} has {key} = {text!r} in its metadata; allowed is a number above 0; export it again"
        )
    return int(text)


def _check_names(
    where: str,
    inputs: Sequence[Tensor],
    layout_in: Sequence[_Entry],
    outputs: Sequence[Tensor],
    layout_out: Sequence[_Entry],
) -> None:
    if [tensor.name for tensor in inputs] != [name for name, _, _ in layout_in]:
        raise ContractError(
            f"{where} has the inputs {', '.join(tensor.name for tensor in inputs)}; allowed are "
            f"{', '.join(name for name, _, _ in layout_in)}, in this order; export it again"
        )
    if len(outputs) != len(layout_out):
        raise ContractError(
            f"{where} has {len(outputs)} outputs; allowed are {len(layout_out)}: "
            f"{', '.join(name for name, _, _ in layout_out)}; export it again"
        )


def _check_tensors(
    where: str, found: Sequence[Tensor], layout: Sequence[_Entry], shapes: Sequence[tuple[int | None, ...]]
) -> None:
    for tensor, (name, kind, rank), shape in zip(found, layout, shapes, strict=False):
        fits = len(tensor.shape) == rank and all(
            wanted is None or not isinstance(size, int) or size == wanted
            for size, wanted in zip(tensor.shape, shape, strict=True)
        )
        if kind not in (None, tensor.type) or not fits:
            allowed = ", ".join("any" if size is None else str(size) for size in shape)
            raise ContractError(
                f"{where} {tensor.name} is {tensor.type} of shape {list(tensor.shape)}; "
                f"{name} must be {kind or 'numbers'} of shape [{allowed}]; export it again"
            )
