"""Bundles of phones: whole, served through the one code path, and every way in which their graph can be wrong."""

import lzma
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from voxloop_cloud.bundle import load_bundle, write_checksums
from voxloop_cloud.graph import GRAPH_FILE, LEXICON_FILE, read_graph, write_graph
from voxloop_cloud.graph_decoder import GraphDecoder
from voxloop_cloud.graph_lexicon import write_lexicon
from voxloop_cloud.graph_testing import loop_graph, phone_bundle
from voxloop_cloud.recognition import SegmentRecognition, transcribe
from voxloop_cloud.recognizer import Recognizer
from voxloop_cloud.testing import babble
from voxloop_proto.errors import ContractError

WORDS = {letter * 2: (letter,) for letter in "abcdefghijklmnopqrstuvwxyz"}


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return Recognizer(phone_bundle(tmp_path_factory.mktemp("phones") / "bundle", WORDS))


def test_a_bundle_of_phones_is_decoded_through_its_graph(recognizer: Recognizer) -> None:
    assert isinstance(recognizer.decoding.start(), GraphDecoder)
    decoded = transcribe(recognizer, babble(3000))
    assert decoded.text
    assert set(decoded.text.split()) <= WORDS.keys()


def test_a_stream_gives_the_text_of_the_whole_however_it_is_cut(recognizer: Recognizer) -> None:
    pcm = babble(3000, seed=1)
    segment = SegmentRecognition(recognizer)
    for part in np.array_split(pcm, 37):
        segment.push(part)
        _recognize(recognizer, segment)
        assert set(segment.hypothesis().text.split()) <= WORDS.keys()
    segment.finish()
    _recognize(recognizer, segment)
    assert segment.result() == transcribe(recognizer, pcm)


def _recognize(recognizer: Recognizer, segment: SegmentRecognition) -> None:
    while (window := segment.next_window()) is not None:
        log_probs, (state,) = recognizer.step([segment.state], window[None])
        segment.take(log_probs[0], state)


def _other_phones(path: Path) -> None:
    write_graph(loop_graph([("a", ((0,),))], [1.0], 39), path / GRAPH_FILE)
    write_lexicon([("a", [("a",)])], path / LEXICON_FILE)


def _fewer_words(path: Path) -> None:
    write_lexicon([("aa", [("a",)])], path / LEXICON_FILE)


def _foreign_phone(path: Path) -> None:
    write_lexicon([(word, [("AH",)]) for word in WORDS], path / LEXICON_FILE)


def _no_pronunciation(path: Path) -> None:
    (path / LEXICON_FILE).write_bytes(lzma.compress(b"aa\n"))


def _cut_short(path: Path) -> None:
    content = lzma.decompress((path / GRAPH_FILE).read_bytes())
    (path / GRAPH_FILE).write_bytes(lzma.compress(content[: len(content) // 2]))


def _no_xz(path: Path) -> None:
    (path / GRAPH_FILE).write_bytes(b"graph")


def _something_else(path: Path) -> None:
    (path / GRAPH_FILE).write_bytes(lzma.compress(b"something else"))


def _state_beyond(path: Path) -> None:
    graph = read_graph(path / GRAPH_FILE)
    graph.target[0] = graph.states
    write_graph(graph, path / GRAPH_FILE)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda path: (path / GRAPH_FILE).unlink(),
            "lacks graph.xz.*tokens are phones.*export the bundle",
        ),
        (lambda path: (path / LEXICON_FILE).unlink(), "lacks lexicon.txt.xz"),
        (_other_phones, "has 39 phones and 1 words; the model writes 28 phones"),
        (_fewer_words, "has 28 phones and 26 words.*lexicon.txt.xz has 1 words"),
        (_foreign_phone, "line 1, has the phone 'AH', which the model does not write"),
        (_no_pronunciation, "line 1, is 'aa'; allowed is a word and its pronunciations"),
        (_cut_short, "is broken"),
        (_no_xz, "is no graph"),
        (_something_else, "does not begin with 'voxloop graph 1'"),
        (_state_beyond, "names states, phones or words that it does not have"),
    ],
)
def test_a_graph_that_is_not_for_the_model_is_refused(
    tmp_path: Path, spoil: Callable[[Path], None], message: str
) -> None:
    copy = phone_bundle(tmp_path / "copy", WORDS).path
    spoil(copy)
    write_checksums(copy)
    with pytest.raises(ContractError, match=message):
        _open(copy)


def _open(path: Path) -> None:
    Recognizer(load_bundle(path))


def test_a_changed_graph_does_not_pass_its_checksum(tmp_path: Path) -> None:
    copy = phone_bundle(tmp_path / "copy", WORDS).path
    _no_xz(copy)
    with pytest.raises(ContractError, match=r"graph.xz has the SHA-256"):
        _open(copy)


def test_a_bundle_of_characters_needs_no_graph_and_loads_no_search() -> None:
    code = "import sys; import voxloop_cloud.recognizer; sys.exit('kaldi_decoder' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
