"""The engine's process: its limits, its death and its caller's."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest

from gas.annotation import Limits, annotate, bcftools, engine, stages, work
from gas.errors import EngineError, InputError
from gas.job import Progress
from gas.references import Reference
from tests.unit.engine_inputs import D614G, F924F, N501Y, records_of, vcf, write

RECORDS = [F924F, N501Y, D614G]


@pytest.fixture
def forking(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Patches made here are seen by the engine, which is a fork of this process."""
    monkeypatch.setattr(engine, "_has_one_thread", lambda: True)
    return monkeypatch


def _die(number: int) -> None:
    if number != signal.SIGKILL:
        signal.signal(number, signal.SIG_DFL)  # pytest's faulthandler would catch it
    os.kill(os.getpid(), number)


def test_csq_dying_of_sigsegv_is_an_error_with_a_sentence(
    tmp_path: Path, sars_cov_2: Reference, forking: pytest.MonkeyPatch
) -> None:
    """When csq dies, the caller lives, gets an EngineError, and finds no file."""
    real = bcftools.bcftools

    def dying(command: str, *arguments: str, **named: object) -> str:
        if command == "csq":
            _die(signal.SIGSEGV)
        return real(command, *arguments, **named)  # type: ignore[arg-type] # passed through

    forking.setattr(stages, "bcftools", dying)
    with pytest.raises(EngineError, match="SIGSEGV while calling consequences"):
        annotate(write(tmp_path / "in", vcf(*RECORDS)), tmp_path / "out" / "r.vcf.gz", reference=sars_cov_2)
    assert list((tmp_path / "out").iterdir()) == []


def test_the_engine_dying_is_an_error_with_a_sentence(
    tmp_path: Path, sars_cov_2: Reference, forking: pytest.MonkeyPatch
) -> None:
    """When the engine's own process is killed (by the kernel, out of memory), the caller says so."""
    forking.setattr(work.Work, "run", lambda self: _die(signal.SIGKILL))
    with pytest.raises(EngineError, match="SIGKILL"):
        annotate(write(tmp_path / "in", vcf(*RECORDS)), tmp_path / "out" / "r.vcf.gz", reference=sars_cov_2)
    assert list((tmp_path / "out").iterdir()) == []


