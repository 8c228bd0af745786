"""JSON bodies. The photos and the numbers in them are taken out first, so that what is left to be parsed is small.

Python's parser holds the global lock until it is done, so that the event loop stands still in whichever thread it runs;
and what it makes of `[[],[],…]` takes thirty times the memory of the text.
"""

import asyncio
import binascii
import json
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from foodscene.app.problems import Problem

_LONG = 4096
"""Bytes of a string, or of a list of numbers, that is taken out."""
_MOST_LEFT = 1_000_000
"""Bytes of what is left to be parsed, which takes at most 50 ms and 50 MB."""
_MOST_QUOTES, _MOST_BRACKETS = 50_000, 100_000
"""In a body: more than any request has, and few enough to look at each."""
_AT_ONCE = 1 << 18
"""Bytes that are counted, replaced, decoded or read as numbers before other threads get their turn."""

_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)
_DATA_URL = re.compile(rb"\s*data:[^,]{0,200};\s*base64,", re.IGNORECASE)
_USUAL = bytes.maketrans(b"-_", b"+/")
_ESCAPES = {
    b"\\n": b"\n",
    b"\\r": b"\r",
    b"\\t": b"\t",
    b"\\/": b"/",  # as PHP writes it
    b"\\u002b": b"+",  # and .NET
    b"\\u002B": b"+",
    b"\\u002f": b"/",
    b"\\u002F": b"/",
    b"\\u003d": b"=",  # and Gson
    b"\\u003D": b"=",
}
_LONGEST_ESCAPE = 5  # that lacks its end
_MARK = "\0"  # a JSON text has it as an escape only, and no client has reason to begin a string with it
_large = ThreadPoolExecutor(1, "json")
_Read = TypeVar("_Read")


async def off_the_loop(take_apart: Callable[[], _Read], size: int) -> _Read:
    """What a thread takes JSON of `size` bytes apart into. Raises as `take_apart` does.

    Large ones take turns: each further thread that wants the global lock is one more that the event loop waits for.
    """
    if size <= _MOST_LEFT:
        return await asyncio.to_thread(take_apart)
    return await asyncio.get_running_loop().run_in_executor(_large, take_apart)


class JsonBody:
    """A body that must be a JSON object: `content` is that, with marks for what was taken out, which `value` resolves.

    Raises a `Problem`: `bad-request` for what is no JSON, `bad-parameter` for no object, `too-large`.
    """

    def __init__(self, body: bytes) -> None:
        self._taken: list[memoryview] = []
        if len(body) > _LONG and json.detect_encoding(body) in ("utf-8", "utf-8-sig"):
            body = self._take_out(body)
        if len(body) > _MOST_LEFT:
            raise _too_large()
        try:
            content = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise Problem("bad-request", f"The body is not JSON: {error}.") from None
        if not isinstance(content, dict):
            raise Problem("bad-parameter", "The body must be a JSON object.")
        self.content: dict[str, Any] = content

    def value(self, of: object) -> object:
        """What stands for a value in `content`: the value, or the memory of a long string's or list's text, as in JSON.

        A long string is in memory where nothing is escaped in it but what base64 may hold, as `from_base64` reads it.
        """
        if isinstance(of, str) and of.startswith(_MARK) and len(of) < 9 and of[1:].isdecimal():
            place = int(of[1:])
            return self._taken[place] if place < len(self._taken) else of
        return of

    def _take_out(self, body: bytes) -> bytes:
        """The body with marks in place of long strings and lists. Raises a `Problem` as soon as too much is left."""
        quotes = brackets = 0
        for piece in (body[start : start + _AT_ONCE] for start in range(0, len(body), _AT_ONCE)):
            quotes += piece.count(b'"')
            brackets += piece.count(b"[") + piece.count(b"{")
            if quotes > _MOST_QUOTES or brackets > _MOST_BRACKETS:
                raise _too_large()
        left, size, kept, at, opening = [], 0, 0, 0, -1  # `kept`: from where nothing has been copied yet
        while at < len(body):
            if opening < at:
                opening = body.find(b'"', at) % (len(body) + 1)  # the end where there is no further string
            long = _long_list(body, at, opening)
            if long is None and opening == len(body):
                break
            start, end = long or _string(body, opening)
            at = end + 1
            if long or (end - start > _LONG and _is_plain(body, start, end)):
                left.append(body[kept : start - (not long)] + f'"\\u0000{len(self._taken)}"'.encode())
                self._taken.append(memoryview(body)[start:end])
                size, kept = size + len(left[-1]), end + 1
            if size + at - kept > _MOST_LEFT:
                raise _too_large()
        return b"".join([*left, body[kept:]])


