"""The few things that the spool and the journal ask of a disk, each of which a power cut may interrupt."""

import os
from contextlib import suppress
from pathlib import Path
from typing import Protocol

FOLDER_MODE = 0o700
FILE_MODE = 0o600
"""It is speech, and text of it: nobody but its owner reads it."""

UNFINISHED = ".part"
"""Ending of a file that is being written; one that is found later was cut off, and holds nothing that was promised."""


class Disk(Protocol):
    """A file system. Everything raises OSError as the real one does."""

    def make_folder(self, folder: Path) -> None:
        """Makes a folder, and those above it; one that is there is left as it is."""
        ...

    def names(self, folder: Path) -> list[str]:
        """What lies in a folder, sorted by name."""
        ...

    def size_bytes(self, file: Path) -> int:
        """Length of a file."""
        ...

    def read(self, file: Path) -> bytes:
        """All of a file."""
        ...

    def write(self, file: Path, data: bytes) -> None:
        """A new file whose content is on the disk when this returns; its name may not be."""
        ...

    def rename(self, old: Path, new: Path) -> None:
        """Gives a file another name, over one that is there."""
        ...

    def sync_folder(self, folder: Path) -> None:
        """All names in a folder are on the disk when this returns."""
        ...

    def remove(self, file: Path) -> None:
        """Takes a file away; a power cut soon after may bring it back."""
        ...

    def remove_folder(self, folder: Path) -> None:
        """Takes an empty folder away."""
        ...


class RealDisk:
    """The machine's own."""

    def make_folder(self, folder: Path) -> None:
        """Makes a folder for its owner alone."""
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)

    def names(self, folder: Path) -> list[str]:
        """What lies in a folder, sorted by name."""
        return sorted(os.listdir(folder))

    def size_bytes(self, file: Path) -> int:
        """Length of a file."""
        return file.stat().st_size

    def read(self, file: Path) -> bytes:
        """All of a file."""
        return file.read_bytes()

    def write(self, file: Path, data: bytes) -> None:
        """Writes and syncs; what could not be written whole is taken away."""
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, FILE_MODE)
        try:
            try:
                write_all(descriptor, data)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError:
            with suppress(OSError):
                file.unlink()
            raise

    def rename(self, old: Path, new: Path) -> None:
        """Renames."""
        os.replace(old, new)

    def sync_folder(self, folder: Path) -> None:
        """Syncs the folder itself."""
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def remove(self, file: Path) -> None:
        """Unlinks."""
        file.unlink()

    def remove_folder(self, folder: Path) -> None:
        """Removes."""
        folder.rmdir()


def write_durably(disk: Disk, file: Path, data: bytes) -> None:
    """A file that survives a power cut once this has returned; if one comes before, it is as it was, or whole."""
    unfinished = file.with_name(file.name + UNFINISHED)
    disk.write(unfinished, data)
    disk.rename(unfinished, file)
    disk.sync_folder(file.parent)


def write_all(descriptor: int, data: bytes) -> None:
    """Writes all of it: the system may take less at once."""
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
