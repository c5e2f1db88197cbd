from pathlib import Path

import pytest

from voxloop_proto.errors import ConfigError
from voxloop_training.synthesis.recipe import load_synthesis

DEFAULT = Path(__file__).parents[3] / "training/recipes/synthetic.toml"


def test_a_person_is_in_one_split(tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.toml"
    faulty.write_text(
        '[[voices]]\nvoice = "festival/kal_diphone"\nminutes = 1\n'
        '[[voices]]\nvoice = "flite/kal16"\nminutes = 1\nsplit = "test"\n'
    )
    with pytest.raises(ConfigError, match="kal, who is in train already"):
        load_synthesis(faulty)


@pytest.mark.parametrize("split", ["train", "dev"])
@pytest.mark.parametrize("name", ["slt", "rms", "awb"])
def test_a_test_person_is_only_tested_on(tmp_path: Path, name: str, split: str) -> None:
    faulty = tmp_path / "faulty.toml"
    faulty.write_text(f'[[voices]]\nvoice = "flite/{name}"\nminutes = 1\nsplit = "{split}"\n')
    with pytest.raises(ConfigError, match=rf"voices\.0: .*flite/{name} is kept for tests"):
        load_synthesis(faulty)


def test_an_unknown_voice_is_named(tmp_path: Path) -> None:
    faulty = tmp_path / "faulty.toml"
    faulty.write_text('[[voices]]\nvoice = "flite/nobody"\nminutes = 1\n')
    with pytest.raises(ConfigError, match=r"voices\.0\.voice.*there are espeak-ng/en-us\+m1"):
        load_synthesis(faulty)


def test_the_default_recipe_keeps_the_voices_of_the_demo_for_the_test() -> None:
    splits = {share.voice: share.split for share in load_synthesis(DEFAULT).voices}
    assert {splits[f"flite/{name}"] for name in ("slt", "rms", "awb")} == {"test"}
