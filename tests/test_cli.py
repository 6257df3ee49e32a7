"""The console command's own output: a reader that has gone, a disk that is full."""

import os
import subprocess
import sys

import pytest

COMMANDS = ([], ["--help"], ["--version"], ["run", "--help"], ["list", "strategies"])


def answer(words: list[str], stdout: int) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "transferscope.cli", *words], stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    return done.returncode, done.stderr


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_pipe_whose_reader_has_gone_is_no_error(words):
    reading, writing = os.pipe()
    os.close(reading)
    try:
        assert answer(words, writing) == (0, "")
    finally:
        os.close(writing)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_full_disk_is_one_line(words):
    with open("/dev/full", "w") as full:
        assert answer(words, full.fileno()) == (
            1,
            f"{' '.join(['transferscope', *words[:1]])}: No space left on device\n",
        )
