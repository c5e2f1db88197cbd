from pathlib import Path

import pytest

from voxloop_cloud.testing import tiny_bundle
from voxloop_proto.errors import ContractError
from voxloop_training.evaluation.system import open_systems


def test_systems_are_labelled_by_what_sets_them_apart(tmp_path: Path) -> None:
    plain, ahead, twin, other = (tmp_path / name for name in ("plain", "ahead", "twin", "other"))
    tiny_bundle(plain)
    tiny_bundle(ahead, window_frames=19, shift_frames=16)
    tiny_bundle(twin, seed=1)
    tiny_bundle(other, name="other")
    assert [each.label for each in open_systems([plain], ["streaming"])] == ["voxloop-tiny 0.0.1"]
    labels = [each.label for each in open_systems([plain, other, ahead, twin], ["offline"])]
    assert labels[1] == "other 0.0.1"
    assert labels[2] == "voxloop-tiny 0.0.1, float32, 195 ms ahead"
    assert labels[0] == f"voxloop-tiny 0.0.1, float32, 355 ms ahead, {plain}"
    assert len(set(labels)) == 4


def test_each_bundle_is_heard_in_each_mode(tmp_path: Path) -> None:
    tiny_bundle(tmp_path / "tiny")
    found = open_systems([tmp_path / "tiny"], ["streaming", "offline"])
    assert [(each.mode, each.label) for each in found] == [
        ("streaming", "voxloop-tiny 0.0.1, streaming"),
        ("offline", "voxloop-tiny 0.0.1, offline"),
    ]


def test_a_folder_that_is_no_bundle_is_named(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=str(tmp_path)):
        open_systems([tmp_path], ["streaming"])
