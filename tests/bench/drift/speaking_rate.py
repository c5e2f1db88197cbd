"""Speech at another rate and the same pitch: overlap-add of pieces that fit (WSOLA, Verhelst and Roelands 1993)."""

import numpy as np

from voxloop_proto.audio import Pcm

_PIECE = 480  # 30 ms
_STEP = _PIECE // 2
_SEARCH = 160  # 10 ms to both sides


def at_rate(pcm: Pcm, rate: float) -> Pcm:
    """The sound, (N,) float32, said `rate` times as fast: about N / rate samples."""
    window = np.hanning(_PIECE + 1)[:-1].astype(np.float32)
    pieces = max(1, int(len(pcm) / rate) // _STEP)
    padded = np.concatenate((np.zeros(_SEARCH, np.float32), pcm, np.zeros(2 * _PIECE + 2 * _SEARCH, np.float32)))
    out = np.zeros((pieces + 1) * _STEP, np.float32)
    at = _SEARCH
    for number in range(pieces):
        if number:
            natural = padded[at + _STEP : at + _STEP + _PIECE]
            first = int(number * _STEP * rate)
            around = np.lib.stride_tricks.sliding_window_view(padded[first : first + 2 * _SEARCH + _PIECE], _PIECE)
            at = first + int(np.argmax(around @ natural))
        out[number * _STEP : number * _STEP + _PIECE] += window * padded[at : at + _PIECE]
    return out
