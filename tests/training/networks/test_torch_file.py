import collections
import io
import os
import pickle
import struct
import sys
import types
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from foodscene.training.networks import torch_file
from foodscene.training.networks.torch_file import TorchFileError

KERNEL = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
Writer = Callable[[Mapping[str, object]], Path]


class Tensor:
    """What pickles as torch's tensors do: an array whose values lie in a storage as its strides say."""

    def __init__(self, array: NDArray[np.generic], offset: int = 0, shape: tuple[int, ...] | None = None) -> None:
        self.values = array if array.base is None else array.base
        self.offset, self.shape = offset, array.shape if shape is None else shape
        self.strides = tuple(stride // array.itemsize for stride in array.strides)

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self, self.offset, self.shape, self.strides, False, collections.OrderedDict())


class _Pickler(pickle.Pickler):
    """Writes a tensor's storage, where it stands among the arguments of its making, as torch does."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=2)
        self.storages: dict[str, bytes] = {}
        self.counts: dict[str, int] = {}
        self.inside: set[int] = set()

    def persistent_id(self, thing: object) -> object:
        if not isinstance(thing, Tensor):
            return None
        if id(thing) not in self.inside:
            self.inside.add(id(thing))
            return None
        key, values = str(id(thing)), np.ascontiguousarray(thing.values).ravel()
        self.storages[key], self.counts[key] = values.tobytes(), len(values)
        kind = {"f4": "FloatStorage", "i8": "LongStorage", "f2": "HalfStorage"}[values.dtype.str[1:]]
        return ("storage", getattr(sys.modules["torch"], kind), key, "cpu", len(values), None)


def dumped(thing: object) -> bytes:
    return pickle.dumps(thing, protocol=2)


def in_a_row(content: bytes, storages: Mapping[str, bytes], counts: Mapping[str, int]) -> bytes:
    head = dumped(0x1950A86A20F9469CFC6C) + dumped(1001) + dumped({"little_endian": True})
    values = [struct.pack("<q", counts[key]) + storage for key, storage in storages.items()]
    return head + content + dumped(list(storages)) + b"".join(values)


def zipped(content: bytes, storages: Mapping[str, bytes], _counts: Mapping[str, int]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("net/data.pkl", content)
        archive.writestr("net/byteorder", "little")
        for key, storage in storages.items():
            archive.writestr(f"net/data/{key}", storage)
    return file.getvalue()


@pytest.fixture
def torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modules that have what a pickle of tensors names; pickling looks whether it is there."""
    modules = {name: types.ModuleType(name) for name in ("torch", "torch._utils")}
    for module, name in (
        ("torch._utils", "_rebuild_tensor_v2"),
        *(("torch", f"{kind}Storage") for kind in ("Float", "Half", "Long")),
    ):
        setattr(modules[module], name, type(name, (), {"__module__": module}))
    for name, module_ in modules.items():
        monkeypatch.setitem(sys.modules, name, module_)


@pytest.fixture(params=[in_a_row, zipped])
def written(request: pytest.FixtureRequest, torch: None, tmp_path: Path) -> Writer:
    """Writes named tensors in a layout of torch's; other things among them as they are."""

    def write(named: Mapping[str, object]) -> Path:
        file = io.BytesIO()
        pickler = _Pickler(file)
        pickler.dump(collections.OrderedDict(named))
        path = tmp_path / "weights.pth"
        path.write_bytes(request.param(file.getvalue(), pickler.storages, pickler.counts))
        return path

    return write


def test_tensors_come_back_in_shape_and_dtype(written: Writer) -> None:
    steps, halves = np.array([7], np.int64), np.array([[0.5, 2]], np.float16)
    named = {"kernel": Tensor(KERNEL.copy()), "steps": Tensor(steps.copy()), "halves": Tensor(halves.copy())}
    found = torch_file.read(written(named))
    assert list(found) == ["kernel", "steps", "halves"]
    for array, wanted in zip(found.values(), (KERNEL, steps, halves), strict=True):
        assert array.dtype == wanted.dtype
        np.testing.assert_array_equal(array, wanted)


