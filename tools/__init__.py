"""Programs around minidraw that no user of it needs, run from the repository's root as python -m tools.NAME.

api_page        write docs/api.md from the docstrings
bench           how fast minidraw is, beside JAX, PyTorch and the matrix products alone
export_weights  keep of a run's checkpoint only what drawing and evaluating need
fuzz            throw damaged and hostile files at every loader
gpu_check       everything that only a GPU can tell, in one command
screenshots     the live page's pictures for docs/, taken by a headless Chromium
torture         kill training runs, let them go on, and compare what they come to
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]  # where processes of their own are started, so that they find all this
