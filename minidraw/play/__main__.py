"""python -m minidraw.play [CHECKPOINT]: a live page in the browser, for a lecture hall."""

import contextlib
import os
import signal
import subprocess
import sys
import threading

from ..cli import Parser, filled, run, whole
from ..errors import STDERR
from . import labs
from .export import export
from .house import DEFAULT, House
from .server import Server


def parser() -> Parser:
    """Return the parser of this command line."""
    parser = Parser("play", "Open a page in the browser where one draws, and sees how the network looks and draws.")
    text = f"a checkpoint.npz, the folder of a run, or the name of a pretrained one (default: {DEFAULT})"
    parser.add_argument("checkpoint", nargs="?", help=text)
    parser.add_argument("--port", type=whole(0), metavar="N", help="port to listen at (default: a free one)")
    text = "address to listen at (default: 127.0.0.1, of this computer alone; 0.0.0.0: all that it has)"
    parser.add_argument("--host", type=filled, metavar="NAME", help=text)
    parser.add_argument("--no-browser", action="store_true", help="only tell the address of the page")
    text = "instead: write a page that plays recorded drawings, without a server"
    parser.add_argument("--export", type=filled, metavar="FILE.html", help=text)
    parser.add_argument("--seed", type=whole(0), metavar="N", help="of the drawings of --export (default: 0)")
    parser.add_data()
    parser.add_machine()
    return parser


def main(arguments: list[str]) -> int:
    """Serve the page until Ctrl-C, or write it to a file."""
    options = parser().parse_args(arguments)
    if options.export and (options.port is not None or options.host or options.no_browser):
        parser().error("--export starts no server: leave --port, --host and --no-browser out")
    if options.seed is not None and not options.export:
        parser().error("--seed is for --export: the page has seeds of its own")
    house = House(options.checkpoint, options.data, options.data_dir, options.backend, options.threads)
    if options.export:
        print(export(house, options.export, options.seed or 0))
        return 0
    with Server(house, labs, options.host or "127.0.0.1", options.port or 0) as server:
        if not server.address.is_loopback:
            STDERR.write(
                f"note: everybody who reaches this computer can use this page, unencrypted, at {server.outside}\n"
            )
        _end_by_signals(server)
        threading.Thread(target=labs.warm_up, args=(house,), daemon=True).start()
        print(f"minidraw is drawing at {server.url}  (Ctrl-C ends it)", flush=True)
        if not options.no_browser:
            _open_browser(server.url)
        server.serve_forever(poll_interval=0.1)  # seconds until it sees that it was ended
    return 0


def _end_by_signals(server: Server) -> None:
    """Let Ctrl-C and kill end the server, whatever it computes; a second one changes nothing."""

    def end(*_: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        threading.Thread(target=server.shutdown, daemon=True).start()  # which waits for the loop that this interrupts

    numbers = (signal.SIGINT, signal.SIGTERM)
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            signal.signal(number, end)


def _open_browser(url: str) -> None:
    """Open a page in the user's browser, if there is one; whatever that says is not heard."""

    def opened() -> None:
        with contextlib.suppress(OSError), open(os.devnull, "r+") as nothing:
            command = [sys.executable, "-I", "-m", "webbrowser", url]
            subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)

    threading.Thread(target=opened, daemon=True).start()


if __name__ == "__main__":
    run(main)
