"""What a device writes to its socket, counted: framing and all, it stays within what the README promises."""

import json
import subprocess
from pathlib import Path

from tests.e2e.conftest import QUERIES, ROOT

MOST_OVER_SOUND_RATIO = 0.02
MOST_OPUS_KBIT_PER_S = 32.0


def test_the_wire_carries_little_more_than_the_voiced_sound(tiny: Path, tmp_path: Path) -> None:
    file = tmp_path / "uplink.json"
    options: list[str | Path] = [QUERIES / "queries.jsonl", "--bundle", tiny, "--fast", "--json", file]
    done = subprocess.run(
        [ROOT / "scripts" / "measure_uplink", *options], timeout=240, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (source,) = json.loads(file.read_text(encoding="utf-8"))["sources"].values()
    pcm16, opus = source["pcm16"], source["opus"]
    assert 0.2 < pcm16["voiced_share"] == opus["voiced_share"] < 0.8
    assert 0.0 < pcm16["over_voiced_pcm16_ratio"] <= MOST_OVER_SOUND_RATIO
    assert 20.0 < opus["kbit_per_s_speaking"] <= MOST_OPUS_KBIT_PER_S
    assert pcm16["words"] == opus["words"] > 0
