"""python -m tools.gpu_check.rivals JOB: measure another library's DRAW of tools/bench on the GPU; print a line of JSON.

JOB is JSON: library, way, precision, config, batch, seconds.
"""

import json
import sys

from ..bench import problem
from .speed import median


def torch_on_gpu(job: dict, what: problem.Problem) -> tuple:
    """Return a contestant, how to run it, and how to wait for it; "graph" is PyTorch's own CUDA graph of the whole."""
    import torch

    torch.set_default_device("cuda")  # where the contestant's tensors are then made
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = job["precision"] == "tf32"
    if job["way"] == "compiled":
        from ..bench import torch_compiled as module
    else:
        from ..bench import torch_draw as module
    contestant, wait = module.Contestant(what, "hoisted", threads=1), torch.cuda.synchronize
    if job["way"] != "graph":
        return contestant, contestant.run, wait
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            contestant.run()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        contestant.run()
    return contestant, graph.replay, wait


def jax_on_gpu(job: dict, what: problem.Problem) -> tuple:
    """The same in JAX, which waits at the end of every run."""
    import jax

    if jax.default_backend() == "cpu":
        raise SystemExit("JAX sees no GPU")
    jax.config.update("jax_default_matmul_precision", "tensorfloat32" if job["precision"] == "tf32" else "highest")
    from ..bench import jax_draw

    contestant = jax_draw.Contestant(what, "hoisted", threads=1)
    return contestant, contestant.run, lambda: None


def main() -> None:
    """Measure and answer."""
    job = json.loads(sys.argv[1])
    config = problem.DRAWConfig(**{**job["config"], "image_shape": tuple(job["config"]["image_shape"])})
    make = {"torch": torch_on_gpu, "jax": jax_on_gpu}[job["library"]]
    contestant, run, wait = make(job, problem.make(config, job["batch"]))
    ms = median(run, wait, job["seconds"])
    print(json.dumps({"ms": ms, "loss": float(contestant.loss)}))


if __name__ == "__main__":
    main()
