"""What a bundle is asked apart from its traffic: its audit, clips that it must get right, alarms."""

import json
from dataclasses import dataclass

from voxloop_cloud.bundle import AUDIT_FILE, Bundle


@dataclass(frozen=True, slots=True)
class Audit:
    """What the bundle's own audit.json says. is_there: false if it says nothing."""

    is_there: bool
    failed_gates: tuple[str, ...] = ()

    @property
    def has_passed(self) -> bool:
        """True if there is one, and the bundle passed all of its gates."""
        return self.is_there and not self.failed_gates


@dataclass(frozen=True, slots=True)
class WrongClip:
    """A clip whose text is not what it must be."""

    clip_id: str
    wanted: str
    heard: str


@dataclass(frozen=True, slots=True)
class MustNotFail:
    """How the bundle did on the clips that it must get right."""

    clips: int
    wrong: tuple[WrongClip, ...] = ()


@dataclass(frozen=True, slots=True)
class Checks:
    """All of them. must_not_fail: None if no such clips are set. alarms: rules that fired because of the bundle.

    is_forced: a person let it in without an audit that it passed.
    """

    audit: Audit
    must_not_fail: MustNotFail | None = None
    alarms: tuple[str, ...] = ()
    is_forced: bool = False


def read_audit(bundle: Bundle) -> Audit:
    """What a bundle's audit.json says; one that was imported says nothing."""
    audit = json.loads((bundle.path / AUDIT_FILE).read_text(encoding="utf-8"))
    if "passed" not in audit:
        return Audit(is_there=False)
    gates = audit.get("gates", {})
    failed = tuple(str(name) for name, passed in gates.items() if passed is not True)
    return Audit(is_there=True, failed_gates=failed or (() if audit["passed"] is True else ("passed",)))
