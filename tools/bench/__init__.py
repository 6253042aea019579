"""The contestants of tools/bench.py: one file each, none imported by minidraw, each run in a process of its own.

A file has VARIANTS, the ways of doing the same that are tried before the race, and a class

    Contestant(problem, variant, threads)
        run()       compute the loss and its gradients; both are complete when it returns
        answer()    the loss in nats per image and the gradients by parameter name, as NumPy arrays, of the last run
        versions    of what it runs on, in words
"""
