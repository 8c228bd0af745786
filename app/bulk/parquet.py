"""Parquet files that hold photos, or name them: a column of bytes or of paths, as data sets are published."""

from collections.abc import Iterator
from typing import IO, TYPE_CHECKING, Any

from foodscene.app.bulk.errors import BulkError

if TYPE_CHECKING:
    import pyarrow as pa

PATH_COLUMNS = ("path", "url", "file", "filename", "file_name", "image", "photo")
"""What a column of paths may be called; the first that is there counts."""
_BATCH = 16
"""Rows that are held at once."""


class Table:
    """A Parquet file's column of photos: bytes, the struct of bytes and path of Hugging Face's data sets, or paths."""

    def __init__(self, file: IO[bytes], path: str) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path = path
        try:
            self._file = pq.ParquetFile(file)
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error
        self.rows: int = self._file.metadata.num_rows
        self._column, self.holds_photos = self._choose(self._file.schema_arrow)
        self._names = next((name for name in PATH_COLUMNS if self._is_text(name)), None)

    def paths(self) -> Iterator[str]:
        """The paths, where the table holds no photos. Raises `BulkError`."""
        for cells in self._cells([self._column], 0):
            for cell in cells[0]:
                if cell:
                    yield cell

    def photos(self, first: int) -> Iterator[tuple[str, bytes | None]]:
        """Of each row from `first` on what its photo is called, empty where nothing says so, and its bytes.

        Raises `BulkError`.
        """
        named = self._names if self._names != self._column else None
        for cells in self._cells([self._column, *([named] if named else [])], first):
            for index, cell in enumerate(cells[0]):
                content, name = (cell.get("bytes"), cell.get("path")) if isinstance(cell, dict) else (cell, None)
                yield (cells[1][index] if named else name) or "", content

    def _cells(self, columns: list[str], first: int) -> Iterator[list[list[Any]]]:
        import pyarrow as pa

        groups, before = self._groups_from(first)
        skip = first - before
        try:
            for batch in self._file.iter_batches(_BATCH, row_groups=groups, columns=columns):
                part = batch.slice(skip)
                skip -= len(batch) - len(part)
                if len(part):
                    yield [part.column(column).to_pylist() for column in columns]
        except (pa.ArrowException, OSError) as error:
            raise self._damaged(error) from error

    def _groups_from(self, first: int) -> tuple[list[int], int]:
        """The groups of rows from the one with row `first` on, and how many rows lie before them."""
        before = 0
        count: int = self._file.num_row_groups
        for group in range(count):
            rows = self._file.metadata.row_group(group).num_rows
            if before + rows > first:
                return list(range(group, count)), before
            before += rows
        return [], before

    def _choose(self, schema: "pa.Schema") -> tuple[str, bool]:
        from pyarrow import types

        for field in schema:
            inner = {part.name: part.type for part in field.type} if types.is_struct(field.type) else {}
            whole = inner.get("bytes", field.type)
            if types.is_binary(whole) or types.is_large_binary(whole):
                return field.name, True
        for name in PATH_COLUMNS:
            if self._is_text(name):
                return name, False
        raise BulkError(
            f"{self._path} has no column of photos, neither bytes nor paths ({', '.join(PATH_COLUMNS)}): it has "
            f"{', '.join(schema.names)}."
        )

    def _is_text(self, name: str) -> bool:
        from pyarrow import types

        schema = self._file.schema_arrow
        return name in schema.names and (
            types.is_string(schema.field(name).type) or types.is_large_string(schema.field(name).type)
        )

    def _damaged(self, error: Exception) -> BulkError:
        return BulkError(f"{self._path} is no Parquet file that can be read: {' '.join(str(error).split())}")


def open_table(file: IO[bytes], path: str) -> Table:
    """A Parquet file's photos. Raises `BulkError` where it has none, or pyarrow is not installed."""
    try:
        return Table(file, path)
    except ModuleNotFoundError as error:
        raise BulkError(f'{path}: Parquet needs pip install "foodscene[bulk]".') from error
