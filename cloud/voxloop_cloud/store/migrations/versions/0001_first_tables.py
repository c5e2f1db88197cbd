"""The first tables."""

from alembic import op

from voxloop_cloud.store.tables import METADATA

revision = "0001"
down_revision = None


def upgrade() -> None:
    """The first tables."""
    METADATA.create_all(op.get_bind())
