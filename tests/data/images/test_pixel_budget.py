"""The bound on pixels that threads decode at once."""

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from PIL import Image

from radapter.data.images import decoding
from radapter.data.images.decoding import decode
from radapter.data.images.pixel_budget import DECODING, PixelBudget


def most_at_once(budget, sizes, threads, block=None):
    """The most pixels that `threads` threads held at once, each size in a block of `budget.held` or `block`."""
    block = block or budget.held
    lock, held, most = threading.Lock(), 0, 0

    def one(pixels):
        nonlocal held, most
        with block(pixels):
            with lock:
                held += pixels
                most = max(most, held)
            threading.Event().wait(0.001)
            with lock:
                held -= pixels

    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(one, sizes))
    return most


def test_threads_never_hold_more_than_the_budget():
    assert most_at_once(PixelBudget(100), [40, 10, 30, 60] * 20, threads=8) <= 100


def test_an_image_above_the_budget_is_decoded_alone():
    assert most_at_once(PixelBudget(100), [500, 1, 99, 500] * 5, threads=4) == 500


def test_a_decoder_that_fails_gives_its_room_back():
    budget = PixelBudget(100)
    with pytest.raises(ZeroDivisionError), budget.held(100):
        raise ZeroDivisionError
    assert most_at_once(budget, [100], threads=1) == 100


def test_work_on_an_image_holds_its_room_until_it_is_done():
    budget = PixelBudget(100)

    @contextmanager
    def work(pixels):
        with budget.working():
            with budget.held(pixels):
                pass
            with budget.held(pixels):  # a second image, such as a mask, takes the room of the first
                pass
            yield

    assert 40 <= most_at_once(budget, [40, 60, 30] * 20, threads=8, block=work) <= 100
    assert most_at_once(budget, [100], threads=1) == 100


def test_work_that_fails_gives_its_room_back():
    budget = PixelBudget(100)
    with pytest.raises(ZeroDivisionError), budget.working(), budget.held(60):
        raise ZeroDivisionError
    with pytest.raises(ZeroDivisionError), budget.held(60):
        raise ZeroDivisionError
    assert most_at_once(budget, [60, 60], threads=2) == 60


def test_a_forked_process_starts_with_the_whole_budget():
    with DECODING.held(10**12):
        child = os.fork()
        if child == 0:
            with DECODING.held(10**12):
                os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def test_images_are_decoded_within_the_budget(tmp_path, monkeypatch):
    Image.new("RGB", (10, 10), (1, 2, 3)).save(tmp_path / "a.png")
    budget, asked = PixelBudget(150), []
    held = budget.held
    monkeypatch.setattr(budget, "held", lambda pixels: asked.append(pixels) or held(pixels))
    monkeypatch.setattr(decoding, "DECODING", budget)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: decode(tmp_path / "a.png", where="a").getpixel((0, 0)), range(8)))
    assert found == [(1, 2, 3)] * 8
    assert asked == [100] * 8


@pytest.mark.slow
def test_six_large_images_take_at_most_three_gigabytes(tmp_path):
    for number in range(6):
        Image.new("RGB", (7000, 7000), (number, 90, 200)).save(tmp_path / f"{number}.png")
    code = (
        "import sys, radapter_cli\n"
        "sys.argv = ['radapter', 'search', 'world:tiny', '--data', sys.argv[1], 'a cat']\n"
        "try: radapter_cli.main()\n"
        "finally: print(*(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True, check=True)
    assert int(done.stdout.split()[-1]) < 3 * 2**20  # kilobytes
