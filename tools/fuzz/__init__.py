"""Damaged and hostile files for every loader of minidraw: python -m tools.fuzz.

__main__.py  the command line: every target in a process of its own
harness.py   that process: atheris runs a target, and what is wrong is written down
targets/     the targets, by what they read, and their seeds

Nothing here imports minidraw before atheris watches imports.
"""
