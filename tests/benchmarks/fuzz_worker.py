"""One reader and its inputs, in a process of its own: what it raises, what it touches, how long it takes, what it eats."""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
import sys
import sysconfig
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from tests.benchmarks.fuzz_inputs import spoilt
from zoo.weights.cards import cache_dir

LONGEST = 10.0  # seconds that an input of a few kilobytes may take
MEMORY = 1 << 30  # bytes that a reader may take beyond what the process has when it begins
_SOFT = 300.0  # MB by which its peak may rise

_WATCHED = (
    "open",
    "os.listdir",
    "os.scandir",
    "os.mkdir",
    "os.rename",
    "os.remove",
    "os.rmdir",
    "os.symlink",
    "os.link",
    "os.truncate",
    "os.chmod",
    "shutil.rmtree",
    "shutil.move",
    "shutil.copyfile",
    "glob.glob",
)
_NEVER = (
    "pickle.find_class",
    "subprocess.Popen",
    "os.system",
    "os.exec",
    "os.posix_spawn",
    "socket.connect",
    "socket.getaddrinfo",
)


class Hang(BaseException):
    """An input took longer than LONGEST."""


@dataclass(frozen=True)
class Target:
    """A reader. ``seeds``: sound files to be spoilt; ``made``: files of the same kind made up by hypothesis; ``file``:
    where the input lies in the folder given; ``beside``: what else lies there; ``kin``: the reader's own errors."""

    name: str
    file: str
    seeds: tuple[bytes, ...]
    made: st.SearchStrategy[bytes]
    read: Callable[[Path], object]
    kin: tuple[type[Exception], ...]
    beside: Mapping[str, bytes] = field(default_factory=dict)
    spoil: Callable[[tuple[bytes, ...], random.Random], bytes] = spoilt
    names: bool = True  # its messages name the file


@dataclass
class Count:
    """What came out. ``crashes``: what happened where -> how often, and the first input."""

    name: str
    inputs: int = 0
    accepted: int = 0
    refused: int = 0
    crashes: dict[str, int] = field(default_factory=dict)
    first: dict[str, str] = field(default_factory=dict)
    peak_mb: float = 0.0

    def crash(self, what: str, content: bytes, said: str = "") -> None:
        """Note what should not have happened."""
        self.crashes[what] = self.crashes.get(what, 0) + 1
        self.first.setdefault(what, f"{said[:200]!r} of {content[:3000]!r}")


class Fence:
    """Notes whatever Python opens, lists, writes or starts outside the folder, while it is up. The program's own cache
    is inside: what was read of a folder is kept there."""

    def __init__(self) -> None:
        self.up = False
        self.inside = Path("/nowhere")
        self.cache = Path("/nowhere")
        self.over: list[str] = []
        self.code = tuple(
            {os.path.realpath(path) for path in (*sysconfig.get_paths().values(), sys.prefix, sys.base_prefix)}
            | {str(Path(__file__).resolve().parents[2])}
        )
        sys.addaudithook(self._watch)

    def _watch(self, event: str, args: tuple[Any, ...]) -> None:
        if not self.up:
            return
        if event in _NEVER:
            self.over.append(f"{event} {args[:2]!r:.80}")
        elif event in _WATCHED and (event == "open" or not any(type(x) is int and x >= 0 for x in args[-1:])):
            for path in args[:2] if event in ("os.rename", "os.link", "os.symlink") else args[:1]:
                self._look(event, path, args)

    def _look(self, event: str, path: object, args: tuple[Any, ...]) -> None:
        if isinstance(path, int) or path is None:
            return
        place = os.path.realpath(os.fsdecode(path))  # type: ignore[arg-type]
        writes = event != "open" or bool(args[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT))
        listing = event in ("os.listdir", "os.scandir", "glob.glob")
        reads_code = (not writes or listing) and place.startswith((*self.code, "/proc/", "/sys/", "/dev/"))
        if not reads_code and not any(Path(place).is_relative_to(folder) for folder in (self.inside, self.cache)):
            self.over.append(f"{event} {place[:100]}")


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """No more memory than MEMORY beyond what is there now."""
    pages = int(Path("/proc/self/statm").read_text().split()[0]) if Path("/proc/self/statm").exists() else None
    if pages is None:
        yield
        return
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


