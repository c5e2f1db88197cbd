"""Work that one process at a time does, of all that share a database: who holds its lease may do it."""

from sqlalchemy import Engine, delete, insert, update
from sqlalchemy.exc import IntegrityError

from voxloop_cloud.store.database import writing
from voxloop_cloud.store.tables import LEASES


class Lease:
    """A row with a holder and an end. One that dies holds it no longer than it last asked for."""

    def __init__(self, database: Engine, name: str, holder: str, length_s: float) -> None:
        """holder: of this process alone."""
        self._database = database
        self._name = name
        self._holder = holder
        self._length_s = length_s

    def take(self, now_s: float) -> bool:
        """Takes the lease, or holds it for longer; False while another has it. now_s: Unix seconds."""
        held = {"holder": self._holder, "until_s": now_s + self._length_s}
        is_free = (LEASES.c.holder == self._holder) | (LEASES.c.until_s < now_s)
        with writing(self._database) as connection:
            if connection.execute(update(LEASES).where(LEASES.c.name == self._name, is_free).values(held)).rowcount:
                return True
        try:
            with writing(self._database) as connection:
                connection.execute(insert(LEASES).values(name=self._name, **held))
        except IntegrityError:
            return False
        return True

    def release(self) -> None:
        """Lets another take it at once."""
        with writing(self._database) as connection:
            connection.execute(delete(LEASES).where(LEASES.c.name == self._name, LEASES.c.holder == self._holder))
