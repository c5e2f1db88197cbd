"""One trial as the guard follows it: what was read, what was heard, and what was last said of it."""

from dataclasses import replace
from typing import Final

import structlog
from sqlalchemy import Engine

from voxloop_cloud.rollout.checks import Audit, Checks
from voxloop_cloud.rollout.config import RolloutConfig
from voxloop_cloud.rollout.evidence_reader import EvidenceReader
from voxloop_cloud.rollout.must_not_fail import ClipHearing
from voxloop_cloud.rollout.trial import Trial
from voxloop_cloud.rollout.verdict import Case, Verdict, judge
from voxloop_cloud.rollout.verdict_store import fired_alarms, keep_verdict
from voxloop_proto.errors import DataError

PAGES_A_LOOK: Final = 20
CLIPS_RATIO: Final = 0.1
"""Of the time between two looks, what hearing clips that must not fail takes."""

SAME_VERDICT_S: Final = 600.0
"""A verdict that says the same as the last one is written down again after this time."""

_log = structlog.get_logger("voxloop.guard")


class TrialWatch:
    """Waits for the database and the recognizer: not for the event loop. Raises as SQLAlchemy does."""

    def __init__(
        self, database: Engine, trial: Trial, config: RolloutConfig, audit: Audit, must_not_fail: ClipHearing
    ) -> None:
        """audit: of the trial's bundle. must_not_fail: by it, begun or not."""
        self.must_not_fail = must_not_fail
        self._database = database
        self._config = config
        self._audit = audit
        self._reader = EvidenceReader(database, trial, config)
        self._last: Verdict | None = None
        self._last_kept_s = 0.0

    def is_of(self, trial: Trial) -> bool:
        """Whether what is known is of this trial: shares may change, what is compared and since when may not."""
        known = self._reader.trial
        shared = replace(
            known, share=trial.share, share_since_s=trial.share_since_s, policy_version=trial.policy_version
        )
        return shared == trial

    def look(self, trial: Trial, is_forced: bool, now_s: float) -> Verdict | None:
        """Reads what is new, judges, and writes the verdict down; None while there is more to be read.

        is_forced: a person let the bundle answer without an audit. now_s: Unix seconds.
        """
        self._reader.trial = trial
        if not self._read(now_s):
            return None
        self._hear_clips()
        verdict = judge(self._case(is_forced), self._config)
        self._keep(verdict, now_s)
        return verdict

    def _read(self, now_s: float) -> bool:
        """False if that was not all."""
        return any(not self._reader.read(now_s) for _ in range(PAGES_A_LOOK))

    def _hear_clips(self) -> None:
        try:
            self.must_not_fail.go_on(CLIPS_RATIO * self._config.look_every_ms / 1000.0)
        except DataError as error:  # it was one when the server began; the other guards go on, and promote nothing
            _log.error("guard.clip_unreadable", bundle=self._reader.trial.bundle, error=error.message)

    def _case(self, is_forced: bool) -> Case:
        trial, evidence = self._reader.trial, self._reader.evidence
        alarms = fired_alarms(self._database, trial, self._config.alarms)
        return Case(
            trial=trial,
            findings=evidence.findings(),
            checks=Checks(self._audit, self.must_not_fail.result, alarms, is_forced),
            answered=self._reader.answered(),
            moved_devices=evidence.moved_devices,
            unmatched=evidence.unmatched,
        )

    def _keep(self, verdict: Verdict, now_s: float) -> None:
        """Writes a verdict down if it says something new."""
        last = self._last
        is_new = last is None or last.kind is not verdict.kind or last.trial.share != verdict.trial.share
        if is_new or now_s - self._last_kept_s >= SAME_VERDICT_S:
            keep_verdict(self._database, verdict, now_s)
            self._last, self._last_kept_s = verdict, now_s
            _log.info("verdict", bundle=verdict.trial.bundle, kind=verdict.kind.value, reason=verdict.reason)
