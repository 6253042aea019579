"""The paper. Read the files in this order:

    reference.py    DRAW straight from the equations, a line each
    config.py       its sizes and parameters, and what they start from
    lstm.py         section 2: encoder and decoder, one step forward and one back
    latent.py       eqs 1, 2, 6, 10, 11: the latent variables and their divergence from the prior
    likelihood.py   eq. 9: the reconstruction loss
    attention.py    eqs 19-29: the filterbanks, reading and writing
    recurrence.py   eqs 3-8 and 13-16: all of it in time, forward and back
    draw.py         DRAW as a user meets it
    ram.py          section 4.1: the classifier

network.py is what the two networks have in common, windows.py tells in pixels where they looked.
"""

from .draw import DRAW
from .network import Network
from .ram import RAM

NETWORKS: dict[str, type[Network]] = {network.name: network for network in (DRAW, RAM)}  # as checkpoints name them
