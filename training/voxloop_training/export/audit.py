"""The gates that a bundle passes before anybody may serve it."""

from collections.abc import Mapping
from typing import Any

from voxloop_training.export.parity import ParityConfig


def audit_of(
    config: ParityConfig, differences: Mapping[str, float], full: Mapping[str, Any], int8: Mapping[str, Any]
) -> dict[str, Any]:
    """The audit: scores of the int8 model per set and slice, parity figures, and which gates hold.

    `full` and `int8` are scores by set name of the same clips; the WER gate compares the sets that both have.
    """
    added = {name: (int8[name]["wer"] or 0.0) - (full[name]["wer"] or 0.0) for name in full if name in int8}
    worst = max(added.values(), default=0.0)
    gates = {
        "onnx_equals_torch": differences["onnx_to_torch"] <= config.onnx_limit,
        "streaming_equals_whole": differences["streaming_to_whole"] <= config.streaming_limit,
        "int8_keeps_wer": worst <= config.wer_limit_ratio,
    }
    parity = {**{key: float(f"{value:.3g}") for key, value in differences.items()}, "int8_added_wer": round(worst, 5)}
    return {"gates": gates, "passed": all(gates.values()), "parity": parity, "sets": dict(int8), "fp32": dict(full)}
