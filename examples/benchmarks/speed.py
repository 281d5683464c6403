"""How fast are the parts of growth, beside the fastest thing this machine can do?

    python examples/benchmarks/speed.py --output docs/tables
    python examples/benchmarks/speed.py --quick --check docs/tables/speed_quick.json
    python examples/benchmarks/speed.py --device cuda --output docs/tables

Times every part on random images of CIFAR-10's shape (digits' with `--quick`), counts
floating-point operations from the shapes, and gives the rate beside that of one large
product of matrices (sgemm) in the same run. Then doubles rows, regions, branches and
classes of the search three times each, and times the search with one worker and with two.
With `--device` the parts run there and on the CPU of the same machine, side by side;
selection and tuning are always done by the CPU.
`--check` compares *ratios* with a recorded table, never times, and fails where one has
fallen below half three times in a row, or where two workers are slower than one. The full
run takes about a minute on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from skgrow import ImagePatches, __version__
from skgrow.growth.reuse.clustering import find_clusters
from skgrow.growth.reuse.mask_fitting import Masks, fit_masks
from skgrow.growth.reuse.matching import propose_matches
from skgrow.growth.reuse.screening import screen_plain, threshold_values
from skgrow.growth.reuse.selection import select_stagewise
from skgrow.inputs.regions import resolve_regions
from skgrow.inputs.scaling import PixelScaler
from skgrow.networks.bank import BranchBank
from skgrow.networks.branch_uses import Candidates
from skgrow.networks.forward import features_major
from skgrow.networks.grown import GrownBranches, Network
from skgrow.training.bank_training import TrainingData, TrainingPlan, train_bank
from skgrow.training.losses import CROSS_ENTROPY

LAYERS = (9, 9, 9, 9)
DOUBLINGS = 3
N_TRIES = 3
MAX_WORKERS_RATIO = 1.25  # seconds with two workers to seconds with one


@dataclass(frozen=True)
class Sizes:
    """What the parts work on."""

    image: tuple
    stride: int  # of the base network
    full_stride: int  # of a network with branches everywhere
    n_rows: int
    n_regions: int
    n_classes: int
    n_grown: int
    n_repeats: int


WORKERS = Sizes((3, 32, 32), 6, 3, 8_000, 64, 10, 0, 3)  # long beside starting jobs
FULL = Sizes((3, 32, 32), 6, 3, 16_000, 16, 10, 1456, 3)
QUICK = Sizes((1, 8, 8), 2, 1, 4_000, 9, 10, 200, 3)


@dataclass(frozen=True)
class Part:
    """Something to time, and the multiply-adds it takes, counted from the shapes."""

    name: str
    multiply_adds: int
    run: Callable


class Bench:
    """Random rows and branches of given sizes."""

    def __init__(self, sizes, device="cpu", n_branches=None, seed=0):
        self.sizes, self.device = sizes, device
        state = np.random.RandomState(seed)
        n_columns = int(np.prod(sizes.image))
        X = state.uniform(0, 1, size=(sizes.n_rows, n_columns)).astype(np.float32)
        self.y = state.randint(sizes.n_classes, size=sizes.n_rows)
        self.scaler = PixelScaler(0.5, 1.0)
        self.X = self.scaler.transform(X)
        self.features = features_major(self.X, device)
        patches = ImagePatches(sizes.image, patch_size=3, stride=sizes.stride)
        found = resolve_regions(patches, None, n_columns, state)
        self.base, self.growth = found.base, found.growth
        regions = np.resize(self.base, (n_branches or len(self.base), 9))
        self.bank = BranchBank.random(
            regions, LAYERS, sizes.n_classes, state, np.dtype(np.float32)
        )
        zeros = np.zeros((sizes.n_rows, sizes.n_classes), dtype=np.float32)
        self.weight = np.ones(sizes.n_rows, dtype=np.float32)
        self.zeros, self.now = zeros, CROSS_ENTROPY.residual(zeros, self.y, self.weight)
        self.state = state

    @property
    def trunk(self):
        """Multiply-adds of a branch's hidden layers, a row."""
        return sum(w[0].size for w in self.bank.weights[:-1])

    def screening(self, n_jobs=None):
        """All branches on some regions: outputs, and gains for all classes."""
        sizes, k = self.sizes, self.sizes.n_classes
        outputs = self.bank.n_branches * k
        one = self.bank.n_branches * self.trunk + outputs * (LAYERS[-1] + 4 * k + 1)
        numbers = np.resize(np.arange(len(self.growth)), sizes.n_regions)

        def run():
            screen_plain(
                self.bank, self.features, self.now, numbers, self.growth[numbers],
                n_keep=64, n_jobs=n_jobs,
            )  # fmt: skip

        return Part("screening", sizes.n_regions * sizes.n_rows * one, run)

    def matching(self):
        """One region: outputs of all matches, and gains for all classes."""
        n_rows = min(4000, self.sizes.n_rows)
        clusters = find_clusters(self.bank, seed=0)
        some = self.features[:, :n_rows]
        now = self.now.take(slice(0, n_rows))
        k = self.sizes.n_classes
        one = self.bank.n_branches * k * (self.trunk + LAYERS[-1] + 4 * k + 1)

        def run():
            propose_matches(
                self.bank, clusters, some, self.y[:n_rows], now,
                np.arange(1), self.growth[:1], n_proposals=200,
            )  # fmt: skip

        return Part("matching, a region", n_rows * k * one, run)

    def uses(self, n):
        """Random plain candidates."""
        region = self.state.randint(len(self.growth), size=n)
        uses = Candidates.plain(
            region, self.growth[region],
            self.state.randint(self.bank.n_branches, size=n),
            self.state.randint(self.sizes.n_classes, size=n), self.bank.dtype,
        )  # fmt: skip
        target = self.state.randint(self.sizes.n_classes, size=n)
        return replace(uses, target=target)

    def selection(self, n=1000, n_picks=100):
        """Picks out of a thousand candidates."""
        uses = self.uses(n)
        values = threshold_values(self.bank, uses, self.features)
        # A class's candidates after every pick, all of them after every tenth.
        judged = n_picks * n // self.sizes.n_classes + n_picks // 10 * n

        def run():
            select_stagewise(
                values, uses.target, np.arange(n), self.zeros, self.y, self.weight,
                n_picks=n_picks,
            )  # fmt: skip

        return Part("selection, 100 picks", 3 * judged * self.sizes.n_rows, run)

    def tuning(self, n=100, n_steps=10):
        """The convex fit of a round's masks."""
        uses = self.uses(n)
        values = threshold_values(self.bank, uses, self.features)
        start = Masks.zeros(n, self.sizes.n_classes)

        def run():
            fit_masks(
                values, uses.target, self.zeros, self.y, self.weight,
                start=start, max_iter=n_steps,
            )  # fmt: skip

        return Part("tuning, 10 steps", 4 * n * n_steps * self.sizes.n_rows, run)

    def training(self, n_passes=10):
        """Passes over the rows; getting ready, once for all of them, included."""
        data = TrainingData(self.X, self.y, self.weight, self.zeros[:1])
        plan = TrainingPlan(max_iter=n_passes, batch_size=256, learning_rate=4e-3)
        one = 3 * self.bank.n_multiply_adds  # forward, and twice as much backward

        def run():
            train_bank(self.bank, data, plan, device=self.device)

        name = f"training, {n_passes} passes"
        return Part(name, n_passes * one * self.sizes.n_rows, run)

    def networks(self):
        """A grown network, and one with branches trained everywhere."""
        grown = GrownBranches.empty(self.bank)
        n, dtype = self.sizes.n_grown, self.bank.dtype
        ones = np.ones(n, dtype=dtype)
        grown = replace(
            grown, uses=self.uses(n), span=ones, scale=ones, bias=ones,
            precision=ones, recall=ones, bound=ones,
        )  # fmt: skip
        intercept = np.zeros(self.sizes.n_classes, dtype=dtype)
        patches = ImagePatches(
            self.sizes.image, patch_size=3, stride=self.sizes.full_stride
        )
        regions = resolve_regions(patches, None, self.X.shape[1], self.state).base
        full = BranchBank.random(regions, LAYERS, self.sizes.n_classes, self.state, dtype)
        return (
            Network(self.bank, grown, intercept),
            Network(full, GrownBranches.empty(full), intercept),
        )

    def predicting(self):
        """The grown network, and the one with branches everywhere."""
        X, n_rows = self.X[:10_000], min(10_000, self.sizes.n_rows)
        names = f"prediction, grown by {self.sizes.n_grown:,}", "prediction, everywhere"
        return [
            Part(
                name,
                network.n_multiply_adds * n_rows,
                lambda network=network: network.logits(X, self.scaler, self.device),
            )
            for name, network in zip(names, self.networks(), strict=True)
        ]

    def parts(self):
        """All of them."""
        return [
            self.screening(), self.matching(), self.selection(), self.tuning(),
            self.training(), *self.predicting(),
        ]  # fmt: skip


