"""The page's server with labs of a test's own; and, in a browser, one real server for all tests, a page for each."""

import pytest
from support.play import serving
from support.wire import Labs, running


@pytest.fixture
def labs():
    """Labs that do what a test wants."""
    return Labs()


@pytest.fixture
def server(labs):
    """A server of these, in this process."""
    with running(labs) as server:
        yield server


@pytest.fixture(scope="session")
def address(tmp_path_factory, browser):
    """The address of a server that has the shipped networks, and no data."""
    cache = str(tmp_path_factory.mktemp("cache"))
    with serving("--threads", 1, MINIDRAW_OFFLINE="1", MINIDRAW_CACHE=cache) as given:
        yield given


@pytest.fixture
def open_page(browser, address):
    """Return a function that opens a tab of the page; at the end none of them may have complained about anything."""
    opened = []

    def open_page(tab: str = "draw", **of):
        page = browser.open(f"{address}/#{tab}", **of)
        assert page.problems == []
        opened.append(page)
        page.wait(f"document.querySelector('#panel-{tab} canvas')")
        return page

    yield open_page
    for page in opened:
        assert page.problems == []
        page.close()
