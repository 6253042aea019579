"""The one exception that stands for a user's mistake, its one line, and the nearest name to a misspelt one."""

import difflib
from collections.abc import Iterable

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
    text = " ".join(str(message).split())
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return text if len(text) <= longest else f"{text[: longest // 2 - 3]} ... {text[-longest // 2 + 3 :]}"


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
