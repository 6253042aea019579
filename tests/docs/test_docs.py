"""docs/: links lead to files, functions that are linked by name exist, mathematics is written as GitHub renders it.

The formulas of gradients.md are here once more as a program, sections 1 to 7 as they are printed, one small product per
glimpse, and have to give the gradients of the code.
"""

import ast
import re
from pathlib import Path

import numpy as np
import pytest
from support import gradcheck
from support.classifier import Classifier

DOCS = sorted((Path(__file__).parents[2] / "docs").glob("*.md"))
GRADIENTS = Path(__file__).parents[2] / "docs" / "gradients.md"
COMBINATIONS = [(2, True, True), (3, True, False), (1, False, True), (2, False, False)]  # channels, read, write
PAGES = pytest.mark.parametrize("page", DOCS, ids=lambda page: page.name)


def prose(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def links(page: Path) -> list[tuple[str, str]]:
    """Return text and target of a page's links and pictures, those to other sites left out."""
    found = re.findall(r"\[([^\]]*)\]\(([^)\s]+)\)", prose(page))
    return [(text, target) for text, target in found if not re.match(r"[a-z]+:", target)]


def defined(path: Path) -> set[str]:
    """Return the names of functions and classes in a Python file, methods as Class.method."""
    names = set()

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                names.add(prefix + child.name)
            if isinstance(child, ast.ClassDef):
                visit(child, f"{prefix}{child.name}.")

    visit(ast.parse(path.read_text(encoding="utf-8")), "")
    return names


def wrong_names(page: Path) -> list[str]:
    """Return the links `module.name` whose target is not module.py or does not define the name."""
    wrong = []
    for text, target in links(page):
        path = page.parent / target
        if match := re.fullmatch(r"`(\w+)\.([\w.]+)`", text):
            module, name = match.groups()
            is_file = target.endswith(".py") and name == "py"  # `module.py` is a file's name, not a function's
            if path.stem != module or not (is_file or name in defined(path)):
                wrong.append(f"[{text}]({target})")
    return wrong


def wrong_mathematics(page: Path) -> list[str]:
    """Return what GitHub may show as something else, because Markdown is read before the mathematics in it."""
    text, wrong = re.sub(r"`[^`\n]*`", "`code`", prose(page)), []
    displays = re.findall(r"^\$\$ (.+) \$\$$", text, re.MULTILINE)
    text = re.sub(r"^\$\$ .+ \$\$$", "", text, flags=re.MULTILINE)
    for line in text.splitlines():
        pieces = line.split("$")
        wrong += [f"dollars do not pair: {line}"] * (len(pieces) % 2 == 0)
        for before, math, after in zip(pieces[0::2], pieces[1::2], pieces[2::2], strict=False):
            if math.strip() != math or re.search(r"[\w\\`-]$", before) or re.match(r"[\w`]", after):
                wrong.append(f"not taken for mathematics: ${math}$ in {line}")
            displays.append(math)
    for math in displays:
        if re.search(r"(?<![A-Za-z0-9])_|\*|\\[^A-Za-z]|<|>|\]\(|\\operatorname|`", math):
            wrong.append(f"may be taken for Markdown: {math}")
        if math.count("{") != math.count("}"):
            wrong.append(f"braces do not pair: {math}")
    return wrong


def test_the_page_is_there():
    assert GRADIENTS in DOCS
    assert sum(bool(re.fullmatch(r"`\w+\.(?!py`)[\w.]+`", text)) for text, _ in links(GRADIENTS)) > 30


def test_every_backward_of_the_package_is_derived_in_the_order_of_the_forward():
    linked, found = [text.strip("`") for text, _ in links(GRADIENTS)], 0
    for path in (GRADIENTS.parent.parent / "minidraw").rglob("*.py"):
        for name in sorted(defined(path)):
            if re.search(r"(^|_)backward$", name) and path.parent.name != "cuda":  # the same once more
                found += 1
                backward = f"{path.stem}.{name}"
                assert backward in linked, backward
                forward = backward.removesuffix("_backward")
                if forward != backward and forward.partition(".")[2] in defined(path):
                    assert linked.index(forward) < linked.index(backward), f"{backward} stands before {forward}"
    assert found >= 11


@PAGES
def test_links_lead_somewhere(page):
    missing = [target for _, target in links(page) if not (page.parent / target.split("#")[0]).exists()]
    assert missing == []


@PAGES
def test_what_is_linked_by_name_exists(page):
    assert wrong_names(page) == []


@PAGES
def test_mathematics_is_safe_from_markdown(page):
    assert wrong_mathematics(page) == []


def test_these_checks_notice_mistakes(tmp_path):
    """The tester's own test."""
    (tmp_path / "module.py").write_text("class A:\n    def f(self): ...\n")
    page = tmp_path / "page.md"
    page.write_text("[`module.A.f`](module.py) [`module.A`](module.py) [`module.py`](module.py) $h_t^{dec}$ ($x$) `a$`")
    assert wrong_names(page) == wrong_mathematics(page) == []
    for mistake in ("[`module.f`](module.py)", "[`other.A`](module.py)", "[`module.A.g`](module.py)"):
        page.write_text(mistake)
        assert wrong_names(page) == [mistake]
    for mistake in ("$h^{dec}_t$", "$y$b", "-$y$", "$ x$", "$a*b$", r"$a\,b$", "$a<b$", "one $ only", r"$\frac{1$"):
        page.write_text(mistake)
        assert wrong_mathematics(page), mistake


@pytest.mark.parametrize("code", re.findall(r"^```python\n(.*?)^```$", GRADIENTS.read_text("utf-8"), re.DOTALL | re.M))
def test_the_python_printed_runs(code):
    exec(code, {})  # it asserts what it shows


# The page as a program. Each function returns its value and a function from the value's gradient to its arguments'.


def sigmoid(a):
    return 1 / (1 + np.exp(-a))


def latent(h, W, b, noise, scale):
    """Section 2."""
    mu, log_sigma = np.split(h @ W + b, 2, axis=1)
    sigma = np.exp(log_sigma)

    def back(dz):
        dq = np.concatenate([dz + scale * mu, dz * noise * sigma + scale * (sigma**2 - 1)], axis=1)
        return dq, dq @ W.T

    return mu + sigma * noise, back


def lstm(u, W, b, s_old):
    """Section 3."""
    i, f, o, g = np.split(u @ W + b, 4, axis=1)
    i, f, o, g = sigmoid(i), sigmoid(f), sigmoid(o), np.tanh(g)
    s = f * s_old + i * g
    tau = np.tanh(s)

    def back(dh, ds):
        do = dh * tau
        ds = ds + dh * o * (1 - tau**2)
        di, df, dg = ds * g, ds * s_old, ds * i
        da = np.concatenate([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)], axis=1)
        return da, da @ W.T, ds * f

    return (o * tau, s), back


