"""The shell's small parts: files that change, tokens, the credential, the outbound queue, the drain."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mistral_voice.contract.secret import Secret
from mistral_voice.gateway.client_token import ClientTokens, presented_token
from mistral_voice.gateway.credential import Credential
from mistral_voice.gateway.lifecycle import DrainTimes, Lifecycle, Phase, drain_times
from mistral_voice.gateway.outbound import Outbound, SlowConsumerError
from mistral_voice.mistral.stream.errors import StreamError
from mistral_voice.runtime.redaction import Redactor
from mistral_voice.runtime.watched_file import WatchedFile
from tests.support.waiting import eventually


class Mount:
    """A directory as kubelet mounts a Secret: files are links into `..data`, a link that is swapped."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._generations: Iterator[int] = iter(range(1000))

    def write(self, **files: str) -> None:
        generation = self.path / f"..{next(self._generations)}"
        generation.mkdir(parents=True)
        for name, content in files.items():
            (generation / name).write_text(content)
        fresh = self.path / "..data_tmp"
        fresh.symlink_to(generation.name)
        fresh.rename(self.path / "..data")
        for name in files:
            link = self.path / name
            if not link.is_symlink():
                link.symlink_to(f"..data/{name}")


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path / "mount")


def test_a_watched_file_follows_the_swap_of_its_directory(mount: Mount) -> None:
    mount.write(key="one")
    file = WatchedFile(mount.path / "key")
    assert file.read() == b"one"
    mount.write(key="two")
    assert file.read() == b"two"
    (mount.path / "..data").unlink()
    assert file.read() is None


def test_the_credential_is_read_again_and_the_last_good_one_stays(mount: Mount) -> None:
    redactor = Redactor()
    credential = Credential(mount.path / "apiKey", redactor)
    assert credential.missing_because() == "The credential file is missing."
    with pytest.raises(StreamError, match="no usable credential"):
        credential.key()
    mount.write(apiKey="  key-number-one\n")
    assert credential.key() == Secret("key-number-one")
    assert credential.missing_because() is None
    mount.write(apiKey="key-number-two")
    assert credential.key() == Secret("key-number-two")
    mount.write(apiKey="not a key")
    assert credential.key() == Secret("key-number-two")
    (mount.path / "..data").unlink()
    assert credential.key() == Secret("key-number-two")
    assert credential.missing_because() == "The credential file is missing."
    assert redactor.redact("key-number-one key-number-two") == "[redacted] [redacted]"


def test_token_and_predecessor_are_accepted_and_nothing_else(mount: Mount) -> None:
    tokens = ClientTokens(mount.path, Redactor())
    assert not tokens.accepts(Secret("anything"))
    mount.write(token="new-token\n", previousToken="old-token")
    assert tokens.accepts(Secret("new-token"))
    assert tokens.accepts(Secret("old-token"))
    for wrong in (Secret(""), Secret("new-toke"), Secret("new-token "), Secret("ü"), None):
        assert not tokens.accepts(wrong)
    mount.write(token="newest-token")
    (mount.path / "previousToken").unlink()
    assert not tokens.accepts(Secret("old-token"))
    assert not tokens.accepts(Secret("new-token"))
    assert tokens.accepts(Secret("newest-token"))


def test_an_empty_predecessor_lets_nobody_in(mount: Mount) -> None:
    mount.write(token="t", previousToken="")
    assert not ClientTokens(mount.path, Redactor()).accepts(Secret(""))


@pytest.mark.parametrize(
    ("authorization", "protocols", "token"),
    [
        ("Bearer abc", [], "abc"),
        ("bearer  abc ", [], "abc"),
        ("Basic abc", ["openai-insecure-api-key.def"], None),
        ("Bearer ", [], None),
        (None, ["realtime", "openai-insecure-api-key.def"], "def"),
        (None, ["realtime"], None),
    ],
)
def test_where_a_token_may_stand(authorization: str | None, protocols: list[str], token: str | None) -> None:
    assert presented_token(authorization, protocols) == (None if token is None else Secret(token))


async def test_messages_go_out_in_order_and_a_slow_reader_is_noticed() -> None:
    written: list[bytes] = []
    gate = asyncio.Event()

    async def write(message: bytes) -> None:
        await gate.wait()
        written.append(message)

    outbound = Outbound(write, most_bytes=10)
    running = asyncio.create_task(outbound.run())
    outbound.put(b"12345")
    outbound.put(b"6789")
    with pytest.raises(SlowConsumerError):
        outbound.put(b"ab")
    gate.set()
    outbound.finish()
    await running
    assert written == [b"12345", b"6789"]


class Sitting:
    """A session that ends when asked to."""

    def __init__(self, lifecycle: Lifecycle, stubborn: bool = False) -> None:
        self._lifecycle = lifecycle
        self._stubborn = stubborn
        self.asked = 0

    def drain(self, within_seconds: float) -> None:
        self.asked += 1
        if not self._stubborn:
            self._lifecycle.remove(self)


async def test_a_drain_asks_sessions_only_when_its_time_is_over() -> None:
    lifecycle = Lifecycle(lambda: None)
    assert lifecycle.not_ready_because() == "The gateway is starting."
    lifecycle.phase = Phase.SERVING
    assert lifecycle.not_ready_because() is None
    session = Sitting(lifecycle)
    lifecycle.add(session)
    draining = asyncio.create_task(lifecycle.drain(DrainTimes(0.05, 0.25, 1, 1)))
    await asyncio.sleep(0)
    assert lifecycle.not_ready_because() == "The gateway is draining."
    await eventually(lambda: not lifecycle.phase.accepts, "the end of the accepting")
    assert session.asked == 0
    await draining
    assert session.asked == 1
    assert lifecycle.session_count == 0


async def test_a_drain_is_over_as_soon_as_the_last_session_ends() -> None:
    lifecycle = Lifecycle(lambda: None)
    session = Sitting(lifecycle)
    lifecycle.add(session)
    asyncio.get_running_loop().call_later(0.05, lifecycle.remove, session)
    await lifecycle.drain(DrainTimes(0.01, 3600, 1, 1))
    assert session.asked == 0


@pytest.mark.parametrize(
    ("accept", "timeout", "grace", "times"),
    [
        (5, 540, None, (5, 535, 20, 5)),
        (5, 0, None, (0, 0, 20, 5)),
        (5, 540, 3600, (5, 535, 20, 5)),
        (5, 540, 120, (5, 88, 20, 5)),
        (5, 540, 30, (5, 0, 18, 5)),
        (5, 540, 14, (2, 0, 6, 4)),
        (5, 540, 1, (0, 0, 0, 0)),
    ],
)
def test_a_node_that_grants_less_time_takes_it_from_the_waiting_first(
    accept: float, timeout: float, grace: float | None, times: tuple[float, ...]
) -> None:
    planned = drain_times(accept, timeout, grace)
    assert [round(seconds) for seconds in planned] == list(times)
    assert grace is None or sum(planned) <= max(0, grace - 2)


def test_the_credential_file_is_not_read_again_while_it_stays_the_same(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text("one")
    file = WatchedFile(path)
    assert file.read() == b"one"
    stat = path.stat()
    path.write_text("two")
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert file.read() == b"one"
