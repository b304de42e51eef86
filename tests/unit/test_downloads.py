"""Downloads that break off, change in between, are damaged, or meet a full disk; against a real web server."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gas.downloads import TRIES, BsdSum, Downloads, Md5, bsd_sum, bsd_sum_of, require_space
from gas.errors import Damaged, NoSpace, NotFound, Unavailable
from tests.web_files import WebFiles, serving

BODY = random.Random(3).randbytes(300_000)
OTHER = random.Random(4).randbytes(310_000)


@pytest.fixture
def web() -> Iterator[WebFiles]:
    with serving() as web:
        web.put("/f.gz", BODY)
        yield web


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def downloads(pauses: list[float]) -> Iterator[Downloads]:
    downloads = Downloads(sleep=pauses.append)
    yield downloads
    downloads.close()


def md5(body: bytes) -> Md5:
    return Md5(hashlib.md5(body, usedforsecurity=False).hexdigest())


def test_file_arrives(web: WebFiles, downloads: Downloads, tmp_path: Path) -> None:
    """Whole, with progress up to the end, and nothing beside it; what is there is not fetched again."""
    told: list[tuple[int, int]] = []
    target = tmp_path / "new" / "f.gz"
    for _ in range(2):
        got = downloads.fetch(
            f"{web.url}/f.gz", target, checksum=md5(BODY), progress=lambda there, total: told.append((there, total))
        )
        assert got.read_bytes() == BODY
    assert told[0] == (0, len(BODY))
    assert told[-1] == (len(BODY), len(BODY))
    assert list(target.parent.iterdir()) == [target]
    assert len(web.asked) == 1


def test_broken_connection_is_resumed(web: WebFiles, downloads: Downloads, pauses: list[float], tmp_path: Path) -> None:
    """Each try asks only for what is missing."""
    web.cuts[:] = [100_000, 50_000]
    downloads.fetch(f"{web.url}/f.gz", tmp_path / "f.gz", checksum=md5(BODY))
    assert (tmp_path / "f.gz").read_bytes() == BODY
    assert [asked for _, _, asked in web.asked] == ["", "bytes=100000-", "bytes=150000-"]
    assert len(pauses) == 2


def test_killed_download_is_resumed_by_the_next(web: WebFiles, downloads: Downloads, tmp_path: Path) -> None:
    """What one process left, another goes on with."""
    program = (
        "import os, sys; from pathlib import Path; from gas.downloads import Downloads, Md5\n"
        "stop = lambda there, total: there and os._exit(9)\n"
        "Downloads().fetch(sys.argv[1], Path(sys.argv[2]), checksum=Md5(''), progress=stop)"
    )
    url, target = f"{web.url}/f.gz", tmp_path / "f.gz"
    killed = subprocess.run([sys.executable, "-c", program, url, str(target)], check=False)
    assert killed.returncode == 9
    arrived = (tmp_path / "f.gz.part").stat().st_size
    assert arrived > 0
    downloads.fetch(url, target, checksum=md5(BODY))
    assert target.read_bytes() == BODY
    assert web.asked[-1][2] == f"bytes={arrived}-"


def test_whole_part_needs_no_byte_more(web: WebFiles, downloads: Downloads, tmp_path: Path) -> None:
    """A process that died between the last byte and the checksum leaves no trap."""
    web.cuts[:] = [len(BODY) - 1] + [0] * TRIES
    target = tmp_path / "f.gz"
    with pytest.raises(Unavailable):
        downloads.fetch(f"{web.url}/f.gz", target, checksum=md5(BODY))
    with (tmp_path / "f.gz.part").open("ab") as part:
        part.write(BODY[-1:])
    web.cuts.clear()
    downloads.fetch(f"{web.url}/f.gz", target, checksum=md5(BODY))
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("ranges", [True, False], ids=["ranges", "no-ranges"])
def test_file_that_changed_in_between_is_begun_anew(
    web: WebFiles, downloads: Downloads, tmp_path: Path, ranges: bool
) -> None:
    """Never a mixture of two files; a server without ranges is no trouble either."""
    web.cuts[:] = [100_000]
    web.ranges = ranges
    downloads_pause = Downloads(sleep=lambda _: web.put("/f.gz", OTHER))
    downloads_pause.fetch(f"{web.url}/f.gz", tmp_path / "f.gz", checksum=md5(OTHER))
    downloads_pause.close()
    assert (tmp_path / "f.gz").read_bytes() == OTHER


def test_damaged_file_is_deleted(web: WebFiles, downloads: Downloads, tmp_path: Path) -> None:
    """Nothing of it is left, and nothing is there under its name."""
    with pytest.raises(Damaged, match=r"f\.gz is not what its checksum says"):
        downloads.fetch(f"{web.url}/f.gz", tmp_path / "f.gz", checksum=md5(OTHER))
    assert list(tmp_path.iterdir()) == []


def test_server_that_never_gets_further_is_given_up(
    web: WebFiles, downloads: Downloads, pauses: list[float], tmp_path: Path
) -> None:
    """After growing pauses; what arrived is kept."""
    web.cuts[:] = [1000] + [0] * 20
    with pytest.raises(Unavailable, match="cannot be fetched now"):
        downloads.fetch(f"{web.url}/f.gz", tmp_path / "f.gz", checksum=md5(BODY))
    assert (tmp_path / "f.gz.part").stat().st_size == 1000
    assert pauses == sorted(pauses)
    assert len(pauses) == TRIES


def test_server_in_trouble_is_asked_again(web: WebFiles, downloads: Downloads, tmp_path: Path) -> None:
    """A 503 and a 429 pass by; a 404 is told at once."""
    web.refusals[:] = [503, 429]
    downloads.fetch(f"{web.url}/f.gz", tmp_path / "f.gz", checksum=md5(BODY))
    web.refusals[:] = [503]
    assert downloads.look(f"{web.url}/f.gz").size == len(BODY)
    with pytest.raises(NotFound, match="404"):
        downloads.fetch(f"{web.url}/nothing", tmp_path / "n", checksum=md5(BODY))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_full_disk_is_told_of(web: WebFiles, downloads: Downloads, tmp_path: Path) -> None:
    """By a sentence, and nothing stands under the file's name."""
    (tmp_path / "f.gz.part").symlink_to("/dev/full")
    with pytest.raises(NoSpace, match="is full"):
        downloads.fetch(f"{web.url}/f.gz", tmp_path / "f.gz", checksum=md5(BODY))
    assert not (tmp_path / "f.gz").exists()


