"""minidraw: DRAW (Gregor et al. 2015) in NumPy or CuPy."""

import re
from pathlib import Path

from setuptools import find_packages, setup

here = Path(__file__).parent
version = re.search(r'__version__ = "(.+?)"', (here / "minidraw" / "__init__.py").read_text("utf-8"))[1]
# An index shows no file of ours and no host of ours is known, so its page has the README's beginning, without pictures.
beginning = (here / "README.md").read_text("utf-8").split("\n## Results")[0]
beginning = "\n".join(line for line in beginning.splitlines() if not line.startswith(("<img", "![")))

REQUIRED = [
    "numpy>=2.0",  # all arithmetic
    "scipy>=1.11",  # splines of the strokes data set, log-sum-exp of the importance-weighted bound
    "imageio>=2.31",  # pictures and GIFs, in and out
    "pillow>=10.1",  # what imageio reads and writes them with; palettes, resizing
    "pooch>=1.8",  # the place of the user's cache
    "requests>=2.31",  # downloads
    "tqdm>=4.66",  # progress bars
    "threadpoolctl>=3.2",  # one BLAS thread a shard
]
EXTRAS = {
    "test": [
        "pytest>=8",
        "pytest-xdist>=3.6",  # runs them on two cores
        "autograd>=1.7",  # differentiates the reference, to check the gradients written by hand
        "h5py>=3.8",  # writes and reads small files like SVHN's
        "tensorboardX>=2.6",  # writes the events that a test reads back
        "imageio-ffmpeg>=0.5",  # the videos under test
        "setuptools>=77.0.3",  # reads what setup.py says
    ],
    "dev": ["ruff~=0.17.6", "mypy~=2.4.1"],  # what .ci/run checks besides the tests
    "video": ["imageio-ffmpeg>=0.5"],  # --out digits.mp4
    "svhn": ["h5py>=3.8"],  # reads digitStruct.mat of the full house numbers
    "heic": ["pillow-heif>=0.16"],  # a telephone's photographs
    "mpi": ["mpi4py>=4.1", "mpich>=5.0"],  # several processes share every minibatch: mpiexec -n 2 python -m ...
    "plots": ["matplotlib>=3.8"],  # the curves of minidraw.figures
    "tensorboard": ["tensorboardX>=2.6"],  # writes a run's numbers for TensorBoard too
    "cuda12": ["cupy-cuda12x[ctk]>=14.0"],  # a GPU: CuPy and the libraries of CUDA that it calls
    "cuda13": ["cupy-cuda13x[ctk]>=14.0"],
}

setup(
    name="minidraw-numpy",  # on the index `minidraw` is a drawing library of other people
    version=version,
    description="DRAW, the recurrent network that draws images stroke by stroke, in NumPy or CuPy",
    long_description=beginning,
    long_description_content_type="text/markdown",
    author="minidraw contributors",
    license_expression="MIT",
    license_files=["LICENSE"],
    keywords=["DRAW", "recurrent neural network", "attention", "variational autoencoder", "generative model", "NumPy"],
    python_requires=">=3.10",
    packages=find_packages(include=["minidraw", "minidraw.*"]),
    package_data={
        "minidraw": ["py.typed", "pretrained/*.npz"],
        "minidraw.pages": ["*.css", "*.js"],
        "minidraw.cuda": ["*.cu"],
        "minidraw.play": ["page/*"],
    },
    install_requires=REQUIRED,
    extras_require=EXTRAS,
    entry_points={"console_scripts": ["minidraw = minidraw.__main__:script"]},
    classifiers=[
        "Environment :: Console",
        "Intended Audience :: Education",
        "Intended Audience :: Science/Research",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.10",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
)
