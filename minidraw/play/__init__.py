"""A live page for the lecture hall: draw a digit, see where the network looks, and how it draws the digit again.

    the page (page/*.js) --a request, JSON--> server.py --> labs.py --> drawing.py, filterbank.py, clutter.py
                         <--frames, boxes, numbers---------------------- recording.py

The page shows; everything is computed here, by the package's own functions. A request carries all that its answer
depends on (seeds, numbers, pixels), so any number of browser tabs get right answers. `export.py` writes answers into a
page of its own, which needs no server.
"""