def test_need_is_set_against_what_is_free(tmp_path: Path) -> None:
    """Also of a folder that is not there yet."""
    assert require_space(tmp_path / "a" / "b", 1, what="This") > 0
    with pytest.raises(NoSpace, match=r"This needs 1\.0 PB .* are free"):
        require_space(tmp_path / "a" / "b", 10**15, what="This")


@pytest.mark.parametrize("length", [0, 1, 1023, 1024, 1025, 70_000])
def test_bsd_sum(tmp_path: Path, length: int) -> None:
    """The program's and our own reckoning are equal, and a wrong sum or size is seen."""
    path = tmp_path / "f"
    path.write_bytes(BODY[:length])
    total = bsd_sum_of(path)
    assert bsd_sum(path) == total
    assert BsdSum(total, -(-length // 1024)).holds(path)
    assert not BsdSum(total ^ 1, -(-length // 1024)).holds(path)
    assert not BsdSum(total, -(-length // 1024) + 1).holds(path)


def test_bsd_sum_is_the_historic_one(tmp_path: Path) -> None:
    """By hand: 0x61; rotated 0x8030 + 0x62 = 0x8092; rotated 0x4049 + 0x63 = 0x40ac."""
    (tmp_path / "f").write_bytes(b"abc")
    assert bsd_sum(tmp_path / "f") == 0x40AC