class Reader:
    """Puts one input after the other before a target."""

    def __init__(self, target: Target, root: Path, fence: Fence) -> None:
        self.target, self.fence, self.count = target, fence, Count(target.name)
        self.folder = root / "given"
        for name, content in target.beside.items():
            (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_bytes(content)
        self.path = self.folder / target.file
        self.path.parent.mkdir(parents=True, exist_ok=True)
        fence.inside = Path(os.path.realpath(self.folder))
        fence.cache = Path(os.path.realpath(cache_dir()))
        for content in target.seeds:  # sound: imports what is wanted, and shows that the target is one
            self.path.write_bytes(content)
            target.read(self.path)

    def __call__(self, content: bytes) -> None:
        """One input."""
        self.path.write_bytes(content)
        self.count.inputs += 1
        self.fence.over = []
        signal.setitimer(signal.ITIMER_REAL, LONGEST)
        try:
            self.fence.up = True
            self.target.read(self.path)
            self.count.accepted += 1
        except self.target.kin as error:
            self.count.refused += 1
            self._look_at(str(error), content)
        except Hang:
            self.count.crash(f"took more than {LONGEST:g} s", content)
        except Exception as error:
            self.count.crash(f"{type(error).__name__} at {_where(error)}", content, str(error))
        finally:
            self.fence.up = False
            signal.setitimer(signal.ITIMER_REAL, 0)
        for what in self.fence.over:
            self.count.crash(f"outside the folder: {what}", content)

    def _look_at(self, said: str, content: bytes) -> None:
        """An error is one line that can be printed and names the file."""
        if "\n" in said or "\r" in said or said.encode("utf-8", "replace").decode() != said:
            self.count.crash("a message that is not one line that can be printed", content, said)
        elif self.target.names and self.path.name not in said and self.folder.name not in said:
            self.count.crash("a message that names no file", content, said)
        elif len(said) > 3000:
            self.count.crash("a message of more than 3,000 characters", content, said)


def _where(error: BaseException) -> str:
    """The innermost line of this project's own code."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        f for f in frames if any(f"/{part}/" in f.filename for part in ("zoo", "harness", "leaderboards", "plugins"))
    ]
    frame = (own or frames)[-1]
    return f"{'/'.join(Path(frame.filename).parts[-2:])}:{frame.lineno}"


def _alarm(*_: object) -> None:
    raise Hang


def count(
    target: Target, root: Path, inputs: int, number: int, told: Callable[[Count], None] = lambda _: None
) -> Count:
    """Half of the inputs spoilt from real files, half made up; ``told`` hears of every hundredth."""
    reader = Reader(target, root, _fence())
    before = _peak(anew=True)

    def one(content: bytes) -> None:
        if reader.count.inputs % 100 == 0:
            told(reader.count)
        reader(content)

    @seed(number)
    @settings(
        max_examples=inputs - inputs // 2,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(target.made)
    def made_up(content: bytes) -> None:
        one(content)

    handler = signal.signal(signal.SIGALRM, _alarm)
    try:
        with limited(), warnings.catch_warnings(action="ignore"):
            dice = random.Random(f"{number} {target.name}")
            for _ in range(inputs // 2):
                one(target.spoil(target.seeds, dice))
            made_up()
            while reader.count.inputs < inputs:  # hypothesis stops where it has seen all that there is
                one(target.spoil(target.seeds, dice))
    finally:
        signal.signal(signal.SIGALRM, handler)
    reader.count.peak_mb = round(_peak() - before, 1)
    if reader.count.peak_mb > _SOFT:
        reader.count.crash(f"took {reader.count.peak_mb:.0f} MB", b"")
    return reader.count


def _peak(anew: bool = False) -> float:
    """MB of this process's highest resident size; ``anew``: counted from here on, where the kernel can."""
    with contextlib.suppress(OSError):
        if anew:
            Path("/proc/self/clear_refs").write_text("5")
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


_the_fence: list[Fence] = []


def _fence() -> Fence:
    """One a process: an audit hook cannot be taken off again."""
    if not _the_fence:
        _the_fence.append(Fence())
    return _the_fence[0]


def work(names: Sequence[str], demo: Path, root: Path, inputs: int, number: int, pipe: Connection) -> None:
    """In a child process: count targets, each in a folder of its own, and send what was found now and then and at the
    end of each."""
    from tests.benchmarks.fuzz_targets import targets

    os.environ["ABAW_ZOO_CACHE"] = str(root / "cache")
    made = targets(demo)
    for name in names:
        pipe.send(("on", asdict(Count(name))))
        try:
            found = count(made[name](), root / name, inputs, number, lambda so_far: pipe.send(("on", asdict(so_far))))
        except Exception as error:
            found = Count(name)
            found.crash(f"not begun: {type(error).__name__} at {_where(error)}", b"", str(error))
        pipe.send(("end", asdict(found)))
