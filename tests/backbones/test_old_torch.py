"""The oldest format of torch: what torch wrote is read, and no program in a file is run."""

import io
import pickle
import re
import struct
import sys
import types
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from bal.backbones.old_torch import MAGIC, VERSION, read_old_torch

BY_TORCH = Path(__file__).parent / "by_torch.pth"  # torch 2.14: torch.save(..., _use_new_zipfile_serialization=False)


def old_file(path, content, numbers=(), dtype="FloatStorage", keys=("0",), magic=MAGIC, version=VERSION):
    """A file as torch writes it: `content` is the pickle of tensors, `numbers` the one storage behind it."""
    parts = [pickle.dumps(part, 2) for part in (magic, version, {"little_endian": True})]
    raw = np.asarray(numbers, np.float32)
    path.write_bytes(
        b"".join(parts) + content + pickle.dumps(list(keys), 2) + struct.pack("<q", raw.size) + raw.tobytes()
    )
    return path


def tensors(monkeypatch, offset=0, shape=(2,), steps=(1,), size=4, dtype="FloatStorage", **others):
    """The pickle of one tensor "w" that torch would write, and of other things."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")

    def rebuild(*arguments):
        raise AssertionError("called")

    rebuild.__module__, rebuild.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    storage = type(dtype, (), {"__module__": "torch"})
    utils._rebuild_tensor_v2 = rebuild
    setattr(torch, dtype, storage)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Tensor:
        def __reduce__(self):
            return rebuild, (place, offset, shape, steps, False, OrderedDict())

    class Pickler(pickle.Pickler):
        def persistent_id(self, thing):
            return ("storage", storage, "0", "cpu", size, None) if thing is place else None

    place, written = object(), io.BytesIO()
    Pickler(written, 2).dump(OrderedDict(w=Tensor(), **others))
    return written.getvalue()


def test_what_torch_wrote():
    found = read_old_torch(BY_TORCH)
    matrix = np.arange(12, dtype=np.float32).reshape(3, 4)
    expected = {"matrix": matrix, "transposed": matrix.T, "second.row": matrix[1], "count": np.int64(7)}
    expected |= {"half": np.float16([0.5, -1.5]), "double": np.array([[1 / 3]]), "byte": np.uint8([1, 255])}
    expected |= {"bool": np.array([True, False]), "empty": np.zeros((0, 3), np.float32)}
    expected |= {"weight": np.float32([[2, 3]]), "bias": np.float32([1])}
    assert found.pop("brain").astype(np.float32).tolist() == [1.0, 3.140625]
    assert found.keys() == expected.keys()
    for name, array in found.items():
        assert array.dtype == expected[name].dtype, name
        np.testing.assert_array_equal(array, expected[name])


def test_a_view_is_a_copy_of_its_numbers(tmp_path, monkeypatch):
    content = tensors(monkeypatch, offset=1, shape=(2, 2), steps=(1, 1))
    found = read_old_torch(old_file(tmp_path / "a.pth", content, [1, 2, 3, 4]))["w"]
    assert found.tolist() == [[2, 3], [3, 4]]
    found[0, 1] = 0
    assert found[1, 0] == 3


class Evil:
    """What an attacker plants: unpickling it writes a file."""

    def __init__(self, file):
        self.file = file

    def __reduce__(self):
        return exec, (f"open({str(self.file)!r}, 'w').write('run')",)


def test_a_planted_program_is_refused_and_does_not_run(tmp_path, monkeypatch):
    mark = tmp_path / "run"
    pickle.loads(pickle.dumps(Evil(mark), 2))
    assert mark.read_text() == "run"  # it does run where pickles are loaded freely
    mark.unlink()
    content = tensors(monkeypatch, evil=Evil(mark))
    evil = pickle.dumps(Evil(mark), 2)
    plain = old_file(tmp_path / "a.pth", content, [1, 2, 3, 4]).read_bytes()
    begin = len(plain) - len(plain[plain.index(content) :])
    for raw in (plain, evil, plain[:begin] + evil, plain[:begin] + content + evil):
        (tmp_path / "a.pth").write_bytes(raw)
        with pytest.raises(ValueError, match=r"it asks for (builtins|__builtin__)\.exec, which no tensor needs"):
            read_old_torch(tmp_path / "a.pth")
        assert not mark.exists()


@pytest.mark.parametrize(
    "name", ["os.system", "torch.load", "collections.OrderedDict.update", "torch._utils._rebuild_parameter"]
)
def test_nothing_else_is_known(name, tmp_path):
    module, _, attribute = name.rpartition(".")
    if "OrderedDict" in module:
        module, attribute = "collections", "OrderedDict.update"
    named = [pickle.SHORT_BINUNICODE + bytes([len(part)]) + part.encode() for part in (module, attribute)]
    content = (
        pickle.PROTO + b"\x04" + b"".join(named) + pickle.STACK_GLOBAL + pickle.STOP
    )  # dotted names need protocol 4
    with pytest.raises(ValueError, match=re.escape(f"it asks for {module}.{attribute}, which no tensor needs")):
        read_old_torch(old_file(tmp_path / "a.pth", content))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"shape": (9,)}, "a tensor that ends at number 8 of a storage that has 4"),
        ({"offset": -1}, "a tensor of shape"),
        ({"steps": (-1,)}, "a tensor of shape"),
        ({"shape": (2, 2)}, "a tensor without a storage, or whose shape and steps differ in length"),
        ({"size": 5}, "storage 0 has 4 numbers, not 5"),
        ({"other": 3}, "'other' is no tensor; save the weights alone"),
    ],
)
def test_damaged_tensors(change, said, tmp_path, monkeypatch):
    path = old_file(tmp_path / "a.pth", tensors(monkeypatch, **change), [1, 2, 3, 4])
    with pytest.raises(ValueError, match=re.escape(said)):
        read_old_torch(path)


def test_files_of_other_formats(tmp_path, monkeypatch):
    path = old_file(tmp_path / "a.pth", tensors(monkeypatch), [1, 2, 3, 4])
    whole = path.read_bytes()
    for length in (0, 10, len(whole) // 2, len(whole) - 3):
        path.write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"a\.pth is no file of tensors in the oldest format of torch"):
            read_old_torch(path)
    path.write_bytes(b"PK\x03\x04" + whole)
    with pytest.raises(
        ValueError, match=r"a zip archive, which torch writes since 1\.6; save the tensors as safetensors"
    ):
        read_old_torch(path)
    for change in ({"magic": 5}, {"version": 1002}):
        with pytest.raises(ValueError, match=r"not with the magic number|version 1002"):
            read_old_torch(old_file(path, tensors(monkeypatch), [1, 2, 3, 4], **change))
    with pytest.raises(FileNotFoundError):
        read_old_torch(tmp_path / "none.pth")
