"""Models of random numbers as sherpa-onnx publishes them, made in a moment: a folder with model.onnx and tokens.txt.

Needs the `onnx` package (extra `training`), which the server itself does not.
"""

from pathlib import Path

from voxloop_cloud.bundle import BLANK, TOKENS_FILE
from voxloop_cloud.decoder import SPACE
from voxloop_cloud.sherpa_files import MODEL_NAMES
from voxloop_cloud.tiny_model import CHANNEL_FRAMES, LAYERS, TIME_FRAMES, WIDTH, draw_weights, write_tiny_model
from voxloop_cloud.tiny_offline_model import write_tiny_offline_model

PIECES = (
    "<unk>",
    *(f"{SPACE}{word}" for word in ("the", "a", "to", "s", "be", "light", "what", "in")),
    *("s", "t", "ing", "e", "er", "on", "er's", "n", "day", "o"),
    SPACE,
)
"""Word pieces, without the blank."""

LETTERS = (" ", *"abcdefghijklmnopqrstuvwxyz'")
"""Characters as NeMo has them, the space as such, without the blank."""


def tiny_streaming_model(
    folder: Path,
    seed: int = 0,
    *,
    tokens: tuple[str, ...] = PIECES,
    window_frames: int = 17,
    shift_frames: int = 8,
    normalize_type: str = "",
) -> Path:
    """Fills a folder with a streaming CTC model; the window's size and shift are those of a FastConformer with 80 ms of
    latency. 65 and 56 are of one with 480 ms, 121 and 112 of one with 1040 ms."""
    subsampling_factor = 8
    metadata: dict[str, int | str] = {
        "vocab_size": len(tokens),
        "window_size": window_frames,
        "chunk_shift": shift_frames,
        "normalize_type": normalize_type,
        **{f"cache_last_channel_dim{i}": size for i, size in enumerate((LAYERS, CHANNEL_FRAMES, WIDTH), start=1)},
        **{f"cache_last_time_dim{i}": size for i, size in enumerate((LAYERS, WIDTH, TIME_FRAMES), start=1)},
        "subsampling_factor": subsampling_factor,
        "model_type": "EncDecHybridRNNTCTCBPEModel",
        "url": "https://example.org/tiny-streaming",
    }
    overlap_frames = window_frames - shift_frames
    weights = draw_weights(seed, overlap_frames, subsampling_factor, len(tokens) + 1)
    _write_tokens(folder, tokens)
    write_tiny_model(folder / MODEL_NAMES[0], weights, metadata, overlap_frames, subsampling_factor)
    return folder


def tiny_offline_model(
    folder: Path,
    seed: int = 0,
    *,
    tokens: tuple[str, ...] = PIECES,
    normalize_type: str = "per_feature",
    with_lengths: bool = False,
) -> Path:
    """Fills a folder with an offline CTC model."""
    subsampling_factor = 8
    metadata: dict[str, int | str] = {
        "vocab_size": len(tokens),
        "normalize_type": normalize_type,
        "subsampling_factor": subsampling_factor,
        "model_type": "EncDecHybridRNNTCTCBPEModel",
    }
    _write_tokens(folder, tokens)
    write_tiny_offline_model(folder / MODEL_NAMES[0], seed, metadata, subsampling_factor, len(tokens) + 1, with_lengths)
    return folder


def quantize(folder: Path) -> Path:
    """Puts model.int8.onnx in the place of model.onnx, made as sherpa-onnx's exporters make it."""
    from onnxruntime.quantization import QuantType, quantize_dynamic  # noqa: PLC0415 (needs onnx)

    exact, quantized = (folder / name for name in MODEL_NAMES)
    quantize_dynamic(model_input=str(exact), model_output=str(quantized), weight_type=QuantType.QUInt8)
    exact.unlink()
    return folder


def _write_tokens(folder: Path, tokens: tuple[str, ...]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [f"{token} {identifier}\n" for identifier, token in enumerate((*tokens, BLANK))]
    (folder / TOKENS_FILE).write_text("".join(lines), encoding="utf-8")
