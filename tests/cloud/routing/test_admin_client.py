"""The admin's end of the wire, where the wire ends."""

import pytest

from voxloop_cloud.routing.admin_client import AdminClient, AdminConfig
from voxloop_proto.errors import UnavailableError


def test_where_no_server_is_it_is_told_with_what_to_do() -> None:
    with (
        AdminClient(AdminConfig(server="127.0.0.1:9", insecure=True)) as admin,
        pytest.raises(UnavailableError) as told,
    ):
        admin.policy()
    assert told.value.message == "no server at 127.0.0.1:9: start one ('voxloop serve') or name it with --server"
