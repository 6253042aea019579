"""How fast minidraw is, beside other libraries: python -m tools.bench.

__main__.py  the command line
compare.py   the race of all contestants, and the check of their gradients
alone.py     tables of what only minidraw is asked
tables.py    what a table is, and how it is printed
team.py      who is there, a contestant's processes, and rounds in turn
serve.py     one of those processes
problem.py   what all compute

The contestants have a file each, none imported by minidraw, each run in a process of its own: numpy_draw.py (minidraw
itself), jax_draw.py, torch_draw.py, torch_compiled.py and products.py. A file has VARIANTS, the ways of doing the same
that are tried before the race, and a class

    Contestant(problem, variant, threads)
        run()       compute the loss and its gradients; both are complete when it returns
        answer()    the loss in nats per image and the gradients by parameter name, as NumPy arrays, of the last run
        versions    of what it runs on, in words
"""
