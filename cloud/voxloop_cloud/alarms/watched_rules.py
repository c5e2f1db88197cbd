"""The rules of a running server, read again when their file has changed."""

from pathlib import Path

import structlog

from voxloop_cloud.alarms.rule import Rule
from voxloop_cloud.alarms.rule_file import SHIPPED_RULES, read_rules
from voxloop_proto.errors import ConfigError

_log = structlog.get_logger("voxloop.alarms")


class WatchedRules:
    """What `voxloop alarms set` changes is seen at the next evaluation."""

    def __init__(self, file: Path | None) -> None:
        """file: none for the rules that ship. Raises as read_rules."""
        self._file = file or SHIPPED_RULES
        self._stamp = self._look()
        self.rules: tuple[Rule, ...] = read_rules(self._file)

    def refresh(self) -> None:
        """Looks at the file (one `stat`), and reads it if it is another one now.

        One that is gone or faulty is told in the log, once, and the rules stay as they were.
        """
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.rules = read_rules(self._file)
        except ConfigError as error:
            _log.error("alarms.rules_unreadable", error=error.message, kept=len(self.rules))
        else:
            _log.info("alarms.rules_read", rules=len(self.rules))

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._file.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size
