"""Models as sherpa-onnx publishes them: imported, they give the same tokens and text here as there."""

import asyncio
import difflib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from tests.cloud.sherpa_peer import recorded_queries, tokens_and_text

from voxloop_cloud.bundle import Bundle, load_bundle
from voxloop_cloud.decoder import SPACE
from voxloop_cloud.engine import EngineConfig, open_engine
from voxloop_cloud.features import FeatureStream
from voxloop_cloud.recognition import SegmentRecognition, transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.sherpa_files import find_sherpa_files, quantization_of, read_sherpa_tokens
from voxloop_cloud.sherpa_import import Label, write_imported_bundle
from voxloop_cloud.sherpa_testing import LETTERS, PIECES, quantize, tiny_offline_model, tiny_streaming_model
from voxloop_cloud.testing import babble
from voxloop_proto.audio import Pcm
from voxloop_proto.errors import ConfigError, ContractError
from voxloop_proto.testing import cut

LABEL = Label("tiny", "1", "en", "random numbers")
CHUNKS = ((17, 8), (65, 56), (121, 112))
"""Window and shift, in frames, of FastConformers with 80, 480 and 1040 ms of latency."""

SAME_BUT_FOR_TIES = 0.95


def imported(folder: Path, label: Label = LABEL, told: list[str] | None = None) -> Bundle:
    """The bundle made of a model's folder, beside it."""
    target = folder.with_name(f"{folder.name}-bundle")
    notes: list[str] = [] if told is None else told
    write_imported_bundle(find_sherpa_files(folder), label, target, notes.append)
    return load_bundle(target)


def peer_of(bundle: Bundle, folder: Path, name: str = "model.onnx") -> Any:
    """sherpa-onnx with the model as it was published."""
    sherpa: Any = pytest.importorskip("sherpa_onnx")
    kind = sherpa.OnlineRecognizer if bundle.config.chunk else sherpa.OfflineRecognizer
    return kind.from_nemo_ctc(model=str(folder / name), tokens=str(folder / "tokens.txt"), num_threads=1)


def sounds() -> list[Pcm]:
    return [*recorded_queries()[:4], *(babble(duration_ms) for duration_ms in (1270, 2005, 2010))]


def assert_same_as_sherpa(folder: Path) -> None:
    bundle = imported(folder)
    recognizer, peer = Recognizer(bundle), peer_of(bundle, folder)
    for pcm in sounds():
        ours = transcribe(recognizer, pcm)
        tokens, text = tokens_and_text(peer, bundle, pcm)
        assert [bundle.tokens[token] for token in ours.tokens] == tokens != []
        # Of a stream's word pieces sherpa-onnx 2.0 leaves off the first character, which is a space as a rule.
        assert text == ours.text or (bundle.config.chunk and text == ours.text[1:])


@pytest.mark.parametrize("tokens", [PIECES, LETTERS], ids=["pieces", "letters"])
@pytest.mark.parametrize(("window_frames", "shift_frames"), CHUNKS)
@pytest.mark.parametrize("seed", [0, 1])
def test_a_streaming_model_gives_the_same_as_in_sherpa_onnx(
    tmp_path: Path, tokens: tuple[str, ...], window_frames: int, shift_frames: int, seed: int
) -> None:
    folder = tiny_streaming_model(
        tmp_path / "model", seed, tokens=tokens, window_frames=window_frames, shift_frames=shift_frames
    )
    assert_same_as_sherpa(folder)


@pytest.mark.parametrize("tokens", [PIECES, LETTERS], ids=["pieces", "letters"])
@pytest.mark.parametrize("normalize_type", ["per_feature", ""])
@pytest.mark.parametrize("seed", [0, 1])
def test_an_offline_model_gives_the_same_as_in_sherpa_onnx(
    tmp_path: Path, tokens: tuple[str, ...], normalize_type: str, seed: int
) -> None:
    assert_same_as_sherpa(tiny_offline_model(tmp_path / "model", seed, tokens=tokens, normalize_type=normalize_type))


def test_a_streaming_model_is_not_normalized_whatever_it_says_and_the_user_is_told(tmp_path: Path) -> None:
    folder, told = tiny_streaming_model(tmp_path / "model", normalize_type="per_feature"), list[str]()
    assert imported(folder, told=told).config.features.normalization == "none"
    assert ["as in sherpa-onnx, nothing is normalized" in note for note in told] == [True]
    (tmp_path / "model-bundle").rename(tmp_path / "looked-at")
    assert_same_as_sherpa(folder)


