"""Every public name of the package says what it is: modules, classes, functions, methods, properties."""

import importlib
import inspect
import pkgutil
import types

import pytest

import minidraw

MODULES = ["minidraw", *(module.name for module in pkgutil.walk_packages(minidraw.__path__, "minidraw."))]


def silent(holder: types.ModuleType | type, module: str) -> list[str]:
    """Return the public functions, classes and methods of `holder`, made in `module`, that have no docstring."""
    found = []
    for name, value in vars(holder).items():
        value = getattr(value, "__func__", value)  # of a class or static method
        made_here = getattr(value, "__module__", None) == module or isinstance(value, property)
        if name.startswith("_") or not made_here:
            continue
        if inspect.isclass(value):
            found += silent(value, module)
        elif not (inspect.isfunction(value) or isinstance(value, property)):
            continue
        documented = inspect.getdoc(getattr(holder, name))  # a method's may be that of the method it stands for
        found += [] if documented else [f"{holder.__name__}.{name}"]
    return found


@pytest.mark.parametrize("name", MODULES)
def test_every_public_name_is_documented(name):
    module = importlib.import_module(name)
    assert module.__doc__ and module.__doc__.strip()
    assert silent(module, name) == []


def test_the_package_offers_what_it_lists():
    assert len(MODULES) > 40
    for name in minidraw.__all__:
        assert inspect.getdoc(getattr(minidraw, name)), name


def test_this_notices_what_is_silent():
    module = types.ModuleType("module")
    code = (
        "class A:\n  'a'\n  def f(self): ...\n  @property\n  def p(self): ...\nclass B(A):\n  'b'\n  def g(self): 'g'\n"
    )
    exec(code + "def h(): ...\ndef _i(): ...\n", vars(module))
    assert silent(module, "module") == ["A.f", "A.p", "module.h"]
