"""The microphone, with a fake sound card: its time index is right whatever is lost."""

import sys
from collections.abc import Iterator

import numpy as np
import pytest

from voxloop_edge.microphone import MICROPHONE_QUEUE_CHUNKS, Microphone, list_devices
from voxloop_edge.resampler import Block
from voxloop_edge.testing import FakeSoundDevice
from voxloop_proto.errors import ConfigError, UnavailableError
from voxloop_proto.events import Chunk


def card(monkeypatch: pytest.MonkeyPatch, rate_hz: int = 16_000, devices: int = 1) -> FakeSoundDevice:
    fake = FakeSoundDevice(rate_hz, devices)
    monkeypatch.setitem(sys.modules, "sounddevice", fake)
    return fake


def block(number: int, samples: int = 1600) -> Block:
    return np.full((samples, 1), number / 1000, np.float32)


def listening(microphone: Microphone, fake: FakeSoundDevice, samples: int = 1600) -> tuple[Iterator[Chunk], Chunk]:
    """Chunks of an open stream, and the first of them."""
    chunks = microphone.chunks()
    sounddevice_opens_when_asked = fake.InputStream

    def open_and_hear(**settings: object) -> FakeSoundDevice:
        stream = sounddevice_opens_when_asked(**settings)
        fake.hear(block(1, samples))
        return stream

    fake.InputStream = open_and_hear  # type: ignore[method-assign]  # hears something as soon as it is opened
    return chunks, next(chunks)


def test_what_is_heard_comes_out_in_order_until_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = card(monkeypatch)
    microphone = Microphone()
    chunks, first = listening(microphone, fake)
    fake.hear(block(2))
    microphone.stop()
    second, *rest = chunks
    assert rest == []
    assert (first.start_sample, second.start_sample) == (0, 1600)
    assert (first.pcm[0], second.pcm[0]) == (np.float32(0.001), np.float32(0.002))
    assert microphone.lost_samples == 0


def test_a_full_queue_drops_the_oldest_counts_it_and_keeps_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = card(monkeypatch)
    microphone = Microphone()
    chunks, _ = listening(microphone, fake)
    for number in range(2, MICROPHONE_QUEUE_CHUNKS + 5):
        fake.hear(block(number))
    microphone.stop()
    heard = list(chunks)
    assert len(heard) == MICROPHONE_QUEUE_CHUNKS
    assert microphone.lost_samples == 3 * 1600
    assert heard[0].start_sample == 4 * 1600
    assert all(chunk.pcm[0] == np.float32((chunk.start_sample // 1600 + 1) / 1000) for chunk in heard)


def test_what_portaudio_lost_is_a_hole_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = card(monkeypatch)
    microphone = Microphone()
    chunks, _ = listening(microphone, fake)
    fake.hear(block(2), overflow=True)
    microphone.stop()
    (late,) = chunks
    assert (late.start_sample, microphone.lost_samples) == (3200, 1600)


def test_a_device_of_another_rate_is_resampled(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = card(monkeypatch, rate_hz=48_000)
    microphone = Microphone()
    chunks, first = listening(microphone, fake, 48_000)
    fake.hear(block(2, 4800))
    microphone.stop()
    samples = len(first.pcm) + sum(len(chunk.pcm) for chunk in chunks)
    assert samples == 16_000 + 1600


def test_a_device_that_goes_away_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = card(monkeypatch)
    chunks, _ = listening(Microphone(), fake)
    fake.unplug()
    with pytest.raises(UnavailableError, match="went away"):
        next(chunks)


def test_devices_are_listed_with_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, devices=2)
    assert list_devices() == ["0: fake 0", "1: fake 1"]


def test_a_device_that_is_not_there_is_answered_with_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch)
    with pytest.raises(ConfigError, match=r"'usb' cannot be opened .*there are: 0: fake 0"):
        Microphone("usb")


def test_without_any_microphone_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    card(monkeypatch, devices=0)
    with pytest.raises(ConfigError, match="there is no microphone"):
        Microphone()


def test_a_missing_library_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    with pytest.raises(ConfigError, match="pip install"):
        list_devices()
