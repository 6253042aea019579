"""The one exception that stands for a user's mistake, and the nearest name to a misspelt one."""

import difflib
from collections.abc import Iterable


class UserError(ValueError):
    """A mistake the user can mend: its message is one line that says what was wrong and what to do.

    The command lines print that line alone and exit with status 2; in a program it is a ValueError.
    """


def unknown(kind: str, name: str, choices: Iterable[str]) -> UserError:
    """Return the error for a `name` that is none of `choices`, with the nearest of them.

    >>> str(unknown("preset", "minst", ["mnist", "svhn"]))
    "unknown preset 'minst'; did you mean 'mnist'? There are: mnist, svhn"
    """
    choices = sorted(choices)
    near = difflib.get_close_matches(name, choices, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return UserError(f"unknown {kind} {name!r}{hint} There are: {', '.join(choices)}")