@pytest.mark.parametrize("make", [tiny_streaming_model, tiny_offline_model])
def test_a_quantized_model_gives_nearly_the_same_as_in_sherpa_onnx(tmp_path: Path, make: Callable[..., Path]) -> None:
    """But for ties: 8-bit activations differ by 0.1 between two builds of onnxruntime."""
    folder = quantize(make(tmp_path / "model"))
    bundle = imported(folder)
    recognizer, peer = Recognizer(bundle), peer_of(bundle, folder, "model.int8.onnx")
    alike = [
        difflib.SequenceMatcher(
            None,
            [bundle.tokens[token] for token in transcribe(recognizer, pcm).tokens],
            tokens_and_text(peer, bundle, pcm)[0],
            autojunk=False,
        ).ratio()
        for pcm in sounds()
    ]
    assert sum(alike) / len(alike) > SAME_BUT_FOR_TIES


def test_what_a_model_says_of_itself_is_in_its_bundle(tmp_path: Path) -> None:
    streaming = imported(tiny_streaming_model(tmp_path / "streaming", window_frames=65, shift_frames=56)).config
    assert streaming.kind == "streaming"
    assert streaming.chunk is not None
    assert (streaming.chunk.window_frames, streaming.chunk.shift_frames) == (65, 56)
    assert (streaming.frame_ms, streaming.tokens, streaming.licence) == (80, "bpe", "random numbers")
    assert streaming.provenance.parent == "https://example.org/tiny-streaming"
    offline = imported(tiny_offline_model(tmp_path / "offline", tokens=LETTERS)).config
    assert (offline.kind, offline.frame_ms, offline.tokens) == ("offline", 80, "characters")
    features = offline.features
    assert (features.kind, features.low_hz, features.high_hz) == ("nemo-fbank", 0, 8000)
    assert (features.normalization, features.log_guard, features.mel_bins) == ("per-feature", "add", 80)


def test_a_second_output_with_lengths_is_allowed(tmp_path: Path) -> None:
    assert_same_as_sherpa(tiny_offline_model(tmp_path / "model", with_lengths=True))


def test_an_offline_model_hears_a_segment_once_it_is_over_however_it_was_cut(tmp_path: Path) -> None:
    recognizer = Recognizer(imported(tiny_offline_model(tmp_path / "model")))
    pcm = babble(3000, seed=3)
    for lengths in ([len(pcm)], [7, 320, 5000], [16_000]):
        segment = SegmentRecognition(recognizer)
        for chunk in cut(pcm, lengths):
            segment.push(chunk.pcm)
            assert segment.next_window() is None
            assert segment.hypothesis().text == ""
        segment.finish()
        window = segment.next_window()
        assert window is not None
        assert len(window) == 300
        log_probs, (state,) = recognizer.step([segment.state], window[None])
        segment.take(log_probs[0], state)
        assert segment.finished
        assert segment.next_window() is None
        assert segment.result() == transcribe(recognizer, pcm)
        assert segment.hypothesis().text == segment.result().text != ""


@pytest.mark.parametrize("samples", [0, 79, 80, 1199])
def test_an_offline_model_makes_nothing_of_less_than_one_frame_of_its_own(tmp_path: Path, samples: int) -> None:
    recognizer = Recognizer(imported(tiny_offline_model(tmp_path / "model")))
    decoded = transcribe(recognizer, np.ones(samples, np.float32) * 0.1)
    assert (decoded.text, decoded.confidence) == ("", 0.0)


def test_never_more_than_one_segment_of_an_offline_model_is_in_a_batch(tmp_path: Path) -> None:
    bundle = imported(tiny_offline_model(tmp_path / "model"))
    assert Recognizer(bundle).exact_batch == 1

    async def serve() -> None:
        async with open_engine(EngineConfig(bundle=str(bundle.path), max_batch=4)):
            pass

    with pytest.raises(ConfigError, match=r"engine.max_batch 4 with the offline bundle tiny 1.* allowed is 1"):
        asyncio.run(serve())


def retype(change: Callable[[Any], None], folder: Path) -> Path:
    """Changes the model of a folder."""
    model = onnx.load(str(folder / "model.onnx"))
    change(model)
    onnx.save(model, str(folder / "model.onnx"))
    return folder


def test_batches_are_for_models_that_are_exact_in_them(tmp_path: Path) -> None:
    assert Recognizer(imported(tiny_streaming_model(tmp_path / "exact"))).exact_batch is None

    quantized = imported(quantize(tiny_streaming_model(tmp_path / "int8")))
    assert quantized.config.model.quantization == "int8-dynamic"
    assert Recognizer(quantized).exact_batch == 1

    def for_one_stream(model: Any) -> None:
        for each in (*model.graph.input, *model.graph.output):
            each.type.tensor_type.shape.dim[0].dim_value = 1

    alone = imported(retype(for_one_stream, tiny_streaming_model(tmp_path / "alone")))
    assert alone.config.model.quantization == "none"
    assert Recognizer(alone).exact_batch == 1


