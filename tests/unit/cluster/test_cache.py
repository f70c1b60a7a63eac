"""The cache: made once, never seen half made, cleaned of what is old."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cluster.cache import KEPT_ENTRIES, Cache, cache_root, digest
from tests.cluster.errors import MissingPrerequisite
from tests.cluster.progress import Progress

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", Progress(io.StringIO()))


def test_the_cache_lies_where_xdg_says() -> None:
    assert cache_root({"XDG_CACHE_HOME": "/elsewhere", "HOME": "/home/me"}) == Path("/elsewhere/mistral-voice-operator")
    assert cache_root({"HOME": "/home/me"}) == Path("/home/me/.cache/mistral-voice-operator")


def test_an_entry_is_made_once(cache: Cache) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        made.append(folder)
        (folder / "file").write_text("content")

    first, second = cache.entry("bin", "key", make), cache.entry("bin", "key", make)
    assert first == second
    assert (first / "file").read_text() == "content"
    assert len(made) == 1


def test_an_entry_that_could_not_be_made_leaves_nothing(cache: Cache) -> None:
    def fail(folder: Path) -> None:
        (folder / "half").touch()
        raise OSError("no more space")

    with pytest.raises(OSError, match="no more space"):
        cache.entry("bin", "key", fail)
    assert list((cache.root / "bin").iterdir()) == []


def test_what_a_killed_process_left_half_made_goes_with_the_next_entry(cache: Cache) -> None:
    leftover = cache.root / "bin" / ".making-abc"
    leftover.mkdir(parents=True)
    cache.entry("bin", "key", lambda folder: None)
    assert not leftover.exists()


def test_only_the_entries_used_last_are_kept(cache: Cache) -> None:
    for age, key in enumerate(["new", "middle", "old"]):
        folder = cache.entry("bin", key, lambda folder: None)
        os.utime(folder, (1000 - age, 1000 - age))
    cache.entry("bin", "newest", lambda folder: None)
    assert {folder.name for folder in (cache.root / "bin").iterdir()} == {"newest", "new"}
    assert KEPT_ENTRIES == 2


def test_the_entry_used_last_is_found_by_the_beginning_of_its_key(cache: Cache) -> None:
    os.utime(cache.entry("bin", "aaa-1", lambda folder: None), (1000, 1000))
    cache.entry("bin", "aaa-2", lambda folder: None)
    found = cache.newest_entry("bin", "aaa")
    assert found is not None
    assert found.name == "aaa-2"
    assert cache.newest_entry("bin", "bbb") is None


def test_two_processes_do_not_make_the_same_entry_twice(tmp_path: Path) -> None:
    script = (
        "import sys, pathlib\n"
        "from tests.cluster.cache import Cache\n"
        "from tests.cluster.progress import Progress\n"
        "root = pathlib.Path(sys.argv[1])\n"
        "def make(folder):\n"
        "    with (root / 'made').open('a') as made: made.write('x')\n"
        "    sys.stdin.readline()\n"
        "print(Cache(root, Progress()).entry('bin', 'key', make))\n"
    )
    (tmp_path / "made").touch()
    argv = [sys.executable, "-c", script, str(tmp_path)]
    processes = [
        subprocess.Popen(argv, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    # Whichever came first waits in `make` for this line, the other for the lock.
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go on\n")
        process.stdin.flush()
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    assert outputs[0] == outputs[1] == f"{tmp_path}/bin/key\n"
    assert (tmp_path / "made").read_text() == "x"


def test_too_little_space_is_said_in_a_sentence(cache: Cache) -> None:
    with pytest.raises(MissingPrerequisite, match=r"Only .* GB are free below .*: free some space"):
        cache.require_space(1e9)


def test_a_digest_changes_with_names_and_contents_below_a_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "a.pyc").write_text("compiled")
    assert digest(tmp_path) == first
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = digest(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, renamed, digest(tmp_path)}) == 3
    assert digest("ab", "c") != digest("a", "bc")
