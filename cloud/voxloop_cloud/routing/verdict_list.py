"""The verdicts in the store, as the contract has them."""

import json

from sqlalchemy import Engine, select
from sqlalchemy.exc import DBAPIError

from voxloop_cloud.store.tables import VERDICTS
from voxloop_proto.errors import UnavailableError
from voxloop_proto.v1 import admin_pb2 as pb


def list_verdicts(database: Engine, bundle: str | None, most: int) -> list[pb.Verdict]:
    """The newest first. bundle: NAME@VERSION; None: of all. Raises UnavailableError if the database is away."""
    question = select(VERDICTS).order_by(VERDICTS.c.created_s.desc(), VERDICTS.c.id.desc()).limit(most)
    if bundle is not None:
        question = question.where(VERDICTS.c.bundle == bundle)
    try:
        with database.connect() as connection:
            rows = connection.execute(question).all()
    except DBAPIError as error:
        raise UnavailableError(f"the verdicts cannot be read: {str(error.orig).splitlines()[0]}") from error
    return [
        pb.Verdict(
            created_s=row.created_s,
            bundle=row.bundle,
            against=row.against,
            kind=row.kind,
            policy_version=row.policy_version,
            evidence=json.dumps(row.evidence),
            text=row.text,
        )
        for row in rows
    ]