def test_a_model_whose_streams_disturb_each_other_is_found_by_trying(tmp_path: Path) -> None:
    def disturb(model: Any) -> None:
        """The mean of all streams is taken from each: nothing in the file says that it quantizes."""
        model.graph.node.append(onnx.helper.make_node("ReduceMean", ["logprobs"], ["mean_of_all"], axes=[0]))
        model.graph.node.append(onnx.helper.make_node("Sub", ["logprobs", "mean_of_all"], ["disturbed"]))
        model.graph.output[0].name = "disturbed"

    told: list[str] = []
    bundle = imported(retype(disturb, tiny_streaming_model(tmp_path / "model")), told=told)
    assert bundle.config.model.quantization == "unknown, not exact in batches"
    assert told == ["model.onnx is not exact in batches: it is served one window at a time"]
    assert Recognizer(bundle).exact_batch == 1


def nemos_features(pcm: Pcm) -> npt.NDArray[np.float64]:
    """NeMo's AudioToMelSpectrogramPreprocessor in numpy, without dither and normalization: frame k centred at k shifts,
    zeros beyond the ends, a symmetric Hann window, librosa's Slaney mels, log(power + 2^-24)."""
    padded = np.pad(np.append(pcm[:1], pcm[1:] - 0.97 * pcm[:-1]).astype(np.float64), 256)
    window = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399), 56)
    frames = np.lib.stride_tricks.sliding_window_view(padded, 512)[::160] * window
    power = np.abs(np.fft.rfft(frames)) ** 2
    knee, log_step = 15.0, np.log(6.4) / 27
    edges = np.linspace(0, knee + np.log(8.0) / log_step, 82)
    edges_hz = np.where(edges < knee, edges * 200 / 3, 1000 * np.exp(log_step * (edges - knee)))
    bins_hz, widths = np.linspace(0, 8000, 257), np.diff(edges_hz)
    rising = (bins_hz - edges_hz[:-2, None]) / widths[:-1, None]
    falling = (edges_hz[2:, None] - bins_hz) / widths[1:, None]
    filters = np.maximum(0, np.minimum(rising, falling)) * (2 / (edges_hz[2:] - edges_hz[:-2]))[:, None]
    features: npt.NDArray[np.float64] = np.log(power @ filters.T + 2**-24)
    return features


@pytest.mark.parametrize(("exact", "tolerance"), [(True, 2e-3), (False, 0.7)])
def test_features_are_nemos_own_if_they_are_asked_for_and_else_sherpa_onnxs(
    tmp_path: Path, exact: bool, tolerance: float
) -> None:
    """Ours are centred half a shift later than NeMo's, and the first sample of a frame is the first of a segment."""
    label = Label("tiny", "1", "en", "", exact_features=exact)
    stream = FeatureStream(imported(tiny_streaming_model(tmp_path / "model"), label).config.features)
    pcm = np.concatenate([babble(1000), np.zeros(8000, np.float32)])
    stream.push(pcm)
    difference = np.abs(nemos_features(pcm[80:])[2 : stream.frames_ready] - stream.window(2, stream.frames_ready - 2))
    assert difference.max() < tolerance
    assert exact or difference.max() > 0.69  # of digital silence: log(2^-23) and log(2^-24)


def rename_input(model: Any) -> None:
    model.graph.input[0].name = "x"
    for node in model.graph.node:
        node.input[:] = ["x" if name == "audio_signal" else name for name in node.input]


def metadata(key: str, value: str | None) -> Callable[[Any], None]:
    def change(model: Any) -> None:
        props = {prop.key: prop.value for prop in model.metadata_props if prop.key != key}
        del model.metadata_props[:]
        onnx.helper.set_model_props(model, props if value is None else {**props, key: value})

    return change


@pytest.mark.parametrize(
    ("make", "change", "message"),
    [
        (
            tiny_offline_model,
            rename_input,
            r"has the inputs x, length; allowed are NeMo's CTC layouts: audio_signal, len",
        ),
        (
            tiny_offline_model,
            metadata("subsampling_factor", None),
            r"lacks subsampling_factor in its metadata, which has",
        ),
        (tiny_offline_model, metadata("subsampling_factor", "4"), r"\(1, 8, 21\).* promise .*\(1, 16, 21\)"),
        (
            tiny_offline_model,
            metadata("vocab_size", "1024"),
            r"vocab_size = 1024 .* but its tokens are 21, the blank incl",
        ),
        (
            tiny_offline_model,
            metadata("normalize_type", "fixed"),
            r"normalize_type = 'fixed' .* allowed are 'per_feature'",
        ),
        (tiny_offline_model, metadata("is_giga_am", "1"), r"is a GigaAM model, whose features are its own"),
        (tiny_offline_model, metadata("feat_dim", "64"), r"feat_dim = 64 in its metadata, but takes 80 mel bins"),
        (tiny_offline_model, metadata("sample_rate", "8000"), r"sample_rate = 8000 in its metadata; allowed is 16000"),
        (tiny_streaming_model, metadata("window_size", None), r"lacks window_size in its metadata"),
        (tiny_streaming_model, metadata("chunk_shift", "24"), r"shift_frames 24 is more than window_frames 17"),
        (
            tiny_streaming_model,
            metadata("vocab_size", "21"),
            r"vocab_size = 21 .* but its tokens are 21, the blank incl",
        ),
        (tiny_streaming_model, metadata("cache_last_time_dim3", "7"), r"cache_last_time must be .* \[any, 2, 16, 7\]"),
    ],
)
def test_a_model_that_cannot_be_served_is_refused(
    tmp_path: Path, make: Callable[..., Path], change: Callable[[Any], None], message: str
) -> None:
    with pytest.raises(ContractError, match=message):
        imported(retype(change, make(tmp_path / "model")))


