"""What users did, what was refused and what was dropped reaches the figures, through the parts that know it."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs
from tests.cloud.metrics.heard_segments import heard

from voxloop_cloud.metrics.ears import Ears
from voxloop_cloud.metrics.figures import Figures
from voxloop_cloud.metrics.parts import watch_parts
from voxloop_cloud.metrics.pulse import taking_pulse
from voxloop_cloud.records.heard import Heard
from voxloop_cloud.records.records import open_records
from voxloop_cloud.routing.shadows import Shadows, ShadowsConfig
from voxloop_cloud.store.store_config import StoreConfig
from voxloop_proto.v1 import voxloop_pb2 as pb

ANSWER = {"bundle": "small@1", "route": "primary"}


def nothing(_figures: Figures) -> None:
    """A part that has nothing to tell."""


async def feedback_and_drops(folder: Path, registry: CollectorRegistry) -> None:
    figures, shadows = Figures(registry), Shadows(ShadowsConfig())
    async with open_records(StoreConfig(state=folder)) as records:
        readers = watch_parts(figures, nothing, shadows, None, records)
        async with taking_pulse(figures, readers):
            records.hear(heard())
            click = pb.FeedbackRequest(device_id="kitchen", session_id="s1", segment_id=1, clicked=True)
            assert await records.feedback(click)
            assert await records.feedback(click)
            shadows.counts.dropped["next@2"] += 3


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def test_feedback_counts_once_however_often_it_is_told(tmp_path: Path, registry: CollectorRegistry) -> None:
    asyncio.run(feedback_and_drops(tmp_path, registry))
    clicks = registry.get_sample_value("voxloop_outcome_feedback_total", {**ANSWER, "code": "clicked"})
    assert clicks == 1
    labels = {"bundle": "next@2", "code": "dropped"}
    assert registry.get_sample_value("voxloop_router_shadows_total", labels) == 3
    assert registry.get_sample_value("voxloop_server_workers") == 1


class Book:
    """A recorder that keeps what it is told."""

    keeps_sound = True

    def __init__(self) -> None:
        self.heard: list[Heard] = []

    def now_s(self) -> float:
        """A moment."""
        return 5.0

    def hear(self, segment: Heard) -> None:
        """Keeps it."""
        self.heard.append(segment)


def test_those_who_count_and_those_who_keep_records_hear_the_same(registry: CollectorRegistry) -> None:
    book = Book()
    ears = Ears(Figures(registry), book)
    segment = heard()
    ears.hear(segment)
    assert book.heard == [segment]
    assert registry.get_sample_value("voxloop_router_segments_total", ANSWER) == 1
    assert (ears.keeps_sound, ears.now_s()) == (True, 5.0)


def test_without_records_sound_is_of_no_use(registry: CollectorRegistry) -> None:
    assert not Ears(Figures(registry), None).keeps_sound


def test_one_who_listens_and_fails_costs_nobody_the_answer(registry: CollectorRegistry) -> None:
    def fail(_heard: Heard) -> None:
        raise ValueError("of this test")

    book = Book()
    ears = Ears(Figures(registry), book)
    ears.listeners += [fail, book.hear]
    segment = heard()
    with capture_logs() as logs:
        ears.hear(segment)
    assert book.heard == [segment, segment]
    assert [log["event"] for log in logs] == ["listener.failed"]


def test_a_part_that_cannot_be_read_stops_no_other(registry: CollectorRegistry) -> None:
    figures, read = Figures(registry), list[Figures]()

    def fail(_figures: Figures) -> None:
        raise ValueError("of this test")

    async def run() -> None:
        async with taking_pulse(figures, [fail, read.append]):
            pass

    with capture_logs() as logs:
        asyncio.run(run())
    assert read == [figures, figures]
    assert [log["event"] for log in logs] == ["reader.failed"] * 2
