"""A disk whose power is cut at any byte, for tests: what was not synced may be there afterwards, or may not."""

import random
from dataclasses import dataclass, field
from pathlib import Path


class PowerCutError(Exception):
    """The power is gone: nothing that comes after this has happened."""


@dataclass
class _Folder:
    """names: as the process sees them. durable: as the disk has them. unsynced: names that changed since."""

    names: dict[str, "_Folder | bytes"] = field(default_factory=dict)
    durable: dict[str, "_Folder | bytes"] = field(default_factory=dict)
    unsynced: set[str] = field(default_factory=set)


class FragileDisk:
    """Keeps the promises of a real one and no more: content is safe when it is synced, a name when its folder is.

    budget: how much may still be done before the power goes, one for each byte and one for each call; None: no cut.
    """

    def __init__(self, root: Path) -> None:
        self.budget: int | None = None
        self._root_path = root
        self._root = _Folder()

    def restart(self, chance: random.Random) -> None:
        """The power is back: of each change of a name that was not synced, chance says whether it happened."""
        self.budget = None
        _settle(self._root, chance)

    def make_folder(self, folder: Path) -> None:
        """As the protocol says."""
        self._spend(1)
        if folder != self._root_path and folder.name not in self._at(folder.parent).names:
            self._change(folder, _Folder())

    def names(self, folder: Path) -> list[str]:
        """As the protocol says."""
        return sorted(self._at(folder).names)

    def size_bytes(self, file: Path) -> int:
        """As the protocol says."""
        return len(self.read(file))

    def read(self, file: Path) -> bytes:
        """As the protocol says."""
        found = self._at(file.parent).names.get(file.name)
        if not isinstance(found, bytes):
            raise FileNotFoundError(str(file))
        return found

    def write(self, file: Path, data: bytes) -> None:
        """As the protocol says; a cut leaves the bytes that the budget pays for."""
        done = len(data) if self.budget is None else min(len(data), self.budget)
        self._change(file, data[:done])
        self._spend(len(data) + 1)

    def rename(self, old: Path, new: Path) -> None:
        """As the protocol says: both names change, or neither."""
        self._spend(1)
        folder = self._at(old.parent)
        data = folder.names.pop(old.name)
        folder.names[new.name] = data
        folder.unsynced |= {old.name, new.name}

    def sync_folder(self, folder: Path) -> None:
        """As the protocol says."""
        self._spend(1)
        found = self._at(folder)
        found.durable, found.unsynced = dict(found.names), set()

    def remove(self, file: Path) -> None:
        """As the protocol says."""
        self._spend(1)
        folder = self._at(file.parent)
        del folder.names[file.name]
        folder.unsynced.add(file.name)

    def remove_folder(self, folder: Path) -> None:
        """As the protocol says."""
        self._spend(1)
        if self._at(folder).names:
            raise OSError(f"{folder} is not empty")
        del self._at(folder.parent).names[folder.name]
        self._at(folder.parent).unsynced.add(folder.name)

    def _change(self, path: Path, content: "_Folder | bytes") -> None:
        folder = self._at(path.parent)
        folder.names[path.name] = content
        folder.unsynced.add(path.name)

    def _spend(self, cost: int) -> None:
        if self.budget is None:
            return
        self.budget -= cost
        if self.budget < 0:
            raise PowerCutError

    def _at(self, path: Path) -> _Folder:
        folder = self._root
        for part in path.relative_to(self._root_path).parts:
            found = folder.names[part]
            if not isinstance(found, _Folder):
                raise NotADirectoryError(str(path))
            folder = found
        return folder


def _settle(folder: _Folder, chance: random.Random) -> None:
    """Each unsynced name is as the process saw it, or as the disk had it.

    A rename whose two names are settled apart leaves the file under both, one or neither; what a rename replaced or
    moved must therefore be safe by itself before: the strictest reading of what a file system promises.
    """
    after = dict(folder.durable)
    for name in sorted(folder.unsynced):
        if chance.random() < 0.5:
            if name in folder.names:
                after[name] = folder.names[name]
            else:
                after.pop(name, None)
    for content in after.values():
        if isinstance(content, _Folder):
            _settle(content, chance)
    folder.names, folder.durable, folder.unsynced = after, dict(after), set()