def filterbank(p, axis, A, longest, N):
    """Section 4, with mu itself in the place of a*."""
    a, places = np.arange(1, A + 1), np.arange(1, N + 1) - N / 2 - 1 / 2
    variance, delta = np.exp(p[:, 2]), (longest - 1) / (N - 1) * np.exp(p[:, 3])
    mu = (A + 1) / 2 * (p[:, axis, None] + 1) + places * delta[:, None]
    offset = a - mu[:, :, None]
    F = np.exp(-(offset**2) / (2 * variance[:, None, None]))
    F /= F.sum(axis=2, keepdims=True)

    def back(dF, dp):
        dlogits = F * (dF - (F * dF).sum(axis=2, keepdims=True))
        dmu = (dlogits * offset).sum(axis=2) / variance[:, None]
        dp[:, axis] += (A + 1) / 2 * dmu.sum(axis=1)
        dp[:, 2] += (dlogits * offset**2).sum(axis=(1, 2)) / (2 * variance)
        dp[:, 3] += delta * (places * dmu).sum(axis=1)

    return F, back


def read(X, p, N):
    """Section 5, reading."""
    H, W = X.shape[2:]
    (F_X, back_X), (F_Y, back_Y) = (filterbank(p, axis, A, max(H, W), N) for axis, A in enumerate((W, H)))
    gamma = np.exp(p[:, 4])[:, None, None, None]
    K = X @ F_X.transpose(0, 2, 1)[:, None]
    r = gamma * (F_Y[:, None] @ K)

    def back(dr):
        dr, dp = dr.reshape(r.shape), np.zeros_like(p)
        dp[:, 4] = (dr * r).sum(axis=(1, 2, 3))
        dG = gamma * dr
        dK = F_Y.transpose(0, 2, 1)[:, None] @ dG
        back_X((dK.transpose(0, 1, 3, 2) @ X).sum(axis=1), dp)
        back_Y((dG @ K.transpose(0, 1, 3, 2)).sum(axis=1), dp)
        return dK @ F_X[:, None], dp

    return r.reshape(len(X), -1), back


