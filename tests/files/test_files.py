"""Files that are replaced: what was there, what it leads to, and what the dead left."""

import os
import signal
import socket
import subprocess
import sys

import pytest

from skgrow.files import replacing
from skgrow.files.replacing import is_special, replace_file

posix = pytest.mark.skipif(os.name != "posix", reason="modes, links and pipes of POSIX")


def mode_of(path):
    return os.stat(path).st_mode & 0o7777


@posix
@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664])
def test_the_mode_of_a_file_is_kept(tmp_path, mode):
    path = tmp_path / "a"
    replace_file(path, b"old")
    os.chmod(path, mode)
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert mode_of(path) == mode


@posix
def test_a_new_file_has_the_mode_that_the_process_gives(tmp_path):
    replace_file(tmp_path / "a", b"new")
    (tmp_path / "b").write_bytes(b"")
    assert mode_of(tmp_path / "a") == mode_of(tmp_path / "b")


@posix
@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_still_leads_to_the_file(tmp_path, is_there):
    target, link = tmp_path / "far" / "file", tmp_path / "link"
    target.parent.mkdir()
    if is_there:
        target.write_bytes(b"old")
    link.symlink_to(os.path.join("far", "file"))
    replace_file(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert os.listdir(target.parent) == ["file"]
    assert sorted(os.listdir(tmp_path)) == ["far", "link"]


def test_long_names(tmp_path):
    path = tmp_path / ("a" * 255)
    for content in (b"old", b"new"):
        replace_file(path, content)
        assert path.read_bytes() == content
    assert os.listdir(tmp_path) == [path.name]


@posix
@pytest.mark.parametrize("through_link", [False, True])
@pytest.mark.parametrize("kind", ["pipe", "socket"])
def test_what_is_no_file_stays_what_it_is(tmp_path, monkeypatch, kind, through_link):
    monkeypatch.chdir(tmp_path)  # the name of a socket is short
    if kind == "pipe":
        os.mkfifo("a")
    else:
        with socket.socket(socket.AF_UNIX) as opened:
            opened.bind("a")
    before = os.stat("a")
    if through_link:
        os.symlink("a", "b")
    with pytest.raises(OSError, match="is a device, a pipe or a socket"):
        replace_file("b" if through_link else "a", b"new")
    assert os.stat("a") == before
    assert "a" in os.listdir()
    assert len(os.listdir()) == 1 + through_link


@posix
def test_devices_are_no_files(tmp_path):
    assert is_special(os.devnull)
    assert not is_special(tmp_path)
    assert not is_special(tmp_path / "none")


def test_folders_are_no_files(tmp_path):
    with pytest.raises(OSError, match=r"[Dd]irectory|denied"):
        replace_file(tmp_path, b"new")
    with pytest.raises(FileNotFoundError):
        replace_file(tmp_path / "none" / "a", b"new")
    assert os.listdir(tmp_path) == []


# Alone, since to import the whole package takes seconds.
ALONE = f"""
import os, signal, sys
sys.path.append({os.path.dirname(replacing.__file__)!r})
from replacing import replace_file
"""
KILLED = f"""{ALONE}
os.fsync = lambda file: os.kill(os.getpid(), signal.SIGKILL)
replace_file(sys.argv[1], b"half")
"""
WRITING = f"""{ALONE}
def wait(file):
    print("writing", flush=True)
    sys.stdin.read()
os.fsync = wait
replace_file(sys.argv[1], b"slow")
"""


@posix
def test_what_a_killed_save_left_is_removed_by_the_next(tmp_path):
    path, other = tmp_path / "a", tmp_path / "b"
    path.write_bytes(b"old")
    for killed in (path, path, other):
        done = subprocess.run([sys.executable, "-c", KILLED, str(killed)], check=False)
        assert done.returncode == -signal.SIGKILL
    assert path.read_bytes() == b"old"
    left = set(os.listdir(tmp_path)) - {"a"}
    assert left  # else there is nothing to remove
    replace_file(path, b"new")
    assert path.read_bytes() == b"new"
    assert len(os.listdir(tmp_path)) == 2  # and what belongs to the other file
    replace_file(other, b"new")
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


@posix
def test_what_another_process_is_writing_is_left_alone(tmp_path):
    path = tmp_path / "a"
    command = [sys.executable, "-c", WRITING, str(path)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as process:
        assert process.stdout.readline() == b"writing\n"
        replace_file(path, b"fast")
        assert path.read_bytes() == b"fast"
        process.communicate(b"")
    assert process.returncode == 0
    assert path.read_bytes() == b"slow"
    assert os.listdir(tmp_path) == ["a"]
