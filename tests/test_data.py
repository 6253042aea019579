"""The data sets: official files, small ones written here, in every form and every kind of damage, and the real ones."""

import gzip
import hashlib
import http.server
import io
import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from minidraw import data
from minidraw.data import binarized_mnist, files, mnist
from minidraw.data.files import File, Places
from minidraw.errors import UserError

REAL = os.environ.get("MINIDRAW_DATA")
HTML = b"<!DOCTYPE html><html><body>This domain is for sale</body></html>"
ROWS, SHAPE = (7, 4, 3), (1, 3, 5)  # of the small binarized data; 15 pixels are not a whole number of bytes


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of the test's own, and nothing from the developer's environment."""
    for name in ("MINIDRAW_DATA", "MINIDRAW_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MINIDRAW_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("NO_PROXY", "*")
    return tmp_path / "cache"


@pytest.fixture
def host():
    """A host on this machine: `pages` maps path -> (status, body), `asked` lists the paths asked for.

    It sends at most `cut` bytes at a time and, with `resumes`, the rest of a body to whoever asks for that.
    """

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            server.asked.append(self.path)
            status, body = server.pages.get(self.path, (404, HTML))
            if server.resumes and status == 200 and (part := self.headers.get("Range")):
                status, body = 206, body[int(part.removeprefix("bytes=").rstrip("-")) :]
                server.asked[-1] += " " + part
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: server.cut])

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.pages, server.asked, server.cut, server.resumes = {}, [], None, False
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def official(name, content, *urls):
    return File(name, len(content), hashlib.sha256(content).hexdigest(), urls or ("http://127.0.0.1:9/" + name,))


def put(folder: Path, name: str, content: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def refusal(call, *args, **kwargs) -> str:
    """Return the message of the UserError that `call` raises, which is one line."""
    with pytest.raises(UserError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message and message.strip() == message
    return message


def everything(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def small_binarized(*hosts):
    """Return (contents by file name, spec, pixels (n, 15)) of a small data set in the official formats."""
    size = int(np.prod(SHAPE))
    pixels = np.random.default_rng(1).integers(0, 2, (sum(ROWS), size), np.uint8)
    splits = np.split(pixels, np.cumsum(ROWS)[:-1])
    contents = {}
    for split, rows in zip(("train", "valid", "test"), splits, strict=True):
        lines = (" ".join(map(str, row)) + "\n" for row in rows)
        contents[f"binarized_mnist_{split}.amat"] = "".join(lines).encode()
    npz = io.BytesIO()
    np.savez_compressed(npz, X_train=np.float32(splits[0]), X_valid=np.float32(splits[1]), X_test=np.float32(splits[2]))
    contents["mnist_binarized.npz"] = npz.getvalue()
    hosts = hosts or ("http://127.0.0.1:9",)  # port 9: nobody answers
    *texts, npz = (official(name, content, *(f"{h}/{name}" for h in hosts)) for name, content in contents.items())
    sha256 = hashlib.sha256(np.packbits(pixels, axis=1)).hexdigest()
    return contents, binarized_mnist.Spec(tuple(texts), npz, ROWS, SHAPE, sha256), pixels


def assert_binarized(dataset, pixels):
    start = 0
    for split, rows in zip((dataset.train, dataset.valid, dataset.test), ROWS, strict=True):
        assert (len(split), split.shape, split.labels) == (rows, SHAPE, None)
        np.testing.assert_array_equal(split.batch(np.arange(rows)).reshape(rows, -1), pixels[start : start + rows])
        start += rows


def idx(array: np.ndarray) -> bytes:
    return bytes([0, 0, 8, array.ndim]) + b"".join(n.to_bytes(4, "big") for n in array.shape) + array.tobytes()


def small_mnist(*hosts):
    """Return (contents by file name, spec, the four arrays) of a small MNIST: 9 images of 4x4 to train, 5 to test."""
    rng = np.random.default_rng(2)
    tops_shapes = (256, (9, 4, 4)), (10, 9), (256, (5, 4, 4)), (10, 5)
    arrays = [rng.integers(0, top, shape, np.uint8) for top, shape in tops_shapes]
    contents = {file.name: idx(array) for file, array in zip(mnist.OFFICIAL.files, arrays, strict=True)}
    hosts = hosts or ("http://127.0.0.1:9",)
    entries = (official(name, content, *(f"{h}/{name}.gz" for h in hosts)) for name, content in contents.items())
    return contents, mnist.Spec(tuple(entries), train=9, valid=2, test=5, side=4), arrays


# ---- batches


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 5, 7), (1, 3, 5)])
def test_packed_batches_are_the_plain_ones(shape):
    pixels = np.random.default_rng(3).integers(0, 2, (11, *shape), np.uint8)
    split = data.Images(np.packbits(pixels.reshape(11, -1), axis=1), shape=shape)
    indices = np.array([10, 0, 3, 3])
    batch = split.batch(indices, np.random.default_rng(0))
    assert (batch.dtype, batch.shape, batch.flags.c_contiguous) == (np.float32, (4, *shape), True)
    np.testing.assert_array_equal(batch, pixels[indices])
    np.testing.assert_array_equal(split.batch(indices.tolist()), batch)


def test_grey_batches_reach_from_zero_to_exactly_one():
    pixels = np.arange(256, dtype=np.uint8).reshape(2, 2, 8, 8)
    transposed = np.asfortranarray(pixels)  # as MATLAB files are
    split = data.Images(transposed, np.array([4, 7], np.uint8))
    batch = split.batch([1, 0])
    assert (batch.dtype, batch.flags.c_contiguous, batch.min(), batch.max()) == (np.float32, True, 0, 1)
    np.testing.assert_allclose(batch, pixels[::-1] / 255, rtol=1e-7)
    assert split.labels[1] == 7
    batch[:] = 5  # a batch is the caller's own
    assert split.batch([0]).max() <= 1
    assert split.batch(np.arange(0)).shape == (0, 2, 8, 8)


def test_mean_image_does_not_depend_on_the_chunk():
    pixels = np.random.default_rng(4).integers(0, 256, (13, 2, 3, 5), np.uint8)
    for chunk in (1, 4, 13, 1000):
        mean = data.mean_image(data.Images(pixels), chunk=chunk)
        assert (mean.dtype, mean.shape) == (np.float32, (2, 3, 5))
        np.testing.assert_allclose(mean, pixels.mean(axis=0) / 255, rtol=1e-6)


def test_mean_image_of_many_is_that_of_some():
    pixels = np.repeat(np.arange(10, dtype=np.uint8), 3).reshape(30, 1, 1, 1) * 17
    split = data.Images(pixels)
    np.testing.assert_allclose(data.mean_image(split, chunk=4, most=10), pixels.mean() / 255, rtol=1e-6)
    np.testing.assert_array_equal(data.mean_image(split, most=30), data.mean_image(split))


def test_joined_is_concatenated():
    rng = np.random.default_rng(6)
    parts = [rng.integers(0, 256, (n, 3, 2), np.uint8) for n in (4, 0, 1, 7)]
    joined, whole = data.images.Joined(parts), np.concatenate(parts)
    assert (joined.shape, joined.dtype, len(joined)) == (whole.shape, whole.dtype, 12)
    for chosen in ([], [0], [11, 3, 4, 3, -1], np.arange(12)):
        chosen = np.array(chosen, int)
        np.testing.assert_array_equal(joined[chosen], whole[chosen])
    with pytest.raises(IndexError):
        joined[np.array([12])]


def test_images_refuse_what_does_not_fit():
    good = np.zeros((4, 1, 3, 5), np.uint8)
    for pixels, kwargs in [
        (good[0], {}),
        (good.astype(np.float32), {}),
        (good, {"labels": np.zeros(3, np.uint8)}),
        (good, {"labels": np.zeros(4, np.int64)}),
        (np.zeros((4, 3), np.uint8), {"shape": (1, 3, 5)}),
    ]:
        with pytest.raises(ValueError, match="do not"):
            data.Images(pixels, **kwargs)


# ---- load


def test_unknown_name():
    assert "did you mean 'binarized_mnist'?" in refusal(data.load, "binarised_mnist")
    assert data.names()[:3] == ("strokes", "binarized_mnist", "mnist") and data.names()[-1] == "folder:PATH"
    assert "folder:PATH" in refusal(data.load, "folder")


def test_how_to_add_a_data_set_is_true(tmp_path, monkeypatch):
    """The loader in the package's docstring works as it stands, but for the file's size and checksum."""
    content = np.random.default_rng(5).integers(0, 256, (500, 3, 8, 8), np.uint8).tobytes()
    put(tmp_path, "faces.bin.gz", gzip.compress(content))
    indented = [line[4:] for line in data.__doc__.splitlines() if line.startswith("    ")]
    code = "\n".join(indented).replace("1234", str(len(content)), 1)
    code = code.replace('"..."', repr(hashlib.sha256(content).hexdigest()), 1)
    scope = {"File": File, "Dataset": data.Dataset, "Images": data.Images, "np": np}
    exec(code, scope)
    monkeypatch.setitem(data._LOADERS, "faces", scope["load"])
    dataset = data.load("faces", str(tmp_path), download=False)
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [400, 50, 50]
    assert dataset.train.shape == (3, 8, 8) and "faces" in data.names()


def test_strokes_need_no_folder_and_no_network(monkeypatch, cache):
    pytest.importorskip("minidraw.data.strokes", reason="minidraw/data/strokes.py is missing")
    monkeypatch.setattr(data, "STROKES", (30, 20, 10))
    monkeypatch.setenv("MINIDRAW_DATA", "/nowhere")
    first, again, other = (data.load("strokes", seed=seed, download=False) for seed in (0, 0, 1))
    everywhere = np.arange(10)
    seen = set()
    for split in ("train", "valid", "test"):
        a, b, c = (getattr(one, split) for one in (first, again, other))
        assert a.shape == (1, 28, 28) and a.labels.shape == (len(a),)
        np.testing.assert_array_equal(a.batch(everywhere), b.batch(everywhere))
        seen |= {a.batch(everywhere).tobytes(), c.batch(everywhere).tobytes()}
    assert [len(first.train), len(first.valid), len(first.test)] == [30, 20, 10]
    assert len(seen) == 6  # every split of every seed is different
    assert not cache.exists()


def test_folder_by_argument_before_environment(tmp_path, monkeypatch):
    """The argument goes before MINIDRAW_DATA, and MINIDRAW_OFFLINE and download=False forbid the network."""
    asked = []
    monkeypatch.setitem(data._LOADERS, "spy", lambda places, seed: asked.append((places, seed)))
    data.load("spy")
    monkeypatch.setenv("MINIDRAW_DATA", "/environment")
    data.load("spy", seed=3)
    monkeypatch.setenv("MINIDRAW_OFFLINE", "1")
    data.load("spy", "~/argument")
    monkeypatch.setenv("MINIDRAW_OFFLINE", "0")
    data.load("spy", download=False)
    home, environment = Path(os.path.expanduser("~")), Path("/environment")
    assert [places.folder for places, _ in asked] == [None, environment, home / "argument", environment]
    assert [places.download for places, _ in asked] == [True, True, False, False]
    assert asked[1][1] == 3 and asked[0][0].cache == tmp_path / "cache" / "spy"


def test_cache_folder_without_the_variable(monkeypatch, tmp_path):
    monkeypatch.delenv("MINIDRAW_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data.cache_folder().name == "minidraw" and not data.cache_folder().exists()


# ---- binarized MNIST: local files


@pytest.mark.parametrize("sub", ["", "binarized_mnist"])
@pytest.mark.parametrize("form", ["amat", "amat.gz", "npz", "mixed"])
def test_binarized_in_every_form(tmp_path, cache, sub, form):
    contents, spec, pixels = small_binarized()
    folder = tmp_path / "data" / sub
    for k, (name, content) in enumerate(contents.items()):
        if name.endswith(".npz") == (form == "npz"):
            zipped = form == "amat.gz" or (form == "mixed" and k == 1)
            put(folder, name + ".gz" * zipped, gzip.compress(content) if zipped else content)
    places = Places("binarized_mnist", tmp_path / "data", cache, download=False)
    before = everything(tmp_path / "data")
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert everything(cache) == ["packed.bits", "verified.json"]
    assert everything(tmp_path / "data") == before
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)


@pytest.fixture
def local(tmp_path, cache):
    """Good text files in a folder: (places, spec, contents, pixels)."""
    contents, spec, pixels = small_binarized()
    for file in spec.texts:
        put(tmp_path / "data", file.name, contents[file.name])
    return Places("binarized_mnist", tmp_path / "data", cache, download=False), spec, contents, pixels


def count_reads(monkeypatch) -> list:
    reads = []
    real = files._verified
    monkeypatch.setattr(files, "_verified", lambda path, file: reads.append(path.name) or real(path, file))
    return reads


def test_second_start_reads_only_the_cache(local, monkeypatch):
    places, spec, _, pixels = local
    binarized_mnist.load(places, spec=spec)
    reads = count_reads(monkeypatch)
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert reads == []
    nowhere = Places("binarized_mnist", None, places.cache, download=False)
    assert_binarized(binarized_mnist.load(nowhere, spec=spec), pixels)  # the cache alone is enough


def test_a_changed_file_is_looked_at_again(local, monkeypatch):
    places, spec, contents, pixels = local
    binarized_mnist.load(places, spec=spec)
    reads = count_reads(monkeypatch)
    path = places.folder / spec.texts[1].name
    os.utime(path, ns=(1, 1))  # the same content, another time
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert path.name in reads
    path.write_bytes(path.read_bytes()[:-20])
    os.utime(path, ns=(1, 1))  # the same time, another size
    assert str(path) in refusal(binarized_mnist.load, places, spec=spec)
    path.unlink()  # the cache still has the values; a file less is not a wrong file
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    wrong = put(places.folder, spec.npz.name, HTML)  # and a wrong one of another form is not passed over
    assert str(wrong) in refusal(binarized_mnist.load, places, spec=spec)
    (places.cache / "packed.bits").unlink()
    put(places.folder, path.name, contents[path.name])
    assert str(wrong) in refusal(binarized_mnist.load, places, spec=spec)


@pytest.mark.parametrize("damage", ["flip", "short", "long", "empty", "gone", "folder"])
def test_damaged_cache_is_rebuilt_silently(local, damage, capfd):
    places, spec, _, pixels = local
    binarized_mnist.load(places, spec=spec)
    bits = places.cache / "packed.bits"
    good = bits.read_bytes()
    bits.unlink()
    if damage == "folder":
        bits.mkdir()
    elif damage != "gone":
        flipped = bytes([good[0] ^ 16]) + good[1:]
        bits.write_bytes({"flip": flipped, "short": good[:-1], "long": b"x" + good, "empty": b""}[damage])
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert damage == "folder" or bits.read_bytes() == good
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("text", ["", "[", "5", "null", '{"a": 1}', "[[1]]", "\ufffd"])
def test_damaged_record_of_verified_files(local, text):
    places, spec, _, pixels = local
    binarized_mnist.load(places, spec=spec)
    (places.cache / "verified.json").write_text(text, encoding="utf-8")
    assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert len(json.loads((places.cache / "verified.json").read_text())) == 3


def test_unwritable_cache_is_not_fatal(local, tmp_path):
    places, spec, _, pixels = local
    blocked = put(tmp_path, "blocked", b"") / "cache"  # a folder inside a file can never be made, by root neither
    for _ in range(2):
        places = Places("binarized_mnist", places.folder, blocked, download=False)
        assert_binarized(binarized_mnist.load(places, spec=spec), pixels)
    assert everything(tmp_path / "data") == [file.name for file in sorted(spec.texts, key=lambda file: file.name)]


# ---- wrong files


def bomb(content: bytes) -> bytes:
    """A gzip file that begins as the right one and goes on for 64 MiB of zeros."""
    return gzip.compress(content + bytes(1 << 26), compresslevel=1)


DAMAGES = {
    "truncated": ("", lambda content: content[:-2], "bytes, not"),
    "empty": ("", lambda content: b"", "it holds 0 bytes"),
    "longer": ("", lambda content: content + b"0", "more than"),
    "tampered": ("", lambda content: content[:-2] + b"2\n", "SHA-256"),
    "html": ("", lambda content: HTML, "it holds"),
    "html as gz": (".gz", lambda content: HTML, "it holds"),
    "truncated gz": (".gz", lambda content: gzip.compress(content)[:-9], "damaged"),
    "gz of half": (".gz", lambda content: gzip.compress(content[: len(content) // 2]), "bytes, not"),
    "gz header alone": (".gz", lambda content: gzip.compress(content)[:10], "damaged"),
    "gz two bytes": (".gz", lambda content: b"\x1f\x8b", "damaged"),
    "bits of gz flipped": (".gz", lambda content: gzip.compress(content)[:30] + bytes(20), "damaged"),
    "gz of an unknown kind": (".gz", lambda content: gzip.compress(content)[:10] + b"\xff" * 40, "damaged"),
    "gz checksum": (".gz", lambda content: gzip.compress(content)[:-8] + bytes(8), "damaged"),
    "gz and rubbish": (".gz", lambda content: gzip.compress(content) + b"rubbish", "damaged"),
    "gz twice": (".gz", lambda content: gzip.compress(content) * 2, "more than"),
    "gz in gz": (".gz", lambda content: gzip.compress(gzip.compress(content)), "it holds"),
    "bomb": (".gz", bomb, "more than"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_wrong_file_in_the_folder_is_refused(tmp_path, cache, damage):
    contents, spec, _ = small_binarized()
    suffix, spoil, reason = DAMAGES[damage]
    for k, file in enumerate(spec.texts):
        if k == 1:
            wrong = put(tmp_path / "data", file.name + suffix, spoil(contents[file.name]))
        else:
            put(tmp_path / "data", file.name, contents[file.name])
    places = Places("binarized_mnist", tmp_path / "data", cache)
    message = refusal(binarized_mnist.load, places, spec=spec)
    assert message.startswith(f"{wrong} is not the official {spec.texts[1].name}: ") and reason in message
    assert "delete it" in message and not cache.exists()


def test_bomb_is_not_held_in_memory(tmp_path):
    import tracemalloc

    path = put(tmp_path, "x.gz", bomb(b"abc"))
    tracemalloc.start()
    refusal(files.read, path, official("x", b"abc"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_archive_is_taken_as_it_is(host, tmp_path):
    content = gzip.compress(b"abc" * 100)
    archive = official("x.tar.gz", content, host.url + "/x.tar.gz")
    host.pages["/x.tar.gz"] = (200, content)
    assert files.fetch(archive, tmp_path) == content == files.read(tmp_path / "x.tar.gz", archive)


def test_unreadable_file(tmp_path, monkeypatch):
    path = put(tmp_path, "x", b"abc")

    def denied(*args):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("builtins.open", denied)
    message = refusal(files.read, path, official("x", b"abc"))
    monkeypatch.undo()
    assert message == f"cannot read {path}: Permission denied"


def test_official_file_of_other_content_is_refused(tmp_path, cache):
    """Also a file whose checksum is right, but whose rows, keys, or values are not what the spec says."""
    contents, spec, _ = small_binarized()
    objects, keys, rows = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(objects, X_train=np.array([{}], dtype=object))
    np.savez(keys, train=np.zeros(3))
    np.savez(rows, X_train=np.zeros((2, 15), np.float32))
    for content in (objects.getvalue(), keys.getvalue(), rows.getvalue(), HTML, contents["mnist_binarized.npz"][:-9]):
        put(tmp_path, spec.npz.name, content)
        other = binarized_mnist.Spec(spec.texts, official(spec.npz.name, content), ROWS, SHAPE, spec.sha256)
        places = Places("binarized_mnist", tmp_path, cache, download=False)
        assert "does not hold X_train" in refusal(binarized_mnist.load, places, spec=other)
    (tmp_path / spec.npz.name).unlink()
    for file in spec.texts:
        put(tmp_path, file.name, contents[file.name])
    other = binarized_mnist.Spec(spec.texts, spec.npz, (7, 5, 3), SHAPE, spec.sha256)
    assert "not 5 rows of 15 values" in refusal(binarized_mnist.load, places, spec=other)
    other = binarized_mnist.Spec(spec.texts, spec.npz, ROWS, SHAPE, "0" * 64)
    assert "not those of the fixed binarization" in refusal(binarized_mnist.load, places, spec=other)
    assert not cache.exists()


def test_missing_folder(tmp_path, cache):
    places = Places("mnist", tmp_path / "mistyped", cache)
    assert "there is no data folder" in refusal(mnist.load, places)
    places = Places("mnist", put(tmp_path, "file", b""), cache)
    assert "there is no data folder" in refusal(binarized_mnist.load, places)


# ---- MNIST


@pytest.mark.parametrize("zipped", [False, True])
def test_mnist(tmp_path, cache, zipped):
    contents, spec, (x, y, x_test, y_test) = small_mnist()
    for name, content in contents.items():
        put(tmp_path / "data/mnist", name + ".gz" * zipped, gzip.compress(content) if zipped else content)
    dataset = mnist.load(Places("mnist", tmp_path / "data", cache, download=False), spec=spec)
    wanted = [(dataset.train, x[:7], y[:7]), (dataset.valid, x[7:], y[7:]), (dataset.test, x_test, y_test)]
    for split, images, labels in wanted:
        assert len(split) == len(images) and split.shape == (1, 4, 4)
        np.testing.assert_allclose(split.batch(np.arange(len(split))), images[:, None] / 255, rtol=1e-7)
        np.testing.assert_array_equal(split.labels, labels)
    assert not cache.exists()


def test_idx_headers():
    good = idx(np.arange(12, dtype=np.uint8).reshape(3, 2, 2))
    np.testing.assert_array_equal(mnist.parse_idx(good, (3, 2, 2), "x").ravel(), np.arange(12))
    for content, shape in [
        (b"", (3, 2, 2)),
        (good[:9], (3, 2, 2)),
        (b"\1" + good[1:], (3, 2, 2)),
        (good[:2] + b"\x0d" + good[3:], (3, 2, 2)),  # floats
        (good, (3, 4)),  # another rank
        (good, (2, 3, 2)),  # other sizes
        (good[:-1], (3, 2, 2)),
        (good + b"\0", (3, 2, 2)),
        (good[:4] + b"\xff" * 12 + good[16:], (3, 2, 2)),
    ]:
        assert refusal(mnist.parse_idx, content, shape, "x").startswith("x ")


# ---- downloads


def test_mirrors_in_order(host, cache, capfd):
    """The first address answers 404, the second a web page, the third has it; the download is then the cache."""
    contents, spec, _ = small_mnist(f"{host.url}/gone", f"{host.url}/dead", f"{host.url}/good")
    for name, content in contents.items():
        host.pages[f"/dead/{name}.gz"] = (200, HTML)
        host.pages[f"/good/{name}.gz"] = (200, gzip.compress(content))
    places = Places("mnist", None, cache)
    dataset = mnist.load(places, spec=spec)
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [7, 2, 5]
    assert host.asked[:3] == [f"/{way}/train-images-idx3-ubyte.gz" for way in ("gone", "dead", "good")]
    assert len(host.asked) == 12
    assert everything(cache) == sorted(f"{name}.gz" for name in contents)
    out, err = capfd.readouterr()
    assert out == "" and set(err.splitlines()) == {f"downloading {host.url}{path}" for path in host.asked}
    mnist.load(Places("mnist", None, cache, download=False), spec=spec)
    assert len(host.asked) == 12
    name = next(iter(contents))
    put(cache, name + ".gz", b"damaged")  # in the cache, so it is renewed; offline it cannot be
    assert "delete it" in refusal(mnist.load, Places("mnist", None, cache, download=False), spec=spec)
    mnist.load(places, spec=spec)
    assert len(host.asked) == 15 and everything(cache) == sorted(f"{name}.gz" for name in contents)


def test_no_host_has_it(host, tmp_path, cache):
    """One line: the file, each host's reason, where to get it, the folder to put it into; nothing is left behind."""
    contents, spec, _ = small_mnist(f"{host.url}/a", f"{host.url}/b", "http://127.0.0.1:9/c")
    name = next(iter(contents))
    host.pages[f"/b/{name}.gz"] = (200, HTML)
    folder = tmp_path / "data"
    folder.mkdir()
    message = refusal(mnist.load, Places("mnist", folder, cache), spec=spec)
    for part in (name, "HTTP 404", f"holds {len(HTML)} bytes", "ConnectionError", f"{host.url}/a/", "/c/", str(folder)):
        assert part in message
    assert everything(cache) == [] and everything(folder) == []
    assert host.asked == [f"/a/{name}.gz", f"/b/{name}.gz"]  # the other three files are not tried in vain


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_download_is_refused(host, cache, damage):
    contents, spec, _ = small_mnist(host.url)
    _, spoil, reason = DAMAGES[damage]
    for name, content in contents.items():
        host.pages[f"/{name}.gz"] = (200, spoil(content))
    message = refusal(mnist.load, Places("mnist", None, cache), spec=spec)
    assert reason in message and everything(cache) == []


