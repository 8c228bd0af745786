"""Tables of answers as files: CSV, JSON lines and Parquet. A file is joined from parts, each with some of its rows."""

import csv
import io
import json
import shutil
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import IO

from foodscene.app.bulk.answers import FEATURES, Row
from foodscene.app.bulk.errors import BulkError

_GROUP = 32_000_000
"""Bytes of a group of rows in a Parquet file, about."""


class Table(ABC):
    """A kind of file for tables with these columns; `about` is said of the whole, where the kind has a place for it."""

    def __init__(self, columns: Sequence[str], about: dict[str, str]) -> None:
        self.columns, self.about = columns, about

    @abstractmethod
    def part(self, rows: Sequence[Row]) -> bytes:
        """Some rows as the content of a file."""

    @abstractmethod
    def join(self, parts: Iterable[Path], target: IO[bytes]) -> None:
        """Write the whole table to an open file, from its parts in order."""


class Csv(Table):
    """CSV in UTF-8 with a header; lists are JSON, what is not there is empty, truth is `true` or `false`."""

    def part(self, rows: Sequence[Row]) -> bytes:
        return self._lines([_cell(row[name]) for name in self.columns] for row in rows)

    def join(self, parts: Iterable[Path], target: IO[bytes]) -> None:
        target.write(self._lines([self.columns]))
        _append(parts, target)

    @staticmethod
    def _lines(rows: Iterable[Sequence[object]]) -> bytes:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode()


class JsonLines(Table):
    """A JSON object a line, with every column; what is not there is null."""

    def part(self, rows: Sequence[Row]) -> bytes:
        return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)

    def join(self, parts: Iterable[Path], target: IO[bytes]) -> None:
        _append(parts, target)


class Parquet(Table):
    """Parquet, with lists as lists; `about` in the metadata of its schema."""

    def __init__(self, columns: Sequence[str], about: dict[str, str]) -> None:
        super().__init__(columns, about)
        import pyarrow as pa

        kinds: dict[str, pa.DataType] = {
            "known": pa.bool_(),
            "sure": pa.bool_(),
            "familiarity": pa.float64(),
            "set": pa.list_(pa.string()),
            "fallback_probability": pa.float64(),
            "width": pa.int32(),
            "height": pa.int32(),
            FEATURES: pa.list_(pa.float32()),
        }
        self._schema = pa.schema(
            [
                (name, kinds.get(name, pa.float64() if name.startswith("probability") else pa.string()))
                for name in columns
            ],
            metadata=about,
        )

    def part(self, rows: Sequence[Row]) -> bytes:
        import pyarrow as pa
        import pyarrow.parquet as pq

        target = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(list(rows), self._schema), target)
        return target.getvalue()

    def join(self, parts: Iterable[Path], target: IO[bytes]) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with pq.ParquetWriter(target, self._schema, compression="zstd") as writer:
            group: list[pa.Table] = []
            for path in parts:
                group.append(pq.ParquetFile(io.BytesIO(path.read_bytes())).read())
                if sum(table.nbytes for table in group) > _GROUP:
                    writer.write_table(pa.concat_tables(group))
                    group = []
            if group:
                writer.write_table(pa.concat_tables(group))


KINDS: dict[str, Callable[[Sequence[str], dict[str, str]], Table]] = {
    ".csv": Csv,
    ".jsonl": JsonLines,
    ".parquet": Parquet,
}
"""By the end of a file's name."""


def table_for(output: Path, columns: Sequence[str], about: dict[str, str]) -> Table:
    """The table that a file's name asks for. Raises `BulkError` for another name, or where pyarrow is missing."""
    kind = KINDS.get(output.suffix.lower())
    if kind is None:
        raise BulkError(f"{output} is no name for a table: let it end with {', '.join(KINDS)}.")
    try:
        return kind(columns, about)
    except ModuleNotFoundError as error:
        raise BulkError(
            f'{output}: Parquet needs pip install "foodscene[bulk]"; .csv and .jsonl need nothing.'
        ) from error


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, bool | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return value


def _append(parts: Iterable[Path], target: IO[bytes]) -> None:
    for path in parts:
        with path.open("rb") as part:
            shutil.copyfileobj(part, target)
