"""Run the long tests and write what they printed as a page of the documentation.

    python tests/long/trust_report.py --output docs/tables [--lowest PYTHON] [--quick]

`--lowest` names a Python whose packages are those of constraints-lowest.txt. The full
run takes about half an hour on two cores.
"""

import argparse
import platform
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

HERE = Path(__file__).parent
TESTS = HERE.parent
PACKAGES = ("torch", "scikit-learn", "numpy", "scipy", "joblib", "safetensors")


def scripts(quick):
    """Title, and command of each long test."""
    few = quick
    return [
        ("Growth killed at random moments",
         ["kill_growth.py", "--trials", "4" if few else "50"]),
        ("Forged and damaged files",
         ["fuzz_load.py", "--seconds", "10" if few else "600"]),
        ("Memory over many cycles",
         ["memory_cycles.py", "--cycles", "50" if few else "1000"]),
    ]  # fmt: skip


def last_line(command):
    """What a command printed last, and whether it succeeded."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).strip().splitlines()
    told = lines[-1:] if done.returncode == 0 else lines
    print(" ".join(map(str, command)), *told, sep="\n  ", flush=True)
    return lines[-1].strip("= "), done.returncode == 0


def versions(python):
    program = "import sys, importlib.metadata as m; "
    program += f"print(*[f'{{p}} {{m.version(p)}}' for p in {PACKAGES}], sep=', ')"
    out = subprocess.run([python, "-c", program], capture_output=True, check=True)
    return out.stdout.decode().strip()


def commit():
    """Which one was tested, where git knows."""
    command = ["git", "-C", str(HERE), "rev-parse", "--short", "HEAD"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--lowest", type=Path, help="Python with the oldest packages")
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    rows, good = [], True
    suites = [("All tests, newest versions", sys.executable)]
    if options.lowest:
        suites.append(("All tests, oldest versions", options.lowest))
    properties = TESTS / "project" / "test_properties.py"
    inputs = [sys.executable, "-m", "pytest", "-q", str(properties)]
    profile = "ci" if options.quick else "long"
    everything = ["-m", "pytest", "-q", "-n", "2", str(TESTS)]
    commands = [
        *[(f"{title} ({versions(python)})", [python, *everything])
          for title, python in suites],
        ("Inputs that a machine thinks of", [*inputs, f"--hypothesis-profile={profile}"]),
        *[(title, [sys.executable, str(HERE / name), *rest])
          for title, (name, *rest) in scripts(options.quick)],
    ]  # fmt: skip
    options.output.mkdir(parents=True, exist_ok=True)
    for title, command in commands:
        line, passed = last_line(command)
        good &= passed
        rows.append((title, line))  # written at once: the run is long
        (options.output / "trust.md").write_text(page(rows))
    return int(not good)


def page(rows):
    """The table as the documentation shows it."""
    lines = [
        "# The long tests", "", "| test | outcome |", "|---|---|",
        *[f"| {title} | {line} |" for title, line in rows], "",
        f"skgrow {version('skgrow')}, commit {commit()}, Python "
        f"{platform.python_version()}, {platform.system()}.", "",
    ]  # fmt: skip
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
