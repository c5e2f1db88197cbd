"""What the pages show comes from here: the store, the clips, the server's metrics."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Engine

from voxloop_cloud.console.console_config import ConsoleConfig
from voxloop_cloud.console.door import Door
from voxloop_cloud.console.meter import Meter
from voxloop_cloud.console.microphones import Microphones
from voxloop_cloud.console.policy_office import PolicyOffice
from voxloop_cloud.records.clip_store import ClipStore
from voxloop_cloud.rollout.review_queue import ReviewQueue


@dataclass(frozen=True, slots=True)
class Sources:
    """Shared by all pages; the database and the clips are asked in threads. now_s: Unix seconds.

    stopping: is set when the console ends, for pages that would stay.
    """

    config: ConsoleConfig
    engine: Engine
    clips: ClipStore | None
    door: Door
    meter: Meter
    policies: PolicyOffice
    reviews: ReviewQueue
    microphones: Microphones = field(default_factory=Microphones)
    now_s: Callable[[], float] = field(default=time.time)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
