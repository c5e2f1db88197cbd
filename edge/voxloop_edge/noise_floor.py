"""Follows the level of the background, so that a steady noise is not taken for speech."""

_FIRST_DBFS = -70.0  # a quiet room: speech that comes first thing stands out, a noise is learned while it lasts
_LEAST_DBFS = -95.0
_RISE_DB_PER_S = 3.0  # slower than speech goes without a pause: in 5 s of it the floor comes up by 15 dB
_FALL_SHARE = 0.5  # of the way down, in each frame


class NoiseFloor:
    """The level that frames fall back to between sounds: follows downwards at once, upwards slowly."""

    def __init__(self, frame_ms: float) -> None:
        self._rise_db = _RISE_DB_PER_S * frame_ms / 1000.0
        self.reset()

    def reset(self) -> None:
        """Forgets what was heard."""
        self._floor_dbfs = _FIRST_DBFS

    def follow(self, level_dbfs: float) -> float:
        """Takes the level of the next frame; returns how far it stands out from the background, in dB."""
        floor = self._floor_dbfs
        floor = (
            min(level_dbfs, floor + self._rise_db) if level_dbfs > floor else floor + (level_dbfs - floor) * _FALL_SHARE
        )
        self._floor_dbfs = max(_LEAST_DBFS, floor)
        return level_dbfs - self._floor_dbfs
