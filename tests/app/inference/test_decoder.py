"""Large and suspicious photos are decoded in processes that can be ended."""

import os
import signal
import sys
import threading
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from foodscene.app.inference import helpers as pool
from foodscene.app.inference.decoder import Decoder
from foodscene.app.inference.helpers import Helpers
from foodscene.models import pixels
from foodscene.models.pixels import BrokenPhoto, InputSpec, PhotoError, PhotoTooLarge, Reading, UnsupportedPhoto

SPEC = InputSpec(32, 32)


def encoded(image: Image.Image, form: str = "PNG") -> bytes:
    target = BytesIO()
    image.save(target, form)
    return target.getvalue()


@pytest.fixture(scope="module")
def large() -> bytes:
    """Of 25 megapixels: heavy."""
    return encoded(Image.linear_gradient("L").resize((5000, 5000)).convert("RGB"))


def processes(helpers: Helpers) -> list[int]:
    return [helper.process.pid for helper in helpers._idle]


@pytest.mark.slow
def test_a_large_photo_is_decoded_by_a_helper_to_the_same_pixels(large: bytes) -> None:
    decoder = Decoder()
    helpers = decoder._helpers
    assert not processes(helpers)  # none is started before one is needed
    small = encoded(Image.new("RGB", (40, 30), "red"))
    assert decoder.read(small, decoder.inspect(small), SPEC).pixels.shape == (32, 32, 3)
    assert not processes(helpers)
    found = decoder.read(large, decoder.inspect(large), SPEC)
    assert np.array_equal(found.pixels, pixels.read_photo(large, SPEC))
    assert not found.truncated
    (first,) = processes(helpers)
    for mode in ("RGB", "L"):
        photo = encoded(Image.linear_gradient("L").resize((6500, 6500)).convert(mode))
        shrunk = decoder.shrink(photo, 100)
        assert shrunk.size == (100, 100)
        assert shrunk.mode == mode
    assert processes(helpers) == [first]  # the same one again
    decoder.close()
    with pytest.raises(ProcessLookupError):
        os.kill(first, 0)


def test_a_photo_that_takes_too_long_is_ended_and_the_next_one_decoded(large: bytes) -> None:
    helpers = Helpers(1, 0.15, 600_000_000)
    with pytest.raises(PhotoTooLarge, match=r"more than 0\.15 s"):
        helpers.decode(large, spec=SPEC, limits=pixels.LIMITS)
    assert not processes(helpers)
    small = encoded(Image.new("RGB", (40, 30), "red"))
    assert helpers.decode(small, spec=SPEC, limits=pixels.LIMITS).pixels[0, 0].tolist() == [255, 0, 0]
    helpers.close()


