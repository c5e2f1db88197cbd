"""The alarms that were, from the store."""

from sqlalchemy import Engine, or_, select

from voxloop_cloud.alarms.usefulness import PastAlarm
from voxloop_cloud.store.tables import ALARMS


def past_alarms(store: Engine, since_s: float, until_s: float) -> list[PastAlarm]:
    """All of which any part lies in that time, the oldest first."""
    query = (
        select(ALARMS.c.rule, ALARMS.c.fired_s, ALARMS.c.resolved_s)
        .where(ALARMS.c.fired_s < until_s, or_(ALARMS.c.resolved_s.is_(None), ALARMS.c.resolved_s > since_s))
        .order_by(ALARMS.c.fired_s)
    )
    with store.connect() as connection:
        return [PastAlarm(*row) for row in connection.execute(query)]