def test_cut_connection_and_flood_are_refused(host, cache):
    contents, spec, _ = small_mnist(host.url)
    name, content = next(iter(contents.items()))
    host.pages[f"/{name}.gz"] = (200, content)
    host.cut = 20
    assert "could not be downloaded" in refusal(mnist.load, Places("mnist", None, cache), spec=spec)
    host.cut = None
    host.pages[f"/{name}.gz"] = (200, bytes(1 << 22))
    assert "more than the whole file" in refusal(mnist.load, Places("mnist", None, cache), spec=spec)
    assert everything(cache) == []


def test_interrupted_download_leaves_nothing(host, cache, monkeypatch):
    contents, spec, _ = small_mnist(host.url)
    name, content = next(iter(contents.items()))
    host.pages[f"/{name}.gz"] = (200, content)

    def interrupt(self, chunk):
        raise KeyboardInterrupt

    monkeypatch.setattr(files._Limited, "write", interrupt)
    with pytest.raises(KeyboardInterrupt):
        mnist.load(Places("mnist", None, cache), spec=spec)
    assert everything(cache) == []


def test_host_that_gunzips_on_the_way(host, cache):
    contents, spec, _ = small_mnist(host.url)
    for name, content in contents.items():
        host.pages[f"/{name}.gz"] = (200, content)
    for download in (True, False):
        mnist.load(Places("mnist", None, cache, download), spec=spec)


