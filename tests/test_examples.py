"""The examples in short form, as a user runs them, and the idx reader's complaints."""

from __future__ import annotations

import gzip
import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import symgrad as sg

EXAMPLES = Path(__file__).parents[1] / "examples"


def run(name: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def output(name: str, *arguments: object) -> str:
    done = run(name, *arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_digits(tmp_path: Path) -> None:
    text = output("digits_mlp.py", "--epochs", 15, "--out", tmp_path)
    assert "graph digits(" in text
    assert "graph digits_gradient(" in text
    accuracy = float(text.split("test accuracy ")[1].split("%")[0])
    assert accuracy >= 96
    assert (tmp_path / "learning_curve.png").stat().st_size > 5000
    assert sg.load(tmp_path / "digits_gradient.sg").output_names == (
        "d_w0",
        "d_w1",
        "d_w2",
        "d_b0",
        "d_b1",
        "d_b2",
    )


def test_xor() -> None:
    text = output("xor.py")
    for row in (" 0  0  0  0.000", " 0  1  1  1.000", " 1  0  1  ", " 1  1  0  "):
        assert row in text


def test_higher_order() -> None:
    text = output("higher_order.py")
    assert "graph derivative_4(x: f64) -> (y4: f64)" in text
    assert "1.615146296442, 1.417424224659, 0.469564399266, -2.364441440855, -5.707734036177" in text


def test_textbook() -> None:
    text = output("textbook.py")
    assert "W1 -> U1 -> H -> U2" in text
    assert "W1 -> pow" in text
    assert text.count("adds 2 * 0.1 * W") == 2
    assert "False" not in text


@pytest.mark.native
@pytest.mark.slow
def test_deconvolution(tmp_path: Path) -> None:
    text = output("deconvolution.py", "--out", tmp_path)
    assert "lines at [40, 52, 118, 126, 190], true [40, 52, 118, 126, 190]" in text
    width = float(text.split("\nwidth ")[1].split(",")[0])
    assert abs(width - 4) < 0.05
    assert float(text.split("rms error of the lines ")[1].split(";")[0]) < 0.003
    assert (tmp_path / "deconvolution.png").stat().st_size > 5000


def test_deconvolution_in_short() -> None:
    text = output("deconvolution.py", "--steps", 60)
    misfits = [float(line.split()[3].rstrip(",")) for line in text.splitlines() if line.startswith("step")]
    assert misfits[-1] < 0.1 * misfits[0]


@pytest.mark.native
@pytest.mark.slow
def test_gaussian_process(tmp_path: Path) -> None:
    text = output("gaussian_process.py", "--rows", 150, "--iterations", 15, "--out", tmp_path)
    before, after = (float(v.strip(" ,")) for v in text.split("likelihood ")[1].split(",")[0].split("->"))
    assert after > before + 1
    assert float(text.split("test error ")[1].split(",")[0]) < 0.8
    assert (tmp_path / "predictions.png").stat().st_size > 5000


@pytest.mark.native
@pytest.mark.slow
def test_kalman() -> None:
    text = output("kalman.py", "--steps", 25)
    assert float(text.split("at the maximum: ")[1]) < 1e-3


def write_idx(path: Path, array: np.ndarray) -> None:
    head = bytes([0, 0, 8, array.ndim]) + b"".join(int(d).to_bytes(4, "big") for d in array.shape)
    path.write_bytes(gzip.compress(head + array.astype(np.uint8).tobytes()))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A tiny data set of MNIST's form: images whose brightest row says the class."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 512), ("t10k", 128)):
        labels = rng.integers(0, 10, count)
        images = rng.integers(0, 60, (count, 28, 28))
        for image, label in zip(images, labels, strict=True):
            image[2 * label + 3] = 250
        write_idx(tmp_path / f"{part}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{part}-labels-idx1-ubyte.gz", labels)
    return tmp_path


@pytest.mark.native
@pytest.mark.parametrize("plain", [[], ["--plain"]])
def test_mnist_form(data: Path, plain: list[str]) -> None:
    text = output("mnist_mlp.py", "--data", data, "--epochs", 12, *plain)
    assert float(text.strip().split("accuracy ")[-1]) > 0.9


@pytest.mark.native
def test_cnn_on_digits() -> None:
    text = output("mnist_cnn.py", "--epochs", 4)
    assert text.count("epoch") == 4
    assert float(text.split("test error ")[-1].split("%")[0]) < 10
    assert "seconds of training: symgrad" in text


@pytest.mark.native
@pytest.mark.slow
def test_cnn_on_mnist_form(data: Path) -> None:
    text = output("mnist_cnn.py", "--data", data, "--epochs", 2)
    assert float(text.split("test error ")[-1].split("%")[0]) < 10
    (data / "train-images-idx3-ubyte.gz").unlink()
    assert "no train-images file" in run("mnist_cnn.py", "--data", data).stderr


def test_a_system_to_compare_with_that_is_not_there() -> None:
    if importlib.util.find_spec("torch"):
        pytest.skip("PyTorch is installed")
    done = run("mnist_cnn.py", "--epochs", 1, "--compare", "torch")
    assert done.returncode == 1
    assert "hint: install torch" in done.stderr


@pytest.mark.parametrize(
    ("damage", "phrase"),
    [
        (lambda p: p.unlink(), "no train-images file"),
        (lambda p: p.write_bytes(p.read_bytes()[:-20]), "damaged or cut short"),
        (lambda p: p.write_bytes(gzip.compress(gzip.decompress(p.read_bytes())[:-9])), "is cut short"),
        (lambda p: p.write_bytes(gzip.compress(b"hello world")), "is not the idx file"),
        (lambda p: p.write_bytes(b""), "is not the idx file"),
        (lambda p: write_idx(p, np.zeros((5, 28, 28))), "5 train images but 512 labels"),
    ],
)
def test_idx_faults_are_named(data: Path, damage: object, phrase: str) -> None:
    path = data / "train-images-idx3-ubyte.gz"
    damage(path)  # type: ignore[operator]
    done = run("mnist_mlp.py", "--data", data)
    assert done.returncode == 1
    assert phrase in done.stderr
    assert "Traceback" not in done.stderr
