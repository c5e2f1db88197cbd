"""Bundles as somebody made them: each of their files, and archives of them."""

import io
import lzma
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from unittest.mock import patch

from tests.fuzz.choices import Choices
from tests.fuzz.files import scratch
from tests.fuzz.target import FuzzTarget

from voxloop_cloud import archive
from voxloop_cloud.bundle import (
    AUDIT_FILE,
    CONFIG_FILE,
    TOKENS_FILE,
    Bundle,
    load_bundle,
    write_checksums,
)
from voxloop_cloud.checksums import CHECKSUM_FILE
from voxloop_cloud.decoding import open_decoding
from voxloop_cloud.graph import GRAPH_FILE, LEXICON_FILE
from voxloop_cloud.graph_testing import phone_bundle, random_frames
from voxloop_cloud.hotword_list import HotwordList
from voxloop_cloud.spelling import SPELLING_FILE, Spelling, write_spelling
from voxloop_proto.errors import ModelError, VoxloopError

_PACKED = {GRAPH_FILE: "graph", LEXICON_FILE: "lexicon", SPELLING_FILE: "spelling"}
_FILES = (CONFIG_FILE, TOKENS_FILE, CHECKSUM_FILE, AUDIT_FILE, *_PACKED)
_PLAIN_XZ = "xz as it is"
_MOST_UNPACKED_BYTES = 1 << 20
_FRAMES = 20
_UNKNOWN_WORDS = HotwordList((("zebra",), ("yes", "zoo")), only=False)


def run(data: bytes) -> None:
    """A bundle with one file replaced, or an archive, is loaded whole or refused with a VoxloopError of one line."""
    choices = Choices(data)
    kind = choices.pick((*_FILES, _PLAIN_XZ, "archive"))
    content = choices.take(len(data))
    try:
        if kind == "archive":
            _unpack(content)
        else:
            _load(kind, content)
    except ModelError as error:
        raise AssertionError("a bundle's fault is no fault of the model") from error
    except VoxloopError as error:
        if "\n" in error.message:
            raise AssertionError("an error of several lines") from error


def _load(kind: str, content: bytes) -> None:
    place = _good_bundle()
    name = GRAPH_FILE if kind == _PLAIN_XZ else kind
    good = (place / name).read_bytes()
    sums = (place / CHECKSUM_FILE).read_bytes()
    (place / name).write_bytes(lzma.compress(content, preset=0) if kind in _PACKED else content)
    if name != CHECKSUM_FILE:
        write_checksums(place)
    try:
        bundle = load_bundle(place)
        if name in _PACKED:
            _decode(bundle)
    finally:
        (place / name).write_bytes(good)
        (place / CHECKSUM_FILE).write_bytes(sums)


def _decode(bundle: Bundle) -> None:
    """Some frames through the graph, with hotwords that have to be guessed."""
    decoding = open_decoding(bundle)
    decoder = decoding.start(decoding.prepare(_UNKNOWN_WORDS))
    with suppress(ModelError):  # graph and lexicon may contradict each other where only a search gets to
        decoder.push(random_frames(0, _FRAMES, len(bundle.tokens)))
        decoder.result()


def _unpack(content: bytes) -> None:
    packed, target = scratch() / "archive", scratch() / "unpacked"
    packed.write_bytes(content)
    shutil.rmtree(target, ignore_errors=True)
    with patch.object(archive, "MAX_UNPACKED_BYTES", _MOST_UNPACKED_BYTES):
        archive.unpack(packed, target)


@lru_cache(1)
def _good_bundle() -> Path:
    """A small bundle of phones with a lexicon, a graph and a model of spelling."""
    path = scratch() / "bundle"
    phone_bundle(path, {"yes": ("y", "e", "s"), "no": ("n", "o")})
    counts = [((0,), 1), ((1,), 2), ((0, 1), 2), ((1, 1), 1)]
    write_spelling(Spelling(2, [("#", ()), ("z", ("s",)), ("o", ("o",))], counts), counts, path / SPELLING_FILE)
    write_checksums(path)
    return path


def _seeds() -> list[bytes]:
    """Each file as it is, and archives of all kinds with two of them."""
    place = _good_bundle()
    seeds = [bytes([number]) + (place / name).read_bytes() for number, name in enumerate(_FILES) if name not in _PACKED]
    seeds += [bytes([_FILES.index(name)]) + lzma.decompress((place / name).read_bytes()) for name in _PACKED]
    seeds.append(bytes([len(_FILES)]) + (place / GRAPH_FILE).read_bytes())
    return seeds + [bytes([len(_FILES) + 1]) + packed for packed in _archives()]


def _archives() -> list[bytes]:
    return [_tar(mode) for mode in ("w:", "w:gz", "w:bz2", "w:xz")] + [_zip()]


def _tar(mode: str) -> bytes:
    out = io.BytesIO()
    opened: Callable[..., tarfile.TarFile] = tarfile.open
    with opened(fileobj=out, mode=mode) as tar:
        for name in (CHECKSUM_FILE, TOKENS_FILE):
            tar.add(_good_bundle() / name, f"bundle/{name}")
    return out.getvalue()


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as opened:
        for name in (CHECKSUM_FILE, TOKENS_FILE):
            opened.write(_good_bundle() / name, f"bundle/{name}")
    return out.getvalue()


BUNDLE = FuzzTarget("bundle", "files of a bundle, and archives of bundles", _seeds, run)