def _string(body: bytes, opening: int) -> tuple[int, int]:
    """Where the text of a string begins and ends. Of what has no end, or none in reach: the body's end."""
    end = body.find(b'"', opening + 1)
    if end >= 0 and not _is_plain(body, opening, end):
        found = _STRING.match(body, opening, opening + _MOST_LEFT)
        end = found.end() - 1 if found else -1
    return opening + 1, end if end >= 0 else len(body)


def _is_plain(body: bytes, start: int, end: int) -> bool:
    """Whether nothing is escaped in a part of the body but what base64 may hold."""
    while (start := body.find(b"\\", start, end)) >= 0:
        piece = _whole_escapes(body[start : min(start + _AT_ONCE, end)], last=start + _AT_ONCE >= end)
        if piece.count(b"\\") != sum(piece.count(escape) for escape in _ESCAPES):
            return False
        start += len(piece)
    return True


def _whole_escapes(piece: bytes, *, last: bool) -> bytes:
    """A piece of a string without an escape at its end that may go on in the next piece."""
    cut = -1 if last else piece.find(b"\\", -_LONGEST_ESCAPE)
    return piece if cut < 0 else piece[:cut]


def _long_list(body: bytes, start: int, end: int) -> tuple[int, int] | None:
    """Where the first long list without lists or strings in it lies in a part of the body, its brackets included."""
    reach = start + _MOST_LEFT
    while end - start > _LONG and start < reach:
        closing = body.find(b"]", start, end)
        opening = body.rfind(b"[", start, closing)
        if closing < 0:
            return None
        if opening >= 0 and closing - opening > _LONG:
            return opening, closing
        start = closing + 1
    return None


def from_base64(text: object, where: str) -> bytes:
    """Decode base64, a string or the memory of one in JSON: of either alphabet, padded or not, in lines, a data URL.

    Raises a `Problem` for what is none.
    """
    decoded, rest = BytesIO(), b""
    try:
        coded = memoryview(text.encode("ascii")) if isinstance(text, str) else text
        if not isinstance(coded, memoryview):
            raise ValueError("this is not text")
        head = _DATA_URL.match(coded)
        for piece in _pieces(coded[head.end() if head else 0 :], in_json=not isinstance(text, str)):
            letters = rest + piece
            padding = letters.find(b"=")
            whole = (len(letters) if padding < 0 else padding) // 4 * 4
            decoded.write(binascii.a2b_base64(letters[:whole], strict_mode=True))
            rest = letters[whole:]
            if len(rest) > 4:
                raise ValueError("padding in the middle")
        if rest:
            decoded.write(binascii.a2b_base64(rest + b"=" * (-len(rest) % 4), strict_mode=True))
    except ValueError as error:
        raise Problem("bad-parameter", f"{where}: this is not base64.") from error
    return decoded.getvalue()


def _pieces(coded: memoryview, *, in_json: bool) -> Iterator[bytes]:
    """Base64 in pieces, of the usual alphabet and without blanks; `in_json` as JSON escapes it."""
    start = 0
    while start < len(coded):
        piece = bytes(coded[start : start + _AT_ONCE])
        if in_json:
            piece = _whole_escapes(piece, last=start + len(piece) == len(coded))
        start += len(piece)
        if in_json and b"\\" in piece:
            for escape, meant in _ESCAPES.items():
                piece = piece.replace(escape, meant)
        yield piece.translate(_USUAL, b" \t\r\n")


def whole_numbers(text: memoryview) -> NDArray[np.uint8]:
    """Read a list of whole numbers from 0 to 255, of shape (n,). Raises `ValueError` or `OverflowError`."""
    found = []
    rest = text[1:]  # behind the bracket
    while len(rest):
        piece = bytes(rest[:_AT_ONCE])
        if len(rest) > _AT_ONCE:
            piece = piece[: piece.rfind(b",")]
        if not piece or piece.translate(None, b"0123456789, \t\r\n"):
            raise ValueError("not a list of whole numbers")
        found.append(np.array(json.loads(b"[" + piece + b"]"), np.uint8))
        rest = rest[len(piece) + 1 :]
    return np.concatenate(found)


def _too_large() -> Problem:
    return Problem(
        "too-large", f"The JSON around the photos is larger than {_MOST_LEFT / 1e6:g} MB. Send it as binary."
    )
