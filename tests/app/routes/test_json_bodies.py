import asyncio
import base64
import json
import os
import random
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest

from foodscene.app.problems import Problem
from foodscene.app.routes import json_bodies
from foodscene.app.routes.json_bodies import JsonBody, from_base64, off_the_loop, whole_numbers

PHOTO = os.urandom(1_000_003)
TEXT = base64.b64encode(PHOTO).decode()


@pytest.mark.parametrize("escape", [False, True], ids=["as it is", "as PHP writes it"])
@pytest.mark.parametrize("indent", [None, 1])
def test_photos_are_read_from_the_memory_of_the_body(escape: bool, indent: int | None) -> None:
    text = json.dumps({"a \\" * (not escape): 1, "inputs": [TEXT, "short", TEXT]}, indent=indent)
    read = JsonBody((text.replace("/", "\\/") if escape else text).encode())
    first, short, third = (read.value(text) for text in read.content["inputs"])
    assert isinstance(first, memoryview)
    assert short == "short"
    assert from_base64(first, "") == from_base64(third, "") == PHOTO


@pytest.mark.parametrize("count", [3, 5000, 200_000])
def test_numbers_are_read_in_pieces(count: int) -> None:
    numbers = np.arange(count, dtype=np.uint8)
    read = JsonBody(json.dumps({"data": numbers.tolist(), "other": [[1, 2], []], "text": 'a "b" [c'}).encode())
    data = read.value(read.content["data"])
    found = whole_numbers(data) if isinstance(data, memoryview) else np.array(data, np.uint8)
    assert np.array_equal(found, numbers)
    assert (read.content["other"], read.content["text"]) == ([[1, 2], []], 'a "b" [c')


@pytest.mark.parametrize(
    "odd", ["", '"', "\\", '\\"', '"\\\\', "\u2028é", "\0", "]", "[" * 5000, 'x"' * 3000, "\\" * 5001]
)
def test_what_is_not_taken_out_is_as_json_has_it(odd: str) -> None:
    content = {odd: [odd, {"a": odd}], "photo": TEXT, "last": odd}
    read = JsonBody(json.dumps(content).encode())
    assert from_base64(read.value(read.content["photo"]), "") == PHOTO
    for found, meant in ((read.content["last"], odd), (read.content.get(odd, [odd])[0], odd)):
        value = read.value(found)
        assert (bytes(value).decode() if isinstance(value, memoryview) else value) == meant


@pytest.mark.parametrize("before", range(4))
def test_escapes_between_two_pieces(before: int) -> None:
    read = JsonBody(b'{"a":"' + b" " * before + b"\\/" * 400_000 + b'"}')
    assert from_base64(read.value(read.content["a"]), "a") == b"\xff" * 300_000
    read = JsonBody(b'{"a":"' + b" " * before + b"\\/" * 131_069 + b'\\\\\\/"}')
    with pytest.raises(Problem, match="not base64"):
        from_base64(read.value(read.content["a"]), "a")


