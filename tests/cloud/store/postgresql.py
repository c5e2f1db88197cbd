"""A PostgreSQL server of the tests' own, over a socket in a folder that goes with it."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import psycopg

from voxloop_cloud.store.database import open_database

OWNER = "voxloop"
TIME_LIMIT_S = 30.0
TEMPLATE = "template_of_tests"


class PostgreSql:
    """A running server, which makes databases."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = count(1)
        self._ask(f"CREATE DATABASE {TEMPLATE}")
        open_database(self._url(TEMPLATE)).dispose()

    def new_database(self, *, empty: bool = False) -> str:
        """The URL of another database with our tables. empty: without them."""
        name = f"test_{next(self._numbers)}"
        self._ask(f"CREATE DATABASE {name}" + ("" if empty else f" TEMPLATE {TEMPLATE}"))
        return self._url(name)

    def _url(self, name: str) -> str:
        return f"postgresql://{OWNER}@/{name}?host={self._folder}"

    def _ask(self, statement: str) -> None:
        with psycopg.connect(f"host={self._folder} user={OWNER} dbname=postgres", autocommit=True) as connection:
            connection.execute(statement.encode())


def programs() -> Path | None:
    """The folder of initdb and postgres; None if they are not here, or there is nobody to run them."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = found[-1] if found else shutil.which("initdb")
    return Path(initdb).parent if initdb and _user() is not None else None


@contextmanager
def running(folder: Path) -> Iterator[PostgreSql]:
    """A server, until the block is left. folder: of its programs."""
    user = _user()
    assert user is not None
    with tempfile.TemporaryDirectory(prefix="voxloop-postgresql-") as name:
        home, data = Path(name), Path(name) / "data"
        os.chown(home, user, -1)
        home.chmod(0o755)
        make: list[str | Path] = [
            folder / "initdb",
            "-D",
            data,
            "-U",
            OWNER,
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]
        subprocess.run(make, check=True, capture_output=True, user=user)
        serve: list[str | Path] = [folder / "postgres", "-D", data, "-k", home, "-F", "-c", "listen_addresses="]
        with subprocess.Popen(serve, stderr=subprocess.DEVNULL, user=user) as process:
            try:
                _await(home)
                yield PostgreSql(home)
            finally:
                process.send_signal(signal.SIGQUIT)  # at once: nothing of it is kept


def _await(home: Path) -> None:
    deadline_s = time.monotonic() + TIME_LIMIT_S
    while True:
        try:
            psycopg.connect(f"host={home} user={OWNER} dbname=postgres").close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline_s, "PostgreSQL did not start"
            time.sleep(0.05)


def _user() -> int | None:
    """Who runs it: PostgreSQL refuses to be root's."""
    if os.geteuid() != 0:
        return os.geteuid()
    try:
        return pwd.getpwnam("postgres").pw_uid
    except KeyError:
        return None
