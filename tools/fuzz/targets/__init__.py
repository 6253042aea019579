"""What bytes are thrown at: every loader, with seeds, files of its format that are made here.

target.py      what a target is, and the list of them
formats.py     small files of all formats, and how checksums are put right
runs.py        what a run leaves and others read: checkpoints, metrics, settings, the page
data_sets.py   official files, archives of them, the cache
images.py      anybody's images: folders, arrays, pictures
"""

from . import data_sets, images, runs
from .target import TARGETS

__all__ = ["TARGETS", "data_sets", "images", "runs"]