def test_download_into_an_unwritable_cache(host, tmp_path):
    contents, spec, _ = small_mnist(host.url)
    for name, content in contents.items():
        host.pages[f"/{name}.gz"] = (200, gzip.compress(content))
    mnist.load(Places("mnist", None, put(tmp_path, "blocked", b"") / "cache"), spec=spec)


def test_binarized_download_keeps_the_bits_alone(host, cache):
    contents, spec, pixels = small_binarized(host.url)
    host.pages["/" + spec.npz.name] = (200, contents[spec.npz.name])
    assert_binarized(binarized_mnist.load(Places("binarized_mnist", None, cache), spec=spec), pixels)
    assert host.asked == ["/" + spec.npz.name] and everything(cache) == ["packed.bits", "verified.json"]
    assert_binarized(binarized_mnist.load(Places("binarized_mnist", None, cache), spec=spec), pixels)
    assert len(host.asked) == 1


def test_binarized_texts_when_the_mirror_is_gone(host, tmp_path, cache):
    """The texts that the user has already are not downloaded."""
    contents, spec, pixels = small_binarized(host.url)
    for file in spec.texts:
        host.pages["/" + file.name] = (200, contents[file.name])
    put(tmp_path / "data", spec.texts[0].name, contents[spec.texts[0].name])
    assert_binarized(binarized_mnist.load(Places("binarized_mnist", tmp_path / "data", cache), spec=spec), pixels)
    assert host.asked == ["/" + file.name for file in (spec.npz, *spec.texts[1:])]
    assert everything(cache) == ["packed.bits", "verified.json"]