def test_a_single_number_and_none_are_tensors_too(written: Writer) -> None:
    found = torch_file.read(written({"one": Tensor(np.array(3, np.int64)), "none": Tensor(np.zeros((0, 3), "f4"))}))
    assert found["one"] == 3
    assert found["none"].shape == (0, 3)


def test_values_lie_as_the_strides_say(written: Writer) -> None:
    permuted = KERNEL.copy().transpose(2, 0, 1)
    np.testing.assert_array_equal(torch_file.read(written({"kernel": Tensor(permuted)}))["kernel"], permuted)


def test_a_tensor_may_begin_within_its_storage(written: Writer) -> None:
    part = Tensor(np.arange(10, dtype=np.float32), offset=4, shape=(6,))
    np.testing.assert_array_equal(torch_file.read(written({"part": part}))["part"], [4, 5, 6, 7, 8, 9])


@pytest.mark.parametrize(("offset", "shape"), [(5, (6,)), (-1, (2,)), (0, (11,)), (10**20, (1,)), (0, (-1,))])
def test_a_tensor_reaches_nothing_but_its_storage(written: Writer, offset: int, shape: tuple[int, ...]) -> None:
    path = written({"part": Tensor(np.arange(10, dtype=np.float32), offset, shape)})
    with pytest.raises(TorchFileError, match="beyond its storage"):
        torch_file.read(path)


class _Runs:
    """What runs a command when it is unpickled."""

    def __init__(self, function: Callable[..., object], *arguments: object) -> None:
        self.does = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return self.does


@pytest.mark.parametrize(
    ("function", "name"), [(os.system, f"{os.name}.system"), (eval, "builtin.*eval"), (getattr, "getattr")]
)
def test_a_pickle_that_calls_anything_else_is_refused_by_name(
    written: Writer, tmp_path: Path, function: Callable[..., object], name: str
) -> None:
    ran = tmp_path / "ran"
    path = written({"kernel": Tensor(KERNEL.copy()), "evil": _Runs(function, f"touch {ran}")})
    with pytest.raises(TorchFileError, match=name):
        torch_file.read(path)
    assert not ran.exists()


@pytest.mark.parametrize("pickled", [b"cnt\nsystem\n(S'touch ran'\ntR.", b"(S'touch ran'\nios\nsystem\n."])
def test_no_pickle_of_the_file_runs_anything(tmp_path: Path, pickled: bytes) -> None:
    path = tmp_path / "weights.pth"
    for begun in (b"", dumped(0x1950A86A20F9469CFC6C), dumped(0x1950A86A20F9469CFC6C) + dumped(1001)):
        path.write_bytes(begun + pickled)
        with pytest.raises(TorchFileError, match=r"(nt|os)\.system"):
            torch_file.read(path)


def test_a_pickle_does_not_fill_the_memory(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"\x80\x02K\x01r\xff\xff\xff\x7f.")
    with pytest.raises(TorchFileError, match="memory"):
        torch_file.read(path)


def test_a_compressed_archive_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "weights.pth", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("net/data.pkl", b"\0" * 10_000)
    with pytest.raises(TorchFileError, match="compressed"):
        torch_file.read(tmp_path / "weights.pth")


def test_a_file_that_is_cut_off_is_refused(written: Writer) -> None:
    path = written({"kernel": Tensor(KERNEL.copy())})
    whole = path.read_bytes()
    for length in (0, 10, 60, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        with pytest.raises(TorchFileError, match=r"weights\.pth is not read"):
            torch_file.read(path)


def test_what_is_no_tensor_is_refused(written: Writer) -> None:
    with pytest.raises(TorchFileError, match="tensors alone"):
        torch_file.read(written({"epoch": 3}))
