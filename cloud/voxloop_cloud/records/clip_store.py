"""Keeps the sound of utterances: in a folder by default, in S3 by URL."""

import os
from collections.abc import Iterable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotFoundError
from obstore.store import AzureStore, GCSStore, HTTPStore, LocalStore, MemoryStore, S3Store, from_url

from voxloop_cloud.records.clip_key import day_in, device_digest
from voxloop_proto.errors import ConfigError, DataError, UnavailableError

if TYPE_CHECKING:  # they are no classes at run time
    from obstore.store import ClientConfig, RetryConfig

_PATIENCE: Final = timedelta(seconds=5)
_DELETED_AT_ONCE: Final = 1_000
_OWNERS_FOLDER: Final = 0o700

_Store: TypeAlias = AzureStore | GCSStore | HTTPStore | LocalStore | MemoryStore | S3Store


class ClipStore:
    """Files by key. Any number of processes and threads may use the same one.

    Each method raises UnavailableError if the store cannot be reached, within a few seconds.
    """

    def __init__(self, store: _Store) -> None:
        self._store = store

    def put(self, key: str, data: bytes) -> None:
        """Keeps a clip; one that is there already stays as it is, so that a clip may be sent twice."""
        try:
            obstore.put(self._store, key, data, mode="create")
        except AlreadyExistsError:
            return
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    def get(self, key: str) -> bytes:
        """A clip's file. Raises DataError if there is none (any more)."""
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except (NotFoundError, FileNotFoundError):
            raise DataError(f"there is no clip {key}: it was erased, or is older than is kept") from None
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error

    def delete(self, keys: Iterable[str]) -> None:
        """Deletes clips; those that are not there are no error."""
        for key in keys:
            try:
                obstore.delete(self._store, key)
            except (NotFoundError, FileNotFoundError):
                continue
            except (BaseError, OSError) as error:
                raise _unavailable(error) from error

    def erase(self, device_id: str) -> int:
        """Deletes all clips of a device; returns their bytes."""
        return self._delete_all(self._list(device_digest(device_id)))

    def delete_before(self, day: str) -> int:
        """Deletes all clips of days before this one (clip_key.day_of); returns their bytes."""
        return self._delete_all(
            (key, size) for key, size in self._list(None) if (found := day_in(key)) is not None and found < day
        )

    def _delete_all(self, clips: Iterable[tuple[str, int]]) -> int:
        found = list(clips)
        self.delete(key for key, _ in found)
        return sum(size for _, size in found)

    def _list(self, prefix: str | None) -> Iterator[tuple[str, int]]:
        try:
            for some in obstore.list(self._store, prefix, chunk_size=_DELETED_AT_ONCE):
                yield from ((each["path"], each["size"]) for each in some)
        except (NotFoundError, FileNotFoundError):
            return
        except (BaseError, OSError) as error:
            raise _unavailable(error) from error


def open_clip_store(where: str) -> ClipStore:
    """A clip store. where: a folder, made if it is not there, or a URL such as s3://BUCKET/PREFIX.

    Raises ConfigError if it is neither.
    """
    try:
        if "://" not in where:
            Path(where).mkdir(_OWNERS_FOLDER, parents=True, exist_ok=True)
            return ClipStore(LocalStore(where, automatic_cleanup=True))  # else each device and day leaves a folder
        retries: RetryConfig = {"max_retries": 2, "retry_timeout": _PATIENCE}
        may_be_plain = os.environ.get("AWS_ALLOW_HTTP", "").lower() == "true"  # else forgotten beside other options
        options: ClientConfig = {"timeout": _PATIENCE, "allow_http": may_be_plain}
        return ClipStore(from_url(where, client_options=options, retry_config=retries))
    except (BaseError, OSError, ValueError) as error:
        raise ConfigError(
            f"clips cannot be kept in {where}: {error}; name a folder, or a URL such as s3://BUCKET/PREFIX"
        ) from error


def _unavailable(error: Exception) -> UnavailableError:
    return UnavailableError(f"the clip store failed: {str(error).splitlines()[0] if str(error) else error!r}")