def test_a_vocabulary_that_counts_the_blank_is_allowed_of_an_offline_model(tmp_path: Path) -> None:
    count = str(len(PIECES) + 1)
    assert imported(retype(metadata("vocab_size", count), tiny_offline_model(tmp_path / "model"))).tokens[:-1] == PIECES


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"has 0 ids"),
        ("a 0\nb\n<blk> 2\n", r"line 2, is 'b'; allowed is '<token> <id>'"),
        ("a 0\nb 0\n<blk> 1\n", r"line 2, is 'b 0'; allowed is '<token> <id>', each id once"),
        ("a 0\n<blk> 2\n", r"has 2 ids up to 2"),
        ("<blk> 0\na 1\n", r"ends in 'a' and has <blk> as 0; in NeMo's layouts the blank"),
        ("a 0\nb 1\n", r"ends in 'b' and has no blank"),
    ],
)
def test_tokens_of_another_layout_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "tokens.txt").write_text(text)
    with pytest.raises(ContractError, match=message):
        read_sherpa_tokens(tmp_path / "tokens.txt")


def test_tokens_are_read_as_sherpa_onnx_reads_them(tmp_path: Path) -> None:
    (tmp_path / "tokens.txt").write_bytes("  0\na\t1\r\n\u2581the 2\n\u2028 3\n<eps> 4\n\n".encode())
    assert read_sherpa_tokens(tmp_path / "tokens.txt") == (SPACE, "a", "\u2581the", "\u2028", "<blk>")


def test_models_of_several_languages_may_have_a_token_twice(tmp_path: Path) -> None:
    folder = tiny_offline_model(tmp_path / "model", tokens=(*PIECES, *PIECES[1:]))
    assert_same_as_sherpa(folder)


def test_weights_in_a_file_of_their_own_come_along(tmp_path: Path) -> None:
    folder = tiny_streaming_model(tmp_path / "model")
    model = onnx.load(str(folder / "model.onnx"))
    (folder / "model.onnx").unlink()
    onnx.save(
        model, str(folder / "model.onnx"), save_as_external_data=True, location="model.onnx.data", size_threshold=500
    )
    (folder / "other.bin").write_bytes(b"not of the model")
    bundle = imported(folder)
    assert {"model.onnx", "model.onnx.data"} < {each.name for each in bundle.path.iterdir()}
    assert not (bundle.path / "other.bin").exists()
    assert transcribe(Recognizer(bundle), babble(1000)).tokens


def test_a_files_operators_tell_its_quantization(tmp_path: Path) -> None:
    for content, expected in ((b"..MatMulNBits..", "nbits"), (b"..QLinearConv..", "int8-static"), (b"....", "none")):
        (tmp_path / "model.onnx").write_bytes(content)
        assert quantization_of(tmp_path / "model.onnx") == expected


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            (),
            r"has nothing; a bundle has SHA256SUMS, a model as sherpa-onnx publishes one model.onnx or model.int8.onnx",
        ),
        (("a.txt",), r"has a.txt; a bundle has SHA256SUMS"),
        (("model.onnx",), r"has no tokens.txt beside it .*; give the file with --tokens"),
        (("decoder.onnx", "encoder.onnx", "tokens.txt"), r"has decoder.onnx, encoder.onnx; a CTC model is one file"),
    ],
)
def test_a_folder_without_a_model_is_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    for name in names:
        (tmp_path / name).write_text("x")
    with pytest.raises(ConfigError, match=message):
        find_sherpa_files(tmp_path)


def test_the_exact_one_of_two_models_is_taken_unless_the_other_is_named(tmp_path: Path) -> None:
    for name in ("model.onnx", "model.int8.onnx", "tokens.txt"):
        (tmp_path / name).write_text("x")
    assert find_sherpa_files(tmp_path).model.name == "model.onnx"
    assert find_sherpa_files(tmp_path / "model.int8.onnx").model.name == "model.int8.onnx"
