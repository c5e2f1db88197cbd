"""`python -m tests.fuzz.model_worker FOLDER`: for each line that comes in, tries the bundle, and answers a word."""

import sys
import traceback
from pathlib import Path

from voxloop_cloud.bundle import load_bundle
from voxloop_cloud.recognizer import Recognizer
from voxloop_proto.errors import ContractError

FINE, REFUSED, FAULT = "fine", "refused", "fault"


def try_out(place: Path) -> str:
    """What becomes of a bundle."""
    try:
        Recognizer(load_bundle(place))
    except ContractError:
        return REFUSED
    except Exception:  # noqa: BLE001 (whatever it is, the fuzzer is to know)
        traceback.print_exc()
        return FAULT
    return FINE


if __name__ == "__main__":
    for _ in sys.stdin:
        print(try_out(Path(sys.argv[1])), flush=True)  # noqa: T201 (its one output)