def test_a_helper_that_does_not_answer_is_killed(large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    helpers = Helpers(1, 60, 600_000_000)
    small = encoded(Image.new("RGB", (40, 30), "red"))
    helpers.decode(small, spec=SPEC, limits=pixels.LIMITS)
    os.kill(processes(helpers)[0], signal.SIGSTOP)
    monkeypatch.setattr(pool, "_BUSY", 0.01)
    started = time.monotonic()
    with pytest.raises(PhotoTooLarge):
        helpers.decode(large, spec=SPEC, limits=pixels.LIMITS)
    assert time.monotonic() - started < 10
    helpers.close()


def test_a_decoder_that_crashes_harms_nobody(large: bytes) -> None:
    helpers = Helpers(1, 60, 600_000_000)
    small = encoded(Image.new("RGB", (40, 30), "red"))
    helpers.decode(small, spec=SPEC, limits=pixels.LIMITS)
    (process,) = processes(helpers)
    os.kill(process, signal.SIGSTOP)  # so that it is sure to have the photo when it crashes
    crash = threading.Timer(0.2, lambda: (os.kill(process, signal.SIGSEGV), os.kill(process, signal.SIGCONT)))
    crash.start()
    with pytest.raises(BrokenPhoto, match="gave up"):
        helpers.decode(large, spec=SPEC, limits=pixels.LIMITS)
    crash.join()
    helpers.decode(small, spec=SPEC, limits=pixels.LIMITS)
    os.kill(processes(helpers)[0], signal.SIGKILL)  # by the system, for memory, while it is idle
    time.sleep(0.2)
    helpers.decode(small, spec=SPEC, limits=pixels.LIMITS)
    helpers.close()


def test_a_photo_that_takes_too_much_memory_is_refused(large: bytes) -> None:
    helpers = Helpers(1, 60, 50_000_000)
    with pytest.raises(PhotoTooLarge, match="memory"):
        helpers.decode(large, spec=SPEC, limits=pixels.LIMITS)
    helpers.close()


def test_errors_come_through_as_they_are() -> None:
    helpers = Helpers(1, 60, 600_000_000)
    for photo, error in ((b"text", UnsupportedPhoto), (b"", BrokenPhoto), (b"\xff\xd8\xff\xe0", BrokenPhoto)):
        with pytest.raises(error):
            helpers.decode(photo, spec=SPEC, limits=pixels.LIMITS)
    helpers.close()


@pytest.mark.slow
def test_never_more_helpers_than_said_and_none_that_is_idle(large: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_IDLE", 0.5)
    helpers = Helpers(2, 60, 600_000_000)
    started: list[int] = []
    start = pool._Helper.__init__

    def noted(self: pool._Helper, memory: int) -> None:
        start(self, memory)
        started.append(self.process.pid)

    monkeypatch.setattr(pool._Helper, "__init__", noted)
    threads = [
        threading.Thread(target=helpers.decode, args=(large,), kwargs={"spec": SPEC, "limits": pixels.LIMITS})
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(started) == 2
    until = time.monotonic() + 10
    while processes(helpers) and time.monotonic() < until:
        time.sleep(0.05)
    assert not processes(helpers)
    helpers.close()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_helper_has_none_of_the_service_s_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOODSCENE_API_KEYS", "a hash")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a secret")
    helpers = Helpers(1, 60, 600_000_000)
    helpers.decode(encoded(Image.new("RGB", (40, 30))), spec=SPEC, limits=pixels.LIMITS)
    environment = Path(f"/proc/{processes(helpers)[0]}/environ").read_bytes()
    names = {entry.partition(b"=")[0].decode() for entry in environment.split(b"\0") if entry}
    helpers.close()
    assert names <= {*pool._PASSED_ON, "PYTHONPATH", "OPENBLAS_NUM_THREADS", "LC_CTYPE"}  # the last one is Python's


def test_large_photos_that_come_at_once_are_decoded_after_each_other(
    large: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock = threading.Lock()
    under_way, most = 0, 0

    def decode(*_: object, **__: object) -> Reading:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1
        return Reading(np.zeros(SPEC.shape, np.uint8), truncated=False)

    def read_at_once(memory: int) -> int:
        nonlocal most
        most = 0
        decoder = Decoder(helpers=4, memory=memory)
        monkeypatch.setattr(decoder._helpers, "decode", decode)
        threads = [threading.Thread(target=decoder.read, args=(large, header, SPEC)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        decoder.close()
        return most

    monkeypatch.setattr(pixels.DECODING, "whole", pixels.DECODING.whole)  # put back afterwards
    header = pixels.inspect(large)
    assert read_at_once(header.bytes * 3 // 2) == 1
    assert read_at_once(header.bytes * 5 // 2) == 2


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "TIFF LZW", "AVIF", "HEIF"])
def test_what_a_decoder_prints_does_not_come_into_the_service_s_log(
    form: str, capfd: pytest.CaptureFixture[str]
) -> None:
    """It is no line of JSON, and who prints waits for whoever reads."""
    name, _, compressed = form.partition(" ")
    target = BytesIO()
    options = {"compression": "tiff_lzw"} if compressed else {}
    Image.effect_noise((200, 150), 100).convert("RGB").save(target, name, **options)
    photo = target.getvalue()
    decoder = Decoder(helpers=1)
    for place in range(len(photo) // 3, len(photo) - 40, len(photo) // 6):
        damaged = photo[:place] + bytes(range(200, 230)) + photo[place + 30 :]
        for upload in (damaged, photo[:place]):
            with suppress(PhotoError):
                decoder.read(upload, decoder.inspect(upload), SPEC)
            with suppress(PhotoError):
                decoder.shrink(upload, 50)
    decoder.close()
    assert capfd.readouterr().err == ""
