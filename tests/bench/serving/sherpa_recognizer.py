"""What the peers share: a bundle of ours opened in sherpa-onnx, and the clips that are played to it."""

import tempfile
from pathlib import Path
from typing import Any, Literal

import numpy as np
import sherpa_onnx

from voxloop_cloud.bundle import MODEL_FILE, TOKENS_FILE, Bundle
from voxloop_cloud.sherpa_layout import write_zipformer_layout
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import DataError

Layout = Literal["same", "nemo"]
LAYOUT_HELP = "same: features as in training; nemo: the file as it is, up to 5 %% faster, but it hears NeMo's features"


def open_recognizer(bundle: Bundle, threads: int, layout: Layout = "same") -> Any:
    """sherpa_onnx.OnlineRecognizer on the bundle's weights, greedy; threads: of onnxruntime inside one step.

    sherpa-onnx chooses features by the layout (docs/decisions/0007). `same` gives those that the bundle was trained
    with, for kaldi-fbank in a Zipformer's layout, which copies the caches once more; `nemo` opens the file as it is:
    the same work but, for kaldi-fbank, other text. In both, the streams of one `decode_streams` are one batch. A bundle
    of phones is decoded to phones, without the graph that makes words of them: less work than ours.

    Raises ConfigError for a bundle that sherpa-onnx cannot stream.
    """
    tokens = str(bundle.path / TOKENS_FILE)
    if layout == "nemo" or bundle.config.features.kind == "nemo-fbank":
        model = str(bundle.path / MODEL_FILE)
        return sherpa_onnx.OnlineRecognizer.from_nemo_ctc(model=model, tokens=tokens, num_threads=threads)
    with tempfile.TemporaryDirectory(prefix="voxloop-sherpa-") as folder:
        model = str(Path(folder, "zipformer.onnx"))
        write_zipformer_layout(bundle, Path(model))
        return sherpa_onnx.OnlineRecognizer.from_zipformer2_ctc(model=model, tokens=tokens, num_threads=threads)


def read_clips(file: Path) -> list[Pcm]:
    """Clips at 16 kHz: of an .npz one for each of its arrays (S,) float32, of an .npy the one that it holds.

    Raises DataError if it holds something else.
    """
    held = np.load(file, allow_pickle=False)
    arrays = [held] if isinstance(held, np.ndarray) else [held[name] for name in held.files]
    wrong = [pcm for pcm in arrays if pcm.ndim != 1 or pcm.dtype != np.float32 or not pcm.size]
    if wrong or not arrays:
        found = f"{wrong[0].dtype} of shape {wrong[0].shape}" if wrong else "nothing"
        raise DataError(f"{file} holds {found}; allowed are sounds of shape (samples,), float32, at 16 kHz")
    return arrays
