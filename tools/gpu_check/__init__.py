"""Everything that only a GPU can tell about minidraw: python -m tools.gpu_check.

__main__.py  the command line: every part in a process of its own, then the report
parts.py     the list of the parts
report.py    what comes of a part, and how it is shown
machine.py   parts: what is installed, whether the kernels compile, the tests that need no GPU
numbers.py   parts: products, losses, gradients and noise
training.py  parts: steps played back, memory, a training run
speed.py     part: milliseconds, beside the other libraries'
rivals.py    the process of such a library, which runs a contestant of tools/bench
"""
