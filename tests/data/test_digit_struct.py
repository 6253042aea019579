"""HDF5 files that lead elsewhere, to other files or programs: they are refused, and what is there is not read."""

import io

import numpy as np
import pytest
from support.files import put

from minidraw.data import digit_struct, svhn
from minidraw.errors import UserError

h5py = digit_struct.h5py
pytestmark = pytest.mark.skipif(h5py is None, reason="h5py is missing: pip install h5py")
KEYS = ("left", "top", "width", "height")


def write(
    content, codes=lambda file: file.create_dataset("codes", data=np.array([[49], [50]], "u2")), box=None
) -> None:
    """Write a digitStruct.mat of one photograph, "12"; `codes` makes the dataset of its name, `box` its left side."""
    with h5py.File(content, "w") as file:
        group = file.create_group("box")
        for key in KEYS:
            if key == "left" and box is not None:
                box(group)
            else:
                group[key] = np.array([[7.0]])
        root = file.create_group("digitStruct")
        root["name"] = np.array([[codes(file).ref]], h5py.ref_dtype)
        root["bbox"] = np.array([[group.ref]], h5py.ref_dtype)


def refused(path) -> str:
    with pytest.raises(UserError) as caught, open(path, "rb") as content:
        svhn._read_boxes(path, content)
    return str(caught.value)


def test_what_is_inside_is_read():
    content = io.BytesIO()
    write(content, lambda file: file.create_dataset("c", data=np.array([[49], [50]], "u2"), chunks=True, compression=4))
    assert dict(digit_struct.read_boxes(content)) == {"12": (7, 7, 14, 14)}


@pytest.fixture
def elsewhere(tmp_path):
    """Another file of the user's: numbers as they are, and as HDF5."""
    put(tmp_path, "raw", np.array([49, 50], "u2").tobytes() + np.array([3.0]).tobytes())
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["codes"] = np.array([[49], [50]], "u2")
        file["left"] = np.array([[3.0]])
    return tmp_path


def test_values_in_another_file(elsewhere):
    path = elsewhere / "digitStruct.mat"
    write(path, lambda file: file.create_dataset("c", (2, 1), "u2", external=[(str(elsewhere / "raw"), 0, 4)]))
    with h5py.File(path) as file:
        assert file["c"][:].tolist() == [[49], [50]], "as HDF5 reads it"
    assert "some of its values are in another file" in refused(path)


def test_a_virtual_dataset(elsewhere):
    def codes(file):
        layout = h5py.VirtualLayout((2, 1), "u2")
        layout[:] = h5py.VirtualSource(str(elsewhere / "other.h5"), "codes", (2, 1))
        return file.create_virtual_dataset("c", layout)

    path = elsewhere / "digitStruct.mat"
    write(path, codes)
    assert "some of its values are in another file" in refused(path)


@pytest.mark.parametrize("kind", ["external", "soft"])
def test_links(elsewhere, kind):
    def link(group):
        group["left"] = (
            h5py.ExternalLink(str(elsewhere / "other.h5"), "left") if kind == "external" else h5py.SoftLink("/box/top")
        )

    path = elsewhere / "digitStruct.mat"
    write(path, box=link)
    assert "its 'left' is a link to elsewhere" in refused(path)
    with h5py.File(path, "r+") as file:  # and the whole of it
        file.move("digitStruct", "moved")
        file["digitStruct"] = (
            h5py.ExternalLink(str(elsewhere / "other.h5"), "x") if kind == "external" else h5py.SoftLink("/moved")
        )
    assert "its 'digitStruct' is a link to elsewhere" in refused(path)


def test_a_filter_that_is_a_plugin(tmp_path):
    """HDF5 would look for a library of that number in HDF5_PLUGIN_PATH, and run it."""
    content = io.BytesIO()
    write(
        content, lambda file: file.create_dataset("c", data=np.array([[49], [50]], "u2"), chunks=(2, 1), shuffle=True)
    )
    shuffle, plugin = (np.array([code], "<u2").tobytes() for code in (2, 32001))
    whole = content.getvalue() + bytes(64)
    found = [k for k in range(len(whole)) if whole.startswith(shuffle + b"\x08\0\x01\0\x01\0shuffle\0", k)]
    assert len(found) == 1
    path = put(tmp_path, "digitStruct.mat", whole[: found[0]] + plugin + whole[found[0] + 2 :])
    assert "packed by a plugin" in refused(path)