def best_time(run, n_repeats):
    """Seconds of the fastest of some runs."""
    times = []
    for _ in range(n_repeats):
        start = perf_counter()
        run()
        times.append(perf_counter() - start)
    return min(times)


def sgemm_rate(device, n=2048):
    """Floating-point operations a second of one large product."""
    a = torch.randn(n, n, device=device)

    def run():
        (a @ a)[0, 0].item()  # a GPU works on after it was asked to

    run()
    return 2 * n**3 / best_time(run, 5)


def peak_memory(device):
    """Largest resident memory so far, or memory of the GPU, MiB."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def measure_parts(sizes, device="cpu"):
    rate = sgemm_rate(device)
    lines = [{"part": "sgemm, 2048 cubed", "gflops": rate / 1e9, "of_sgemm": 1.0}]
    for part in Bench(sizes, device).parts():
        part.run()
        rate = sgemm_rate(device)  # next to each part: machines change their pace
        seconds = best_time(part.run, sizes.n_repeats)
        reached = 2 * part.multiply_adds / seconds
        lines.append(
            {
                "part": part.name,
                "seconds": seconds,
                "gflop": 2 * part.multiply_adds / 1e9,
                "gflops": reached / 1e9,
                "of_sgemm": reached / rate,
                "peak_mib": peak_memory(device),
            }
        )
        print(lines[-1], flush=True)
    return lines


def beside_cpu(sizes, device):
    """The parts on another device, with the seconds of the CPU of the same machine."""
    there, here = measure_parts(sizes, device), measure_parts(sizes)
    for line, other in zip(there, here, strict=True):
        line["cpu_seconds"] = other.get("seconds")
        line["cpu_gflops"] = other["gflops"]
    return there


def screening_seconds(sizes, device, n_branches):
    bench = Bench(sizes, device, n_branches)
    return best_time(bench.screening().run, sizes.n_repeats)


def measure_growth(sizes, device):
    """Seconds of screening as one size is doubled, and the exponent of its cost."""
    n_branches = 16
    start = replace(
        sizes, n_rows=sizes.n_rows // 8, n_regions=max(1, sizes.n_regions // 4),
        n_classes=4,
    )  # fmt: skip
    lines = []
    for name in ("rows", "regions", "branches", "classes"):
        seconds = []
        for doubled in range(DOUBLINGS + 1):
            times = 2**doubled
            grown, branches = start, n_branches
            if name == "branches":
                branches *= times
            else:
                value = getattr(start, f"n_{name}") * times
                grown = replace(start, **{f"n_{name}": value})
            seconds.append(screening_seconds(grown, device, branches))
        exponent = np.polyfit(np.arange(DOUBLINGS + 1), np.log2(seconds), 1)[0]
        lines.append({"doubled": name, "seconds": seconds, "exponent": float(exponent)})
        print(lines[-1], flush=True)
    return lines


def workers_ratio():
    """Seconds of the search with two workers to those with one."""
    bench = Bench(WORKERS)
    seconds = []
    for n_jobs in (1, 2):
        run = bench.screening(n_jobs).run
        run()  # starts the workers
        seconds.append(best_time(run, WORKERS.n_repeats))
    print({"workers": [1, 2], "seconds": seconds}, flush=True)
    return seconds[1] / seconds[0]


def prediction_ratio(lines):
    grown, full = (line for line in lines if line["part"].startswith("prediction"))
    return grown["seconds"] / full["seconds"]


def ratios(parts):
    """What `--check` looks at."""
    return {
        "parts": parts,
        "prediction_ratio": prediction_ratio(parts),
        "workers_ratio": workers_ratio(),
    }


def device_markdown(result, device):
    """The table of another device than the CPU."""
    name = torch.cuda.get_device_name(device)
    lines = [
        f"# Speed on {name}",
        "",
        "| part | GFLOP | seconds | GFLOP/s | MiB | seconds on the CPU | times as fast |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for line in result["parts"]:
        if "seconds" in line:
            lines.append(
                f"| {line['part']} | {line['gflop']:.1f} | {line['seconds']:.4f} "
                f"| {line['gflops']:.0f} | {line['peak_mib']:.0f} "
                f"| {line['cpu_seconds']:.3f} "
                f"| {line['cpu_seconds'] / line['seconds']:.1f} |"
            )
        else:
            rate, cpu = line["gflops"], line["cpu_gflops"]
            lines.append(f"| {line['part']} | | | {rate:.0f} | | | {rate / cpu:.1f} |")
    return [
        *lines,
        "",
        "A grown network predicts in "
        f"{result['prediction_ratio']:.2f} times the time of one with branches "
        "everywhere. Selection and tuning are done by the CPU.",
    ]


def cpu_markdown(result):
    lines = ["# Speed", "", "| part | GFLOP | seconds | GFLOP/s | of sgemm | MiB |"]
    lines += ["|---|---:|---:|---:|---:|---:|"]
    for line in result["parts"]:
        if "seconds" in line:
            lines.append(
                f"| {line['part']} | {line['gflop']:.1f} | {line['seconds']:.3f} "
                f"| {line['gflops']:.1f} | {line['of_sgemm']:.3f} "
                f"| {line['peak_mib']:.0f} |"
            )
        else:
            lines.append(f"| {line['part']} | | | {line['gflops']:.1f} | 1 | |")
    lines += [
        "",
        f"A grown network predicts in {result['prediction_ratio']:.2f} times the time of "
        "one with branches everywhere. Two workers search in "
        f"{result['workers_ratio']:.2f} times the time of one.",
    ]
    return lines


def markdown(result, device, seconds):
    on_cpu = device == "cpu"
    lines = cpu_markdown(result) if on_cpu else device_markdown(result, device)
    memory = "resident memory" if on_cpu else "memory of the GPU"
    lines += [
        "",
        "## Screening, one size doubled three times",
        "",
        "| doubled | seconds | exponent |",
        "|---|---|---:|",
    ]
    lines += [
        f"| {line['doubled']} | {', '.join(f'{s:.3f}' for s in line['seconds'])} "
        f"| {line['exponent']:.2f} |"
        for line in result["growth"]
    ]
    lines += [
        "",
        f"Memory is the largest {memory} of the process up to there. Whole run "
        f"{seconds:.0f} seconds on {torch.get_num_threads()} threads; skgrow "
        f"{__version__}, torch {torch.__version__}, Python {platform.python_version()}.",
        "",
    ]
    return "\n".join(lines)


def fallen(result, recorded):
    """Parts whose share of the sgemm rate is below half of the recorded one, and why."""
    before = {line["part"]: line["of_sgemm"] for line in recorded["parts"]}
    problems = {
        line["part"]: f"{line['of_sgemm']:.4f} of sgemm, was {before[line['part']]:.4f}"
        for line in result["parts"]
        if line["of_sgemm"] < before[line["part"]] / 2
    }
    ratio, was = result["prediction_ratio"], recorded["prediction_ratio"]
    if ratio > 2 * was:
        problems["prediction ratio"] = f"{ratio:.2f}, was {was:.2f}"
    if (os.cpu_count() or 1) > 1 and result["workers_ratio"] > MAX_WORKERS_RATIO:
        problems["two workers to one"] = f"{result['workers_ratio']:.2f}"
    return problems


def compare(result, recorded, sizes):
    """Exit when a ratio has fallen in every one of some measurements.

    Whatever else the machine does may slow any part once.
    """
    problems = fallen(result, recorded)
    for _ in range(N_TRIES - 1):
        if not problems:
            return
        print(f"measured again, because of {problems}", flush=True)
        parts = measure_parts(sizes)
        again = fallen(ratios(parts), recorded)
        problems = {part: again[part] for part in problems if part in again}
    if problems:
        raise SystemExit(f"slower than recorded: {problems}")


def main():
    """Read the command line, measure, write or compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, seconds")
    parser.add_argument("--device", default="cpu", help='"cuda" or "cuda:1"')
    parser.add_argument("--output", type=Path, help="folder for JSON and Markdown")
    parser.add_argument("--check", type=Path, help="JSON of an earlier run")
    args = parser.parse_args()
    if torch.device(args.device).type not in ("cpu", "cuda"):
        parser.error(f"--device {args.device} is neither cpu nor cuda")
    if args.check is not None and args.device != "cpu":
        parser.error("--check compares the CPU with its record; leave --device out")
    start = perf_counter()
    sizes = QUICK if args.quick else FULL
    if args.device == "cpu":
        result = ratios(measure_parts(sizes))
    else:
        parts = beside_cpu(sizes, args.device)
        result = {"parts": parts, "prediction_ratio": prediction_ratio(parts)}
    result["growth"] = measure_growth(sizes, args.device)
    table = markdown(result, args.device, perf_counter() - start)
    print("\n" + table)
    if args.output is not None:
        args.output.mkdir(parents=True, exist_ok=True)
        name = "speed" if args.device == "cpu" else f"speed_{args.device.split(':')[0]}"
        stem = args.output / (name + "_quick" * args.quick)
        stem.with_suffix(".md").write_text(table)
        stem.with_suffix(".json").write_text(json.dumps(result, indent=1) + "\n")
    if args.check is not None:
        compare(result, json.loads(args.check.read_text()), sizes)


if __name__ == "__main__":
    main()
