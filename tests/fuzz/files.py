"""Where fuzzed files lie: one folder in memory where there is one, gone with the process."""

import atexit
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

_IN_MEMORY = Path("/dev/shm")  # else thousands of files a second wear a disk


@lru_cache(1)
def scratch() -> Path:
    """A folder for the files of this process's runs."""
    folder = tempfile.mkdtemp(prefix="voxloop-fuzz-", dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)