@pytest.mark.parametrize("how", ["argument", "environment"])
def test_offline_never_touches_the_network(how, tmp_path, monkeypatch):
    def forbidden(*args, **kwargs):
        raise AssertionError("the network was touched")

    monkeypatch.setattr("socket.socket.connect", forbidden)
    if how == "environment":
        monkeypatch.setenv("MINIDRAW_OFFLINE", "1")
    for name in ("mnist", "binarized_mnist"):
        for folder in (None, tmp_path):
            message = refusal(data.load, name, folder, download=how == "environment")
            assert "downloading is off" in message and str(folder or tmp_path / "cache" / name) in message
            assert all(file.name in message for file in mnist.OFFICIAL.files) or name != "mnist"


# ---- the real files


def real(name: str) -> None:
    if not REAL or not any((Path(REAL) / name).glob("*")):
        pytest.skip(f"the official files of {name} are missing: MINIDRAW_DATA is {REAL or 'not set'}")


def test_real_binarized_mnist(cache):
    real("binarized_mnist")
    dataset = data.load("binarized_mnist", REAL, download=False)
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [50000, 10000, 10000]
    start = time.perf_counter()
    again = data.load("binarized_mnist", REAL, download=False)
    assert time.perf_counter() - start < 0.5
    indices = np.random.default_rng(0).permutation(50000)[:128]
    np.testing.assert_array_equal(again.train.batch(indices), dataset.train.batch(indices))
    start = time.perf_counter()
    for _ in range(20):
        again.train.batch(indices)
    assert (time.perf_counter() - start) / 20 < 2e-3  # seconds; 0.1 ms on an idle core
    assert abs(data.mean_image(dataset.train).mean() - 0.13056) < 1e-5
    path = next(path for path in (Path(REAL) / "binarized_mnist").iterdir() if "test.amat" in path.name)
    with gzip.open(path) if path.suffix == ".gz" else open(path, "rb") as text:
        row = np.array(text.readline().split(), np.float32)  # the first image, read as text
    np.testing.assert_array_equal(dataset.test.batch([0])[0].ravel(), row)


def test_real_mnist():
    real("mnist")
    dataset = data.load("mnist", REAL, download=False)
    assert [len(dataset.train), len(dataset.valid), len(dataset.test)] == [50000, 10000, 10000]
    # The training file begins 5 0 4 1 9, the test file 7 2 1 0 4.
    assert dataset.train.labels[:5].tolist() == [5, 0, 4, 1, 9] and dataset.test.labels[:5].tolist() == [7, 2, 1, 0, 4]
    counts = sum(np.bincount(split.labels, minlength=10) for split in (dataset.train, dataset.valid))
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    mean = (data.mean_image(dataset.train).mean() * 5 + data.mean_image(dataset.valid).mean()) / 6
    assert abs(mean - 0.1307) < 1e-4  # the number every tutorial normalises by
