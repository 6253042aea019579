"""The LSTM of encoder and decoder: one step forward, one step backward, the gradient of its weights; a dense layer.

With a_t = inputs_t W + b in four blocks of h columns, i, f, o, g:

    i, f, o = sigmoid(a_i), sigmoid(a_f), sigmoid(a_o);  g = tanh(a_g)
    cell_t  = f * cell_{t-1} + i * g
    hidden_t = o * tanh(cell_t)

Letters: T glimpses, B images, K inputs (the previous hidden state among them), h hidden units.
"""

from ..backend import Array, fused


class LSTMTrace:
    """What the forward pass leaves for the backward pass, for all time steps of one LSTM."""

    def __init__(self, alloc, T: int, B: int, K: int, h: int):
        self.inputs = alloc(T + 1, B, K)  # row t: what step t sees; row T: what the last step leaves for a next one
        # One memory: i, f, o, g on the way forward; lstm_backward(t) puts d(loss)/d(a_t) over those of step t.
        self.gates = self.dgates = alloc(T, B, 4 * h)
        self.cell = alloc(T + 1, B, h)  # cell[t] is the state before step t
        self.tanh_cell = alloc(B, h)  # scratch
        self.inflow = alloc(B, 4 * h)  # scratch: d(loss)/d(i, f, o, g), before the nonlinearities
        self.product = alloc(B, 4 * h)  # scratch: that times the gates
        self.dinputs = alloc(B, K)  # gradient of one step's inputs
        self.dcell = alloc(B, h)  # running gradient of the cell state


@fused
def lstm(trace: LSTMTrace, t: int, W: Array, b: Array, hidden: Array, xp) -> None:
    """Take step t: from trace.inputs[t] (B, K) and trace.cell[t] to `hidden` (B, h) and trace.cell[t + 1].

    W is (K, 4h); b is (4h,), or (B, 4h) where part of the input is the same at every step.
    """
    h = W.shape[1] // 4
    gates, cell, scratch = trace.gates[t], trace.cell[t + 1], trace.tanh_cell
    dense(trace.inputs[t], W, b, gates, xp)  # (B, 4h)
    sigmoids = gates[:, : 3 * h]  # sigmoid(a) = (1 + tanh(a / 2)) / 2: one tanh serves all four gates
    sigmoids *= 0.5
    xp.tanh(gates, out=gates)
    sigmoids *= 0.5
    sigmoids += 0.5
    i, f, o, g = gates[:, :h], gates[:, h : 2 * h], gates[:, 2 * h : 3 * h], gates[:, 3 * h :]
    xp.multiply(f, trace.cell[t], out=cell)
    xp.multiply(i, g, out=scratch)
    cell += scratch
    xp.tanh(cell, out=scratch)
    xp.multiply(o, scratch, out=hidden)


@fused
def lstm_backward(trace: LSTMTrace, t: int, W: Array, dhidden: Array, xp) -> Array:
    """Take step t back: from `dhidden` (B, h) and trace.dcell (B, h) to the gradient of the inputs, (B, K).

    trace.dcell becomes the gradient of the cell state before the step; trace.dgates[t], in the place of the gates, that
    of a_t. `dhidden` may lie in trace.dinputs, where the result is written: it is read before that.
    """
    h = W.shape[1] // 4
    gates, dcell, tanh_cell, inflow = trace.gates[t], trace.dcell, trace.tanh_cell, trace.inflow
    i, f, o, g = gates[:, :h], gates[:, h : 2 * h], gates[:, 2 * h : 3 * h], gates[:, 3 * h :]
    # hidden = o * tanh(cell):  dcell += dhidden * o * (1 - tanh(cell)²)
    xp.tanh(trace.cell[t + 1], out=tanh_cell)
    do = inflow[:, 2 * h : 3 * h]
    xp.multiply(dhidden, tanh_cell, out=do)  # hidden = o * tanh(cell)
    tanh_cell *= do  # dhidden * tanh(cell)²
    xp.subtract(dhidden, tanh_cell, out=tanh_cell)
    tanh_cell *= o
    dcell += tanh_cell
    # what flows into the gates
    di, df, dg = inflow[:, :h], inflow[:, h : 2 * h], inflow[:, 3 * h :]
    xp.multiply(dcell, g, out=di)  # cell = f * cell_prev + i * g
    xp.multiply(dcell, trace.cell[t], out=df)
    xp.multiply(dcell, i, out=dg)
    dcell *= f
    # times the slopes of the nonlinearities:  d s (1 - s) = d s - d s s  for i, f, o, and  d (1 - g²) = d - d g g;
    # all four at once, since NumPy runs over whole arrays three times as fast as over columns of them
    product = trace.product
    xp.multiply(inflow, gates, out=product)
    gates *= product
    product[:, 3 * h :] = dg
    xp.subtract(product, gates, out=gates)
    return xp.matmul(trace.dgates[t], W.T, out=trace.dinputs)


def lstm_weight_gradients(trace: LSTMTrace, dW: Array, db: Array, xp) -> None:
    """Fill dW (K, 4h) and db (4h,) after the last backward step."""
    dense_gradients(trace.inputs[:-1], trace.dgates, dW, db, xp)


def dense(inputs: Array, W: Array, b: Array, out: Array, xp) -> Array:
    """Fill and return out (B, M) = inputs (B, K) W + b."""
    xp.matmul(inputs, W, out=out)
    out += b
    return out


def dense_gradients(inputs: Array, doutputs: Array, dW: Array, db: Array, xp) -> None:
    """Fill dW (K, M) and db (M,) from inputs (..., K) and doutputs (..., M): one product over all rows."""
    rows = doutputs.reshape(-1, len(db))
    xp.matmul(inputs.reshape(len(rows), -1).T, rows, out=dW)
    xp.sum(rows, axis=0, out=db)