HOSTILE = {
    "objects": lambda: b'{"a":[' + b",".join([b'{"":0}'] * 2_700_000) + b"]}",
    "lists": lambda: b'{"a":[' + b",".join([b"[]"] * 6_300_000) + b"]}",
    "depth": lambda: b'{"a":' + b"[" * 19_000_000,
    "depth with an end": lambda: b'{"a":' + b"[" * 400_000 + b"]" * 400_000 + b"}",
    "deep objects": lambda: b'{"a":' * 190_000 + b"1" + b"}" * 190_000,
    "quotes": lambda: b'{"a":[' + b'"",' * 6_300_000 + b'""]}',
    "escaped quotes": lambda: b'{"a":"' + b'\\"' * 9_500_000 + b'"}',
    "backslashes": lambda: b'{"a":"' + b"\\\\" * 9_500_000 + b'"}',
    "no end of a string": lambda: b'{"a":"' + b"a" * 19_000_000,
    "no end of an escape": lambda: b'{"a":"' + b"\\" * 19_000_001,
    "numbers": lambda: b'{"a":[' + b"1.5," * 4_700_000 + b"1]}",
    "one number": lambda: b'{"a":' + b"1" * 19_000_000 + b"}",
    "long lists": lambda: b'{"a":[' + b",".join([b"[" + b"1," * 2100 + b"1]"] * 4_500) + b"]}",
    "lists of a text": lambda: b'{"a":[' + b'["a"],' * 3_100_000 + b"1]}",
    "long lists of objects": lambda: b'{"a":[' + b"{}," * 6_000_000 + b"1]}",
    "blanks": lambda: b'{"a":' + b" " * 19_000_000 + b"1}",
    "utf-16": lambda: '{"a":1}'.encode("utf-16") + b" \0" * 9_000_000,
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_body_is_refused_or_read_at_little_cost(kind: str) -> None:
    body = HOSTILE[kind]()
    started = time.process_time()
    tracemalloc.start()
    with suppress(Problem):  # anything else fails
        JsonBody(body)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert time.process_time() - started < 1
    assert peak < 60_000_000


def lines(text: str, end: str) -> str:
    return end.join(text[start : start + 76] for start in range(0, len(text), 76)) + end


SPELLINGS: dict[str, Callable[[str], str]] = {
    "a data URL": lambda text: f"data:image/jpeg;base64,{text}",
    "a data URL of a plain kind": lambda text: f"DATA:;charset=utf-8;base64,{text}",
    "URL-safe": lambda text: text.replace("+", "-").replace("/", "_"),
    "unpadded": lambda text: text.rstrip("="),
    "URL-safe and unpadded": lambda text: text.replace("+", "-").replace("/", "_").rstrip("="),
    "lines": lambda text: lines(text, "\n"),
    "lines of MIME": lambda text: lines(text, "\r\n"),
    "lines of a data URL": lambda text: "data:image/jpeg;base64,\n" + lines(text, "\n"),
}
WRITERS: dict[str, Callable[[str], str]] = {
    "Python": str,
    "PHP": lambda text: text.replace("/", "\\/"),
    ".NET": lambda text: text.replace("+", "\\u002B"),
    "Gson": lambda text: text.replace("=", "\\u003d"),
}


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("size", [40, 8_000, 1_100_001])
def test_base64_is_read_as_clients_spell_it(spelling: str, writer: str, size: int) -> None:
    photo = random.Random(1).randbytes(size)
    text = SPELLINGS[spelling](base64.b64encode(photo).decode())
    read = JsonBody(WRITERS[writer](json.dumps({"inputs": text, "name": "a\\nb"})).encode())
    assert from_base64(read.value(read.content["inputs"]), "") == photo
    assert read.content["name"] == "a\\nb"


@pytest.mark.parametrize("escape", [b"\\/", b"\\\\", b"\\n"])
def test_other_threads_go_on_while_a_body_is_read(escape: bytes) -> None:
    body = b'{"inputs":"' + escape * 9_500_000 + b'"}'
    assert min(longest_pause(body) for _ in range(3)) < 0.1


def longest_pause(body: bytes) -> float:
    """The longest time, in seconds, in which this thread did not get its turn while another one reads a body."""

    def read() -> None:
        with suppress(Problem):
            JsonBody(body)

    reading = threading.Thread(target=read)
    longest, last = 0.0, time.perf_counter()
    reading.start()
    while reading.is_alive():
        time.sleep(0.001)
        now = time.perf_counter()
        longest, last = max(longest, now - last), now
    return longest


LONG = {
    "photo": lambda: b'{"inputs":"' + b"A" * 19_000_000 + b'"}',
    "as PHP writes it": lambda: b'{"inputs":"' + b"AAAAAAAAA\\/" * 1_700_000 + b'"}',
    "in lines": lambda: b'{"inputs":"' + (b"A" * 76 + b"\\n") * 240_000 + b'"}',
    "pixels": lambda: b'{"inputs":[' + b"0," * 9_000_000 + b"0]}",
}


@pytest.mark.parametrize("kind", [*LONG, "no end of a string", "no end of an escape"])
def test_no_single_step_keeps_the_global_lock_for_long(kind: str) -> None:
    """None takes as much of the processor's time as counting one byte in the whole body."""
    body = (LONG.get(kind) or HOSTILE[kind])()
    longest = began = 0.0
    started = time.thread_time()
    for _ in range(3):
        body.count(b"*")
    whole = (time.thread_time() - started) / 3

    def note(_: object, event: str, __: object) -> None:
        nonlocal longest, began
        if event == "c_call":
            began = time.thread_time()
        elif event.startswith("c_"):
            longest = max(longest, time.thread_time() - began)

    sys.setprofile(note)
    try:
        read = JsonBody(body)
        for found in read.content.values():
            text = read.value(found)
            if isinstance(text, memoryview):
                _ = whole_numbers(text) if kind == "pixels" else from_base64(text, "")
    except Problem:
        assert kind not in LONG
    finally:
        sys.setprofile(None)
    assert longest < whole


def test_large_bodies_are_taken_apart_one_at_a_time_and_small_ones_beside_them() -> None:
    lock = threading.Lock()
    under_way, most = 0, 0

    def take_apart() -> None:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.05)
        with lock:
            under_way -= 1

    async def all_of(size: int) -> int:
        nonlocal most
        most = 0
        await asyncio.gather(*(off_the_loop(take_apart, size) for _ in range(4)))
        return most

    assert asyncio.run(all_of(json_bodies._MOST_LEFT + 1)) == 1
    assert asyncio.run(all_of(json_bodies._MOST_LEFT)) > 1


@pytest.mark.parametrize(
    "text",
    [
        *(
            "*",
            "AA==AAAA",
            "A" * 262_143 + "=" + "AAAA",
            "A" * 262_142 + "==\n" + "AAAA",
            "=" * 4,
            "=",
            "AAAA=",
            "AA===",
        ),
        *("é", "AAAAA", "AAAA\\n", "data:image/jpeg,AAAA", "AAAAdata:;base64,AAAA", 5, None),
    ],
)
def test_what_is_no_base64_is_a_problem(text: object) -> None:
    with pytest.raises(Problem):
        from_base64(text, "inputs")


@pytest.mark.parametrize("text", [b"[1,,2", b"[1 2", b"[256", b"[1,2,", b"[-1", b"[1.5", b"[", b"[1,[2", b"[{},1"])
def test_what_are_no_whole_numbers_is_an_error(text: bytes) -> None:
    with pytest.raises((ValueError, OverflowError)):
        whole_numbers(memoryview(text))