def test_memory_limit(tmp_path: Path, sars_cov_2: Reference, monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that reaches its memory limit ends with a sentence, not with the machine."""
    # A fork may find room enough in what its parent has set free.
    monkeypatch.setattr(engine, "_has_one_thread", lambda: False)
    with pytest.raises(EngineError, match="memory"):
        annotate(
            write(tmp_path / "in", vcf(*RECORDS)),
            tmp_path / "out" / "r.vcf.gz",
            reference=sars_cov_2,
            limits=Limits(memory_bytes=16 << 20),
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_time_limit_ends_everything(tmp_path: Path, sars_cov_2: Reference, forking: pytest.MonkeyPatch) -> None:
    """At the time limit the engine and its children are killed, and the sentence names the limit."""
    forking.setattr(work, "normalise", lambda *_, **__: time.sleep(600))
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    began = time.monotonic()
    with pytest.raises(EngineError, match=r"longer than 0\.5 seconds"):
        annotate(
            write(tmp_path / "in", vcf(*RECORDS)),
            tmp_path / "out" / "r.vcf.gz",
            reference=sars_cov_2,
            limits=Limits(timeout_s=0.5),
        )
    assert time.monotonic() - began < 60
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert list((tmp_path / "out").iterdir()) == []


def test_interrupting_the_caller_ends_everything(
    tmp_path: Path, sars_cov_2: Reference, forking: pytest.MonkeyPatch
) -> None:
    """An exception in the progress callback (a cancelled job, Ctrl-C) leaves no process and no file."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}

    def cancel(progress: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        annotate(
            write(tmp_path / "in", vcf(*RECORDS)),
            tmp_path / "out" / "r.vcf.gz",
            reference=sars_cov_2,
            progress=cancel,
        )
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before
    assert list((tmp_path / "out").iterdir()) == []


_CALLER = """
import sys, time
from pathlib import Path
from gas.annotation import annotate, engine, work
from gas.references import Reference
work.normalise = lambda *_, **__: time.sleep(600)
folder = Path(sys.argv[1])
print("ready", flush=True)
annotate(folder / "in", folder / "out" / "r.vcf.gz", reference=Reference.load(Path(sys.argv[2])), processors=2)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
def test_killing_the_caller_leaves_no_process(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A worker killed with -9 takes the engine along."""
    write(tmp_path / "in", vcf(*RECORDS))
    caller = subprocess.Popen(
        [sys.executable, "-c", _CALLER, str(tmp_path), str(sars_cov_2.folder)], stdout=subprocess.PIPE
    )
    try:
        assert caller.stdout is not None
        assert caller.stdout.readline() == b"ready\n"
        deadline = time.monotonic() + 60
        engines: list[psutil.Process] = []
        while not engines and time.monotonic() < deadline:
            engines = psutil.Process(caller.pid).children(recursive=True)
            time.sleep(0.01)
        assert engines
        caller.send_signal(signal.SIGKILL)
        _, alive = psutil.wait_procs(engines, timeout=30)
        assert alive == []
    finally:
        caller.kill()
        caller.wait()
        caller.stdout.close()


def test_a_caller_with_threads_gets_a_fresh_process(tmp_path: Path, sars_cov_2: Reference) -> None:
    """A process with threads is not forked, and the result has the same bytes."""
    given = write(tmp_path / "in", vcf(*RECORDS))
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait)
    thread.start()
    try:
        assert not engine._has_one_thread()
        fresh = annotate(given, tmp_path / "fresh.vcf.gz", reference=sars_cov_2)
    finally:
        stop.set()
        thread.join()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(engine, "_has_one_thread", lambda: True)
        forked = annotate(given, tmp_path / "forked.vcf.gz", reference=sars_cov_2)
    assert fresh.vcf.read_bytes() == forked.vcf.read_bytes()
    assert len(records_of(fresh.vcf)) == 3


def test_a_fresh_process_that_gets_no_work_is_ended(
    tmp_path: Path, sars_cov_2: Reference, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What goes wrong while the task is handed over leaves no process behind."""

    def fail(_: object) -> bytes:
        raise MemoryError

    monkeypatch.setattr(engine, "_has_one_thread", lambda: False)
    monkeypatch.setattr(engine.pickle, "dumps", fail)
    before = psutil.Process().children()
    with pytest.raises(MemoryError):
        annotate(write(tmp_path / "in", vcf(*RECORDS)), tmp_path / "r.vcf.gz", reference=sars_cov_2)
    assert psutil.Process().children() == before


def test_progress_is_told(tmp_path: Path, sars_cov_2: Reference) -> None:
    """The callback hears of each stage, ends at the number of records, and never goes back within a stage."""
    told: list[Progress] = []
    annotate(write(tmp_path / "in", vcf(*RECORDS)), tmp_path / "r.vcf.gz", reference=sars_cov_2, progress=told.append)
    assert {progress.stage for progress in told} >= {"check", "annotate", "write"}
    done = [progress.done for progress in told if progress.stage == "annotate"]
    assert done == sorted(done)
    assert (told[-1].done, told[-1].total) == (3, 3)


def test_a_failing_run_leaves_an_earlier_result(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Where a result stands already, a refused input does not touch it."""
    out = tmp_path / "r.vcf.gz"
    annotate(write(tmp_path / "good", vcf(*RECORDS)), out, reference=sars_cov_2)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("r.")}
    with pytest.raises(InputError):
        annotate(write(tmp_path / "bad", b"junk"), out, reference=sars_cov_2)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name.startswith("r.")} == before


@pytest.mark.parametrize("name", ["r.vcf", ".vcf.gz", "r.gz"])
def test_the_output_must_be_called_vcf_gz(name: str, tmp_path: Path, sars_cov_2: Reference) -> None:
    """Another ending is refused before any work."""
    with pytest.raises(InputError, match=r"NAME\.vcf\.gz"):
        annotate(write(tmp_path / "in", vcf()), tmp_path / name, reference=sars_cov_2)


def test_work_dir_holds_what_lies_on_disk_meanwhile(tmp_path: Path, sars_cov_2: Reference) -> None:
    """Intermediate files go to the folder asked for, and are gone afterwards."""
    work_dir = tmp_path / "work"
    work_dir.mkdir()
    seen: set[str] = set()

    def look(progress: Progress) -> None:
        seen.update(path.name for path in work_dir.iterdir())

    given = write(tmp_path / "in", vcf(*RECORDS))
    result = annotate(given, tmp_path / "out" / "r.vcf.gz", reference=sars_cov_2, work_dir=work_dir, progress=look)
    assert len(seen) == 1
    assert list(work_dir.iterdir()) == []
    assert json.loads(result.summary.read_text())["counts"]["records"] == 3
