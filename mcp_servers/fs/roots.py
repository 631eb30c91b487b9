"""Access policy: roots, denied names and limits."""

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import unquote

from mcp.server.mcpserver.exceptions import ToolError

from mcp_servers.fs.glob import Globs

MIB = 1 << 20
PSEUDO = ("/proc", "/sys")  # pseudo file systems
DENIED = (
    *(".git", ".hg", ".svn", ".git-credentials", ".env*", ".netrc", ".pgpass", ".npmrc", ".pypirc", ".htpasswd"),
    *(".ssh", ".gnupg", ".aws", ".azure", ".kube", ".docker", "id_rsa*", "id_dsa*", "id_ecdsa*", "id_ed25519*"),
    *("*.pem", "*.key", "*.p12", "*.pfx", "*.ppk", "*.jks", "*.keystore", "*.kdbx"),
)


class Refused(ToolError):
    """The request is not allowed, or the file does not exist. The message is for the model."""


@dataclass(frozen=True, slots=True)
class Root:
    """A directory to offer. `write`: writable, if the server has writing tools."""

    path: Path
    write: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes, times in seconds."""

    seconds: float = 20.0
    text_bytes: int = 256 * 1024  # of text per answer
    media_bytes: int = 8 * MIB
    write_bytes: int = 2 * MIB
    search_file_bytes: int = 16 * MIB  # larger files are not searched
    search_bytes: int = 512 * MIB  # read per search
    entries: int = 1000  # per answer
    folder_entries: int = 100_000  # per directory
    depth: int = 64
    line_letters: int = 400  # characters per line in search results


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """`hard_links`: files with several names are refused by default, since another name may lie outside the roots. "read" allows
    reading them (package managers create such files); they are never written to."""

    denied: tuple[str, ...] = DENIED
    hard_links: Literal["refuse", "read"] = "refuse"
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True)
class Rooted:
    """A root. `name`: first part of the paths of its files; "" if there is only one root."""

    name: str
    path: Path  # absolute, links resolved
    given: Path  # absolute, as given by the operator
    write: bool

    @property
    def spellings(self) -> tuple[tuple[str, ...], ...]:
        return self.path.parts[1:], self.given.parts[1:]


@dataclass(frozen=True, slots=True)
class Place:
    """A path below a root, in parts; () is the root itself. It need not exist."""

    root: Rooted
    parts: tuple[str, ...]

    @property
    def shown(self) -> str:
        names = ((self.root.name,) if self.root.name else ()) + self.parts
        return "/".join(map(spelt, names)) or "."

    @property
    def uri(self) -> str:
        return self.root.path.joinpath(*self.parts).as_uri()

    @property
    def above(self) -> "Place":
        return Place(self.root, self.parts[:-1])

    def inside(self, name: str) -> "Place":
        return Place(self.root, (*self.parts, name))


@dataclass(frozen=True, slots=True)
class Tree:
    """All roots, as the tools see them."""

    roots: tuple[Rooted, ...]
    denied: Globs
    policy: Policy
    pseudo: frozenset[int]  # device numbers of PSEUDO

    @property
    def limits(self) -> Limits:
        return self.policy.limits

    def place(self, text: str) -> Place:
        """Parses a path, without file system access: the system only ever gets single names. Raises Refused."""
        if "\0" in text or len(text) > 4096 or spelt(text) != text:
            raise Refused("path: it holds a NUL, is no Unicode, or is longer than 4096 characters")
        text = _as_path(text)
        place = self._absolute(text) if text.startswith("/") else self._relative(_names(text))
        return self.admitted(place)

    def places(self, text: str) -> tuple[Place, ...]:
        """Like `place`, but an empty path means all roots."""
        return tuple(Place(root, ()) for root in self.roots) if text.strip("./") == "" else (self.place(text),)

    def admitted(self, place: Place) -> Place:
        """Returns `place`. Raises Refused for denied names, whether or not the file exists."""
        if len(place.parts) > self.limits.depth or any(len(os.fsencode(name)) > 255 for name in place.parts):
            raise Refused(f"path: more than {self.limits.depth} names, or one of more than 255 bytes")
        if any(self.denies(place.parts[: size + 1]) for size in range(len(place.parts))):
            raise Refused(f"{place.shown}: the operator of this server denies access to files of such names")
        return place

    def denies(self, parts: Sequence[str]) -> bool:
        """Whether the last name is denied; its parents must have been checked."""
        return self.denied.match([_plain(part) for part in parts] if self.denied.positional else [_plain(parts[-1])])

    def writable(self, place: Place, *, below: bool = False) -> bool:
        """Whether its root is writable and no read-only root contains it; `below`: nor lies inside it."""
        names = [_plain(name) for name in (*place.root.path.parts, *place.parts)]
        kept = [[_plain(name) for name in root.path.parts] for root in self.roots if not root.write]
        return place.root.write and not any(names[: len(one)] == one or (below and one[: len(names)] == names) for one in kept)

    def _relative(self, names: tuple[str, ...]) -> Place:
        if len(self.roots) == 1:
            return Place(self.roots[0], names)
        for root in self.roots:
            if names[:1] == (root.name,):
                return Place(root, names[1:])
        raise Refused(f"path: begin with one of {', '.join(root.name for root in self.roots)}")

    def _absolute(self, text: str) -> Place:
        names = _names(text)
        begun = self.root_of(names)
        if begun:
            root, size = begun
            return Place(root, names[size:])
        raise Refused("path: it is outside of what this server offers; write it relative, as list_directory shows it")

    def root_of(self, names: Sequence[str]) -> tuple[Rooted, int] | None:
        """The innermost root that an absolute path begins with, and how many of its names are the root's. Compares part by part:
        /srv/data_old is not in /srv/data."""
        ways = [(len(own), root) for root in self.roots for own in root.spellings if tuple(names[: len(own)]) == own]
        size, root = max(ways, key=lambda way: way[0], default=(0, None))
        return (root, size) if root else None


def tree(roots: Sequence[Root], policy: Policy) -> Tree:
    """Raises ValueError if a root is not a directory or a glob is invalid."""
    if not roots:
        raise ValueError("a root is needed: the directory to offer")
    paths = [_checked(root) for root in roots]
    names = _unique([path.name or "root" for path in paths]) if len(paths) > 1 else [""]
    rooted = [
        Rooted(name, path, Path(os.path.abspath(root.path.expanduser())), root.write)
        for name, path, root in zip(names, paths, roots, strict=True)
    ]
    try:
        denied = Globs([_plain(glob) for glob in policy.denied])
    except ToolError as error:
        raise ValueError(f"--deny: {error}") from None
    return Tree(tuple(rooted), denied, policy, frozenset(os.stat(path).st_dev for path in PSEUDO if os.path.ismount(path)))


def _checked(root: Root) -> Path:
    path = root.path.expanduser().resolve()
    if not path.is_dir():
        raise ValueError(f"{root.path}: no such directory")
    return path


def _unique(names: Sequence[str]) -> Iterator[str]:
    taken = set[str]()
    for name in names:
        free = next(each for n in range(len(names)) if (each := f"{name}-{n + 1}" if n else name) not in taken)
        taken.add(free)
        yield free


def _as_path(text: str) -> str:
    """Of the URI of a resource, and of a path with the separators of Windows alone."""
    if text.startswith("file://"):
        path = unquote(text.removeprefix("file://").removeprefix("localhost"))
        if "\0" in path or spelt(path) != path or not path.startswith("/"):
            raise Refused("path: this is no URI of a file here")
        return path
    names = text.split("\\")
    return text if "/" in text or ".." in names else "/".join(names)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split("/") if name not in ("", "."))
    if ".." in names:
        raise Refused("path: '..' is refused; write where it leads to")
    return names


def _plain(name: str) -> str:
    """Normal form of names that a file system may treat as equal: case, compatibility and invisible characters."""
    if name.isascii():
        return name.lower()
    letters = unicodedata.normalize("NFKC", spelt(name)).casefold()
    return "".join(letter for letter in letters if unicodedata.category(letter) != "Cf")


def spelt(name: str) -> str:
    """Escapes bytes that are not valid Unicode. Such names can be displayed but not requested."""
    return name.encode("utf-8", "backslashreplace").decode()