def write(w, p, shape):
    """Section 5, writing."""
    (_, H, W), M = shape, w.shape[-1]
    (F_X, back_X), (F_Y, back_Y) = (filterbank(p, axis, A, max(H, W), M) for axis, A in enumerate((W, H)))
    gamma = np.exp(p[:, 4])[:, None, None, None]
    V = w / gamma
    K = F_Y.transpose(0, 2, 1)[:, None] @ V

    def back(dY):
        dp = np.zeros_like(p)
        dK = dY @ F_X.transpose(0, 2, 1)[:, None]
        dV = F_Y[:, None] @ dK
        dp[:, 4] = -(dV * V).sum(axis=(1, 2, 3))
        back_X((K.transpose(0, 1, 3, 2) @ dY).sum(axis=1), dp)
        back_Y((V @ dK.transpose(0, 1, 3, 2)).sum(axis=1), dp)
        return dV / gamma, dp

    return K @ F_X[:, None], back


class Sums(dict):
    """The gradients of the weights, added up."""

    def add(self, name, inputs, doutputs):
        self[f"{name}.W"] = self.get(f"{name}.W", 0) + inputs.T @ doutputs
        self[f"{name}.b"] = self.get(f"{name}.b", 0) + doutputs.sum(axis=0)


def draw_gradients(p, x, noise, config):
    """Sections 1 to 6."""
    (B, C, H, W), grads, scale, steps = x.shape, Sums(), 1 / len(x), []
    N, M, R = config.read_size, config.write_size, len(p["encoder.W"]) - config.dec_size - config.enc_size
    h_enc, h_dec = np.tile(p["h_enc0"], (B, 1)), np.tile(p["h_dec0"], (B, 1))
    s_enc, s_dec = 0 * h_enc, 0 * h_dec
    c = np.tile(p["canvas0"].reshape(C, H, W), (B, 1, 1, 1))
    for t in range(config.glimpses):
        shown, old_dec = sigmoid(c), h_dec
        X = np.concatenate([x, x - shown], axis=1)
        if N is None:
            r, read_back = X.reshape(B, -1), None
        else:
            r, read_back = read(X, h_dec @ p["read.W"] + p["read.b"], N)
        u_enc = np.concatenate([r, h_dec, h_enc], axis=1)
        (h_enc, s_enc), encoder_back = lstm(u_enc, p["encoder.W"], p["encoder.b"], s_enc)
        z, latent_back = latent(h_enc, p["latent.W"], p["latent.b"], noise[t], scale)
        u_dec = np.concatenate([z, h_dec], axis=1)
        (h_dec, s_dec), decoder_back = lstm(u_dec, p["decoder.W"], p["decoder.b"], s_dec)
        w = h_dec @ p["patch.W"] + p["patch.b"]
        if M is None:
            Y, write_back = w.reshape(x.shape), None
        else:
            Y, write_back = write(w.reshape(B, C, M, M), h_dec @ p["write.W"] + p["write.b"], (C, H, W))
        c = c + Y
        states = (u_enc, u_dec, old_dec, h_enc, h_dec, shown)
        steps.append((states, (read_back, encoder_back, latent_back, decoder_back, write_back)))

    dc = scale * (sigmoid(c) - x)
    dh_enc, dh_dec, ds_enc, ds_dec = 0 * h_enc, 0 * h_dec, 0 * s_enc, 0 * s_dec
    for (u_enc, u_dec, old_dec, h_enc, h_dec, shown), backs in reversed(steps):
        read_back, encoder_back, latent_back, decoder_back, write_back = backs
        dw = dc  # 1
        if M is not None:
            dw, dp = write_back(dc)
            dh_dec = dh_dec + dp @ p["write.W"].T
            grads.add("write", h_dec, dp)
        dw = dw.reshape(B, -1)
        dh_dec = dh_dec + dw @ p["patch.W"].T
        grads.add("patch", h_dec, dw)
        da, du, ds_dec = decoder_back(dh_dec, ds_dec)  # 2
        grads.add("decoder", u_dec, da)
        dz, dh_dec = np.split(du, [config.latent_size], axis=1)
        dq, dh = latent_back(dz)  # 3
        grads.add("latent", h_enc, dq)
        da, du, ds_enc = encoder_back(dh_enc + dh, ds_enc)  # 4
        grads.add("encoder", u_enc, da)
        dr, dh, dh_enc = np.split(du, [R, R + config.dec_size], axis=1)
        dh_dec = dh_dec + dh
        if N is None:  # 5
            dX = dr.reshape(B, 2 * C, H, W)
        else:
            dX, dp = read_back(dr)
            dh_dec = dh_dec + dp @ p["read.W"].T
            grads.add("read", old_dec, dp)
        dc = dc - dX[:, C:] * shown * (1 - shown)  # 6
    start = {"h_enc0": dh_enc, "h_dec0": dh_dec, "canvas0": dc.reshape(B, -1)}
    return grads | {name: gradient.sum(axis=0) for name, gradient in start.items()}


