"""Folders with files of arrays, or of tables: for each split, for each class, or one among others."""

import numpy as np
from support.files import put, refusal
from support.pictures import IMAGES, N, load, sizes


def test_folders_of_arrays(tmp_path):
    for name in ("cat", "sea turtle"):
        (tmp_path / "a").mkdir(exist_ok=True)
        np.save(tmp_path / "a" / f"{name}.npy", IMAGES[:12, :5, :, 0].reshape(12, 25) + np.uint8(name == "cat"))
    dataset = load(tmp_path / "a")  # as of Quick, Draw!
    assert sum(sizes(dataset)) == 24 and dataset.classes == ("cat", "sea turtle") and dataset.train.shape == (1, 5, 5)
    assert "each of 2 files is taken as a class: cat, sea turtle" in dataset.remarks
    np.savez(tmp_path / "a" / "other.npz", a=IMAGES)
    assert "holds 3 files of arrays: name one of them" in refusal(load, tmp_path / "a")


def npys(folder, **arrays):
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def test_a_folder_of_npy_files_is_read_like_an_npz(tmp_path):
    one_hot = np.eye(4)[np.arange(N) % 4]
    dataset = load(npys(tmp_path / "a", X_train=IMAGES, X_test=IMAGES[:5], y_train=one_hot, y_test=one_hot[:5]))
    assert sizes(dataset)[2] == 5 and dataset.classes == ("0", "1", "2", "3") and dataset.train.shape == (3, 6, 5)
    for name, files, reason in [
        ("masks", {"train_images": IMAGES, "train_masks": IMAGES, "test_images": IMAGES}, "choose the images"),
        ("extra", {"train": IMAGES, "test": IMAGES, "extra": IMAGES}, "choose the images"),
        (
            "one each",
            {f"p{k}": IMAGES[k, :5, :, 0].repeat(3, 0).repeat(3, 1) for k in range(12)},
            "one picture each? Stack",
        ),
        ("colours", {f"p{k}": np.zeros((3, 20, 20), np.uint8) for k in range(12)}, "one picture? Stack those"),
    ]:
        assert reason in refusal(load, npys(tmp_path / name, **files)), name
    bitmaps = IMAGES[:, :5, :, 0].reshape(N, 25)
    drawn = load(npys(tmp_path / "b", full_bitmap_cat=bitmaps, full_bitmap_train=bitmaps))
    assert drawn.classes == ("full_bitmap_cat", "full_bitmap_train"), "a train can be drawn, too"


def test_other_files_of_a_folder_of_arrays(tmp_path):
    put(npys(tmp_path / "a", images=IMAGES) / "sub", "train.csv", b"")
    put(tmp_path / "a", "labels.txt", b"")
    assert "left out: labels.txt, sub/train.csv" in load(tmp_path / "a").remarks
    (tmp_path / "b").mkdir()
    for name in ("images", "labels"):
        np.save(tmp_path / "b" / f"{name}.npy", np.array([{}] * 3), allow_pickle=True)
    message = refusal(load, tmp_path / "b")
    assert "it holds Python objects, which are never loaded; save its images again, as numbers" in message


def test_tables_of_a_folder(tmp_path):
    rows = IMAGES[:, :5, :, 0].reshape(N, 25)
    names = ",".join(f"pixel{k}" for k in range(25))
    lines = [",".join(map(str, row)) for row in rows]
    put(
        tmp_path,
        "train.csv",
        "\n".join(["label," + names, *(f"{k % 3},{line}" for k, line in enumerate(lines))]).encode(),
    )
    put(tmp_path, "test.csv", "\n".join([names, *lines[:6]]).encode())
    put(tmp_path, "sample_submission.csv", b"ImageId,Label\n1,0\n")
    dataset = load(tmp_path)  # as Kaggle's digits come
    assert sizes(dataset)[2] == 6 and dataset.classes == ("0", "1", "2") and dataset.test.labels is None
    assert dataset.train.labels is not None and "left out: sample_submission.csv" in dataset.remarks
    put(tmp_path, "train_small.csv", b"")
    assert "name one of them" in refusal(load, tmp_path)


def test_a_table_that_pandas_has_saved_again(tmp_path):
    """A table without names, whose first row became names: 0, 0.1, 0.2, ... for a row of zeros."""
    rows = [[k % 26, *(IMAGES[k, :4, :4, 0].ravel()[:15] if k else [0] * 15), 0] for k in range(N)]
    header = ",".join(["0", *(f"0.{k + 1}" for k in range(16))])
    put(tmp_path, "again.csv", "\n".join([header, *(",".join(map(str, row)) for row in rows[1:])]).encode())
    assert sum(sizes(load(tmp_path / "again.csv"))) == N - 1
