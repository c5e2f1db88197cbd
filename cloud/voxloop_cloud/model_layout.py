"""What an ONNX file must look like to be served: NeMo's cache-aware streaming CTC layout, as sherpa-onnx reads it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voxloop_cloud.bundle_config import BundleConfig
from voxloop_proto.errors import ContractError

FLOAT = "tensor(float)"
INT64 = "tensor(int64)"

INPUTS = (
    ("audio_signal", FLOAT, 3),
    ("length", INT64, 1),
    ("cache_last_channel", FLOAT, 4),
    ("cache_last_time", FLOAT, 4),
    ("cache_last_channel_len", INT64, 1),
)
"""Name, type and rank of the inputs, in this order."""

OUTPUTS = (
    ("logprobs", FLOAT, 3),
    ("encoded_lengths", INT64, 1),
    ("cache_last_channel_next", FLOAT, 4),
    ("cache_last_time_next", FLOAT, 4),
    ("cache_last_channel_len_next", INT64, 1),
)
"""Type and rank of the outputs, in this order; their names differ between exporters and are not checked."""

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
) -> CacheShapes:
    """The shapes of the caches, once inputs, outputs and metadata are found to agree with the bundle.

    token_count: lines of tokens.txt, blank included. Raises ContractError.
    """
    _check_metadata(where, metadata, config, token_count)
    one, two, three = (_integer(where, metadata, key) for key in CHANNEL_KEYS)
    first, second, third = (_integer(where, metadata, key) for key in TIME_KEYS)
    shapes = CacheShapes((one, two, three), (first, second, third))
    caches: tuple[tuple[int | None, ...], ...] = ((None, *shapes.channel), (None, *shapes.time))
    if [tensor.name for tensor in inputs] != [name for name, _, _ in INPUTS]:
        raise ContractError(
            f"{where} has the inputs {', '.join(tensor.name for tensor in inputs)}; allowed are "
            f"{', '.join(name for name, _, _ in INPUTS)}, in this order; export it again"
        )
    if len(outputs) != len(OUTPUTS):
        raise ContractError(
            f"{where} has {len(outputs)} outputs; allowed are {len(OUTPUTS)}: "
            f"{', '.join(name for name, _, _ in OUTPUTS)}; export it again"
        )
    signal = (None, config.features.mel_bins, None)
    _check_tensors(f"{where}, input", inputs, INPUTS, (signal, (None,), *caches, (None,)))
    _check_tensors(f"{where}, output", outputs, OUTPUTS, ((None, None, token_count), (None,), *caches, (None,)))
    return shapes


def _check_metadata(where: str, metadata: Mapping[str, str], config: BundleConfig, token_count: int) -> None:
    promised = {
        "window_size": (config.chunk.window_frames, "[chunk] window_frames of bundle.toml"),
        "chunk_shift": (config.chunk.shift_frames, "[chunk] shift_frames of bundle.toml"),
        "subsampling_factor": (config.chunk.subsampling_factor, "[chunk] subsampling_factor of bundle.toml"),
        "vocab_size": (token_count - 1, "the number of lines of tokens.txt, less one for the blank,"),
    }
    for key, (expected, source) in promised.items():
        found = _integer(where, metadata, key)
        if found != expected:
            raise ContractError(
                f"{where} has {key} = {found} in its metadata, but {source} is {expected}; "
                "they must be equal: export model and bundle together"
            )


def _integer(where: str, metadata: Mapping[str, str], key: str) -> int:
    text = metadata.get(key)
    if text is None:
        found = ", ".join(sorted(metadata)) or "nothing"
        raise ContractError(f"{where} lacks {key} in its metadata, which has {found}; export it again")
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ContractError(
            f"{where} has {key} = {text!r} in its metadata; allowed is a number above 0; export it again"
        )
    return int(text)


def _check_tensors(
    where: str,
    found: Sequence[Tensor],
    layout: Sequence[tuple[str, str, int]],
    shapes: Sequence[tuple[int | None, ...]],
) -> None:
    for tensor, (name, kind, rank), shape in zip(found, layout, shapes, strict=True):
        fits = len(tensor.shape) == rank and all(
            wanted is None or not isinstance(size, int) or size == wanted
            for size, wanted in zip(tensor.shape, shape, strict=True)
        )
        if tensor.type != kind or not fits:
            allowed = ", ".join("any" if size is None else str(size) for size in shape)
            raise ContractError(
                f"{where} {tensor.name} is {tensor.type} of shape {list(tensor.shape)}; "
                f"{name} must be {kind} of shape [{allowed}]; export it again"
            )
