"""Downloads: mirrors, cut connections, floods, and no network at all."""

import gzip
import http.server
import tempfile
import threading

import pytest
from support.files import DAMAGES, HTML, everything, official_file, put, refusal, small_mnist

from minidraw import data
from minidraw.data import download, mnist, official
from minidraw.data.places import Places


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


def test_interrupted_download_leaves_nothing(host, cache, tmp_path, monkeypatch):
    contents, spec, _ = small_mnist(host.url)
    name, content = next(iter(contents.items()))
    host.pages[f"/{name}.gz"] = (200, content)

    def interrupt(self, *args, **kwargs):
        yield b"the first bytes"
        raise KeyboardInterrupt

    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr("urllib3.HTTPResponse.stream", interrupt)
    with pytest.raises(KeyboardInterrupt):
        mnist.load(Places("mnist", None, cache), spec=spec)
    assert everything(cache) == [] and everything(scratch) == []


def test_host_that_gunzips_on_the_way(host, cache):
    contents, spec, _ = small_mnist(host.url)
    for name, content in contents.items():
        host.pages[f"/{name}.gz"] = (200, content)
    for online in (True, False):
        mnist.load(Places("mnist", None, cache, online), spec=spec)


def test_archive_is_taken_as_it_is(host, tmp_path):
    content = gzip.compress(b"abc" * 100)
    archive = official_file("x.tar.gz", content, host.url + "/x.tar.gz")
    host.pages["/x.tar.gz"] = (200, content)
    assert download.fetch(archive, tmp_path) == content == official.read(tmp_path / "x.tar.gz", archive)


def test_archive_whose_gzip_a_host_calls_an_encoding(cache, tmp_path):
    """It is kept as it comes: the archive's checksum is that of the gzip."""
    content = gzip.compress(bytes(1000))

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Encoding", "x-gzip")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *args):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        url = f"http://127.0.0.1:{server.server_port}/a.tar.gz"
        assert download.download(official_file("a.tar.gz", content, url), cache).read_bytes() == content
        thread.join()


def test_download_into_an_unwritable_cache(host, tmp_path):
    contents, spec, _ = small_mnist(host.url)
    for name, content in contents.items():
        host.pages[f"/{name}.gz"] = (200, gzip.compress(content))
    mnist.load(Places("mnist", None, put(tmp_path, "blocked", b"") / "cache"), spec=spec)


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
