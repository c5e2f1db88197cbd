"""How alembic runs the migrations: on the connection that database.py gives it."""

from alembic import context

from voxloop_cloud.store.tables import METADATA

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()
