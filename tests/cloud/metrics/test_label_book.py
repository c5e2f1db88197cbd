"""A label has few values, the same in all workers."""

import subprocess
import sys
from pathlib import Path

from structlog.testing import capture_logs

from voxloop_cloud.metrics.label_book import MOST_KINDS, LabelBook

WORKER = """
import sys
from pathlib import Path
from voxloop_cloud.metrics.label_book import LabelBook
book = LabelBook(file=Path(sys.argv[1]))
print(*sorted({book.value(f"kind-{sys.argv[2]}-{number}") for number in range(100)}))
"""


def test_the_first_that_come_have_their_place_and_keep_it() -> None:
    book = LabelBook(2)
    assert [book.value(said) for said in ("a", "b", "c", "a", "c")] == ["a", "b", "other", "a", "other"]


def test_workers_have_the_same_values_between_them(tmp_path: Path) -> None:
    file = tmp_path / "kinds"
    one, other = LabelBook(3, file), LabelBook(3, file)
    assert [one.value("a"), other.value("b"), one.value("c")] == ["a", "b", "c"]
    assert [one.value("b"), other.value("c"), other.value("a")] == ["b", "c", "a"]
    assert [one.value("d"), other.value("d")] == ["other", "other"]


def test_processes_that_come_at_once_do_not_make_more_than_there_may_be(tmp_path: Path) -> None:
    file = tmp_path / "kinds"
    commands = [[sys.executable, "-c", WORKER, str(file), str(number)] for number in range(3)]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    seen = set(" ".join(worker.communicate(timeout=60)[0] for worker in workers).split())
    assert len(seen - {"other"}) == MOST_KINDS
    assert set(file.read_text(encoding="ascii").split()) == seen - {"other"}


def test_a_file_that_cannot_be_written_makes_new_values_others_and_fails_nobody(tmp_path: Path) -> None:
    book = LabelBook(3, tmp_path / "no folder" / "kinds")
    with capture_logs() as logs:
        assert [book.value("a"), book.value("b")] == ["other", "other"]
    assert [log["event"] for log in logs] == ["labels.not_shared"]