def classifier_gradients(p, x, labels, config):
    """Section 7."""
    B, grads, steps = len(x), Sums(), []
    h = np.tile(p["h0"], (B, 1))
    s = 0 * h
    for _ in range(config.glimpses):
        r, read_back = read(x, h @ p["read.W"] + p["read.b"], config.read_size)
        u = np.concatenate([r, h], axis=1)
        (new, s), back = lstm(u, p["lstm.W"], p["lstm.b"], s)
        steps.append((u, h, back, read_back))
        h = new
    P = np.exp(h @ p["softmax.W"] + p["softmax.b"])
    P /= P.sum(axis=1, keepdims=True)
    dlogits = (P - np.eye(config.classes)[labels]) / B
    grads.add("softmax", h, dlogits)
    dh, ds = dlogits @ p["softmax.W"].T, 0 * s
    for u, h, back, read_back in reversed(steps):
        da, du, ds = back(dh, ds)
        grads.add("lstm", u, da)
        dr, dh = np.split(du, [u.shape[1] - h.shape[1]], axis=1)
        _, dp = read_back(dr)
        grads.add("read", h, dp)
        dh = dh + dp @ p["read.W"].T
    return grads | {"h0": dh.sum(axis=0)}


def assert_the_code_agrees(part, expected):
    got = gradcheck.gradients(part)
    assert got.keys() == expected.keys()
    for name, gradient in expected.items():
        gradcheck.assert_close(got[name], gradient, gradcheck.AUTOGRAD, name)


@pytest.mark.parametrize("combination", COMBINATIONS, ids=str)
def test_sections_1_to_6_give_the_gradients_of_the_code(combination):
    part = gradcheck.Whole(*combination)
    assert_the_code_agrees(part, draw_gradients(part.inputs, **part.constants, config=part.config))


def test_section_7_gives_the_gradients_of_the_code():
    part = Classifier(2)
    x = part.constants["x"]
    assert_the_code_agrees(part, classifier_gradients(part.inputs, x, part.labels, part.config))
