"""The one exception that stands for a user's mistake, its one line, the nearest name to a misspelt one, and stderr."""

import difflib
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any

LONGEST = 500  # characters of a message


class UserError(ValueError):
    """A mistake the user can mend: its message is one line that says what was wrong and what to do.

    The command lines print that line alone and exit with status 2; in a program it is a ValueError.
    """

    def __init__(self, message: object):
        super().__init__(one_line(message, LONGEST))


def one_line(message: object, longest: int = 200) -> str:
    r"""Return the text of `message` as one line that does a terminal no harm, without its middle if it is longer.

    Messages quote files and arguments, which hold anything.

    >>> one_line("a\n  b\x1b[2J")
    'a b\\x1b[2J'
    """
    text = harmless(" ".join(str(message).split()))
    return text if len(text) <= longest else f"{text[: longest // 2 - 3]} ... {text[-longest // 2 + 3 :]}"


def harmless(text: object) -> str:
    r"""Return `text` with its control characters, and those that turn or hide others, written out: for a path, whole.

    >>> harmless("a  b\n\u202e.gif")
    'a  b\\n\\u202e.gif'
    """
    kept = (c if c.isprintable() or unicodedata.category(c) == "Zs" else ascii(c)[1:-1] for c in str(text))
    return "".join(kept)


def reason(problem: BaseException) -> str:
    """Return why something failed, in one line: an error's words, or its kind where it has none.

    >>> reason(FileNotFoundError(2, "No such file or directory", "a.npz")), reason(EOFError())
    ('No such file or directory', 'EOFError')
    """
    return one_line(getattr(problem, "strerror", None) or str(problem) or type(problem).__name__)


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
    """Return the error for a `name` that is none of `choices`, with the nearest of them.

    >>> str(unknown("preset", "minst", ["mnist", "svhn"]))
    "unknown preset 'minst'; did you mean 'mnist'? There are: mnist, svhn"
    """
    choices = sorted(choices)
    return UserError(f"unknown {kind} {name!r}{nearest(name, choices) or '.'} There are: {', '.join(choices)}")


def nearest(name: str, choices: Iterable[str]) -> str:
    """Return a question for the one of `choices` that is most like `name`, "" if none is.

    >>> nearest("minst", ["mnist", "svhn"])
    "; did you mean 'mnist'?"
    """
    near = difflib.get_close_matches(name, sorted(choices), n=1, cutoff=0.5)
    return f"; did you mean {near[0]!r}?" if near else ""


class Stderr:
    """A stream to tell how something goes: if it is closed or full, or its reader gone, words are lost, and no more.

    Without a `stream` it is whatever sys.stderr is when something is told.
    """

    def __init__(self, stream: Any = None):
        self._stream = stream

    def write(self, text: str) -> int:
        """Write text, if that can be."""
        return self._tried("write", len(text), text)

    def flush(self) -> None:
        """Let what was written go out, if that can be."""
        self._tried("flush", None)

    def isatty(self) -> bool:
        """Tell whether it is a terminal, one that is still there."""
        return self._tried("isatty", False)

    def _tried(self, name: str, otherwise: Any, *arguments: Any) -> Any:
        try:
            return self.__getattr__(name)(*arguments)
        except (OSError, ValueError, AttributeError):  # ValueError: it is closed; AttributeError: there is none
            return otherwise

    def __getattr__(self, name: str) -> Any:
        if name == "_stream":  # of one that is being copied
            raise AttributeError(name)
        return getattr(sys.stderr if self._stream is None else self._stream, name)


STDERR = Stderr()
